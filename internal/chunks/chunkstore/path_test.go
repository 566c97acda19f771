package chunkstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fanout/internal/chunks/chunkstore"
)

func TestCheckPath(t *testing.T) {
	base := t.TempDir()
	dir, elsewhere := base+"/data", base+"/elsewhere"
	for _, err := range []error{
		os.MkdirAll(dir+"/sub/deep", 0o755), os.Mkdir(elsewhere, 0o755),
		os.WriteFile(dir+"/file", nil, 0o600), os.WriteFile(elsewhere+"/file", nil, 0o600),
		os.Symlink("../elsewhere", dir+"/out"), os.Symlink(elsewhere, dir+"/outabs"),
		os.Symlink("../elsewhere/file", dir+"/outfile"), os.Symlink("../elsewhere/none", dir+"/outdangling"),
		os.Symlink("sub/deep", dir+"/in"), os.Symlink("loop", dir+"/loop"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root := openRoot(t, dir)
	for _, tc := range []struct {
		path, want string
		err        error
	}{
		{"f", "f", nil},
		{"sub/f", "sub/f", nil},
		{"new/dirs/f", "new/dirs/f", nil},
		{"./sub/../f", "f", nil},
		{"in/f", "in/f", nil},
		{"file", "file", nil},
		{"two words é", "two words é", nil},
		{dir + "/sub/f", "sub/f", nil},
		{"..", "", chunkstore.ErrOutsideRoot},
		{"../f", "", chunkstore.ErrOutsideRoot},
		{"sub/../../elsewhere/f", "", chunkstore.ErrOutsideRoot},
		{"/etc/passwd", "", chunkstore.ErrOutsideRoot},
		{dir + "/../elsewhere/f", "", chunkstore.ErrOutsideRoot},
		{dir + "x/f", "", chunkstore.ErrOutsideRoot},
		{"out/f", "", chunkstore.ErrOutsideRoot},
		{"out/new/f", "", chunkstore.ErrOutsideRoot},
		{"outabs/f", "", chunkstore.ErrOutsideRoot},
		{"outfile", "", chunkstore.ErrOutsideRoot},
		{"outdangling", "", chunkstore.ErrOutsideRoot},
		{"", "", chunkstore.ErrNotRegular},
		{".", "", chunkstore.ErrNotRegular},
		{dir, "", chunkstore.ErrNotRegular},
		{"sub", "", chunkstore.ErrNotRegular},
		{"file/f", "", syscall.ENOTDIR},
		{"loop/f", "", syscall.ELOOP},
	} {
		got, err := chunkstore.CheckPath(root, tc.path)
		if got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("CheckPath(%q) = %q, %v; want %q, %v", tc.path, got, err, tc.want, tc.err)
		}
		if err != nil && (!strings.Contains(err.Error(), tc.path) || !strings.Contains(err.Error(), dir)) {
			t.Errorf("%v: does not name %q and %q", err, tc.path, dir)
		}
	}
}

// A data directory behind a symlink has two absolute names.
func TestCheckPathBelowALinkedRoot(t *testing.T) {
	base := t.TempDir()
	if err := errors.Join(os.Mkdir(base+"/data", 0o755), os.Symlink("data", base+"/alias")); err != nil {
		t.Fatal(err)
	}
	root := openRoot(t, base+"/alias")
	for _, path := range []string{"f", base + "/alias/f", base + "/data/f"} {
		if got, err := chunkstore.CheckPath(root, path); got != "f" || err != nil {
			t.Errorf("CheckPath(%q) = %q, %v", path, got, err)
		}
	}
	if got, err := chunkstore.CheckPath(root, base+"/f"); !errors.Is(err, chunkstore.ErrOutsideRoot) {
		t.Errorf("beside the root: %q, %v", got, err)
	}
}

// Open makes no file outside the root, and uses none that a link points to.
func TestOpenFollowsNoLinkOut(t *testing.T) {
	_, m := newFile(t, 100)
	for name, tc := range map[string]struct {
		link, target string
		want         error
	}{
		"directory":       {"d", "..", chunkstore.ErrOutsideRoot},
		"part outside":    {part(m), "../../victim", chunkstore.ErrOutsideRoot},
		"part inside":     {part(m), "../victim", chunkstore.ErrNotRegular},
		"state outside":   {part(m) + ".state", "../../victim", nil},
		"own outside":     {".fanout", "..", chunkstore.ErrOutsideRoot},
		"final is a link": {"d", "../victim", chunkstore.ErrOutsideRoot},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			dir := filepath.Join(base, "data")
			for _, err := range []error{
				os.MkdirAll(filepath.Dir(filepath.Join(dir, tc.link)), 0o755), os.Symlink(tc.target, filepath.Join(dir, tc.link)),
				os.WriteFile(base+"/victim", []byte("precious"), 0o600), os.WriteFile(dir+"/victim", []byte("precious"), 0o600),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			root := openRoot(t, dir)
			path := "d"
			if tc.link == "d" && tc.target == ".." {
				path = "d/f"
			}
			s, err := in(root).Open(path, m, m.ID())
			if s != nil || err == nil || (tc.want != nil && !errors.Is(err, tc.want)) {
				t.Errorf("Open = %v, want %v", err, tc.want)
			}
			for _, victim := range []string{base + "/victim", dir + "/victim"} {
				if got, err := os.ReadFile(victim); string(got) != "precious" {
					t.Errorf("%s is now %q, %v", victim, got, err)
				}
			}
		})
	}
}

func TestOpenMakesDirectories(t *testing.T) {
	data, m := newFile(t, 100)
	root := newRoot(t)
	s := open(t, root, filepath.Join(root.Name(), "a/b/f"), m)
	put(t, s, data, 0)
	finish(t, s)
	if got, err := root.ReadFile("a/b/f"); err != nil || string(got) != string(data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func corrupt(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{^b[0]}, at); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

package chunkstore_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"fanout/internal/chunks/chunkstore"
)

// mountedDir is set in the process that has a mount namespace of its own.
const mountedDir = "FANOUT_TEST_MOUNTED_DIR"

// Where the output is in another file system, the part lies beside it; what lies there and is
// not fanout's is left alone.
func TestOutputInAnotherFileSystem(t *testing.T) {
	dir := os.Getenv(mountedDir)
	if dir == "" {
		inMountNamespace(t)
		return
	}
	for _, err := range []error{
		os.MkdirAll(dir+"/tmpfs", 0o755), os.MkdirAll(dir+"/bind", 0o755), os.MkdirAll(dir+"/other", 0o755),
		syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""),
		syscall.Mount("tmpfs", dir+"/tmpfs", "tmpfs", 0, "size=1m"),
		// The same file system, and yet nothing can be renamed into it.
		syscall.Mount(dir+"/other", dir+"/bind", "", syscall.MS_BIND, ""),
	} {
		if err != nil {
			t.Skip("mounting: ", err)
		}
	}
	data, m := newFile(t, 3*chunkSize)
	for _, sub := range []string{"tmpfs", "bind"} {
		root := openRoot(t, dir)
		path := filepath.Join(sub, "f")
		s := open(t, root, path, m)
		put(t, s, data, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, root, path, m)
		if kept, dropped, err := s.Rehash(t.Context(), nil); kept != 1 || dropped != 0 || err != nil {
			t.Errorf("%s: Rehash = %d, %d, %v", sub, kept, dropped, err)
		}
		put(t, s, data, 0)
		put(t, s, data, 2)
		finish(t, s)
		if got, err := root.ReadFile(path); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", sub, len(got), err)
		}
		if entries, err := os.ReadDir(filepath.Join(dir, sub)); err != nil || len(entries) != 1 {
			t.Errorf("%s: %v, %v", sub, entries, err)
		}
		beside := filepath.Join(sub, chunkstore.OwnPrefix+m.ID().String()[:16]+".part")
		if err := root.WriteFile(beside, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := in(root).Open(path, m, m.ID()); s != nil || !errors.Is(err, chunkstore.ErrInTheWay) {
			t.Errorf("%s: Open over a file that is not ours: %v", sub, err)
		}
		if got, err := root.ReadFile(beside); string(got) != "mine" {
			t.Errorf("%s: it is %q now, %v", sub, got, err)
		}
	}
}

// inMountNamespace runs the test in a process whose mounts end with it.
func inMountNamespace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mountedDir+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

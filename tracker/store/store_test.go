package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fanout/tracker/store"
	"fanout/tracker/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return store.NewMemory() }, nil)
}

func TestBolt(t *testing.T) {
	open := func(t *testing.T, dir string) store.Store {
		s, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	dirs := map[store.Store]string{}
	storetest.Run(t, func(t *testing.T) store.Store {
		dir := filepath.Join(t.TempDir(), "not there yet")
		s := open(t, dir)
		dirs[s] = dir
		return s
	}, func(t *testing.T, s store.Store) store.Store {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return open(t, dirs[s])
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	held, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	notDir := filepath.Join(t.TempDir(), "file")
	notDB := t.TempDir()
	for path, content := range map[string]string{notDir: "", filepath.Join(notDB, store.FileName): strings.Repeat("not a database", 1000)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct{ dir, want string }{
		"in use":          {dir, "is in use by another tracker: stop it or choose another --data-dir"},
		"not a directory": {notDir, "not a directory"},
		"not a database":  {notDB, "invalid database"},
	} {
		t.Run(what, func(t *testing.T) {
			s, err := store.Open(c.dir)
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if t.Log(err); !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.dir) {
				t.Errorf("want …%s…", c.want)
			}
		})
	}
}

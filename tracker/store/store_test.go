package store_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fanout/internal/chunks/manifest"
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

// Wherever a database is damaged, the tracker says so when it starts, or works: it does not
// crash then, nor when something is written.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, store.FileName)
	fill(t, dir, 40)
	good, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	try := func(what string, bad []byte) (refused bool) {
		t.Helper()
		dir := t.TempDir()
		path := filepath.Join(dir, store.FileName)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(dir)
		if err == nil {
			defer s.Close()
			if _, err = s.Load(); err == nil {
				publish(t, s, 1000)
				return false
			}
		}
		if !strings.Contains(err.Error(), path+" is damaged") || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%s: %v; want the file and the remedy", what, err)
		}
		return true
	}
	if !try("cut off", good[:len(good)/2]) {
		t.Error("half a database was opened")
	}
	random := rand.NewChaCha8([32]byte{1})
	refused := 0
	for at := 0; at < len(good); at += page {
		for what, change := range map[string]func([]byte){
			"zeros":      func(p []byte) { clear(p) },
			"ones":       func(p []byte) { copy(p, bytes.Repeat([]byte{0xff}, len(p))) },
			"noise":      func(p []byte) { random.Read(p) },
			"numbers":    func(p []byte) { random.Read(p[16:min(len(p), 200)]) }, // what the elements of a page are found by
			"a huge run": func(p []byte) { p[15] = 0x7f },                        // of pages that follow it
		} {
			bad := bytes.Clone(good)
			change(bad[at : at+page])
			if try(fmt.Sprintf("%s in page %d", what, at/page), bad) {
				refused++
			}
		}
	}
	if refused < len(good)/page {
		t.Errorf("%d of %d damages were found", refused, 5*len(good)/page)
	}
}

// fill makes a database with some files.
func fill(t *testing.T, dir string, files int) {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		publish(t, s, i)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func publish(t *testing.T, s store.Store, i int) {
	t.Helper()
	m := &manifest.Manifest{Name: fmt.Sprint("file-", i), ChunkSize: 32 << 10, Digests: make([]manifest.Digest, 20)}
	m.Size = m.ChunkSize * 20
	if err := s.Publish(m.ID(), m, time.Now()); err != nil {
		t.Fatal(err)
	}
}

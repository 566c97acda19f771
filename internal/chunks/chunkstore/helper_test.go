package chunkstore_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
)

func newFile(t testing.TB, size int) ([]byte, *manifest.Manifest) {
	t.Helper()
	data := randomBytes(size)
	return data, build(t, data)
}

func build(t testing.TB, data []byte) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Build(context.Background(), "f", bytes.NewReader(data), int64(len(data)), chunkSize, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fataler is of testing.TB and rapid.T what helpers need.
type fataler interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

func newRoot(t testing.TB) *os.Root {
	t.Helper()
	return openRoot(t, t.TempDir())
}

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func open(t testing.TB, root *os.Root, path string, m *manifest.Manifest) *chunkstore.Store {
	t.Helper()
	s, err := in(root).Open(path, m, m.ID())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// in is the data directory of a root.
func in(root *os.Root) chunkstore.Dir { return chunkstore.Dir{Root: root, Own: ".fanout"} }

// part is where the part of a manifest is, relative to the root.
func part(m *manifest.Manifest) string { return ".fanout/" + m.ID().String()[:16] + ".part" }

// finish gives a complete download its name, whatever has that.
func finish(t testing.TB, s *chunkstore.Store) {
	t.Helper()
	if err := errors.Join(s.Finish(t.Context(), ""), s.Place(always)); err != nil {
		t.Fatal(err)
	}
}

func always(chunkstore.Stamp) bool { return true }

func never(chunkstore.Stamp) bool { return false }

func put(t fataler, s *chunkstore.Store, data []byte, chunk int) {
	t.Helper()
	m := s.Manifest()
	if fresh, err := s.Put(chunk, data[m.Offset(chunk):][:m.Length(chunk)]); !fresh || err != nil {
		t.Fatalf("Put(%d) = %v, %v", chunk, fresh, err)
	}
}

// wantFiles checks that root holds these files and no others, and fanout's own directory none.
func wantFiles(t fataler, root *os.Root, want map[string][]byte) {
	t.Helper()
	entries, err := os.ReadDir(root.Name())
	if err != nil {
		t.Fatal(err)
	}
	if own, err := os.ReadDir(root.Name() + "/.fanout"); err == nil {
		for _, e := range own {
			t.Errorf("%s is left in fanout's own directory", e.Name())
		}
		entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() == ".fanout" })
	}
	for _, e := range entries {
		got, err := root.ReadFile(e.Name())
		if content, ok := want[e.Name()]; !ok || err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: unexpected, or not as expected (%d bytes, %v)", e.Name(), len(got), err)
		}
	}
	if len(entries) != len(want) {
		t.Errorf("%d files, want %d", len(entries), len(want))
	}
}

func randomBytes(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{'f'}).Read(p)
	return p
}

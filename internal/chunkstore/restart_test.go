package chunkstore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"sync/atomic"
	"testing"

	"fanout/internal/chunkstore"
	"fanout/internal/manifest"
)

// After a restart nothing is held until its bytes have been read again.
func TestReopenBelievesOnlyBytes(t *testing.T) {
	data, m := newFile(t, 10*chunkSize+1)
	root := newRoot(t)
	s := open(t, root, "f", m)
	for c := range 6 {
		put(t, s, data, c)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	corrupt(t, root.Name()+"/f.part", 2*chunkSize+7)

	s = open(t, root, "f", m)
	if s.Count() != 0 || s.Has(0) {
		t.Fatalf("%d chunks believed unseen", s.Count())
	}
	var progress atomic.Int64
	kept, dropped, err := s.Rehash(t.Context(), func(n int64) { progress.Add(n) })
	if kept != 5 || dropped != 1 || err != nil || progress.Load() != 6*chunkSize {
		t.Fatalf("Rehash = %d, %d, %v after %d bytes", kept, dropped, err, progress.Load())
	}
	if got := s.Bits(); !bytes.Equal(got, []byte{0b1101_1100, 0}) {
		t.Errorf("bitmap %08b", got)
	}
	if kept, dropped, err := s.Rehash(t.Context(), nil); kept != 0 || dropped != 0 || err != nil {
		t.Errorf("nothing left to rehash: %d, %d, %v", kept, dropped, err)
	}
	for c := range m.Chunks() {
		if !s.Has(c) {
			put(t, s, data, c)
		}
	}
	if err := s.Finish(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, root, map[string][]byte{"f": data})
}

// Claims outlive a restart during which they were not looked at, or not all.
func TestClaimsOutliveAnInterruptedRehash(t *testing.T) {
	data, m := newFile(t, 10*chunkSize)
	root := newRoot(t)
	s := open(t, root, "f", m)
	put(t, s, data, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, root, "f", m)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Rehash(cancelled, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("Rehash: %v", err)
	}
	put(t, s, data, 4)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, root, "f", m)
	if kept, dropped, err := s.Rehash(t.Context(), nil); kept != 2 || dropped != 0 || err != nil {
		t.Errorf("Rehash = %d, %d, %v", kept, dropped, err)
	}
}

// A part that cannot be of this manifest is emptied, and used.
func TestOpenStartsAgain(t *testing.T) {
	data, m := newFile(t, 3*chunkSize)
	changed := bytes.Clone(data)
	changed[0] ^= 1
	for name, spoil := range map[string]func(t *testing.T, dir string) *manifest.Manifest{
		"file published anew": func(t *testing.T, _ string) *manifest.Manifest { return build(t, changed) },
		"shorter file":        func(t *testing.T, _ string) *manifest.Manifest { return build(t, data[:chunkSize]) },
		"no state": func(t *testing.T, dir string) *manifest.Manifest {
			remove(t, dir+"/f.part.state")
			return m
		},
		"state cut off": func(t *testing.T, dir string) *manifest.Manifest {
			truncate(t, dir+"/f.part.state", 40)
			return m
		},
		"state of nothing": func(t *testing.T, dir string) *manifest.Manifest {
			truncate(t, dir+"/f.part.state", 0)
			return m
		},
		"no part": func(t *testing.T, dir string) *manifest.Manifest {
			remove(t, dir+"/f.part")
			return m
		},
		"part cut off": func(t *testing.T, dir string) *manifest.Manifest {
			truncate(t, dir+"/f.part", 40)
			return m
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			s := open(t, root, "f", m)
			put(t, s, data, 1)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			now := spoil(t, root.Name())
			s = open(t, root, "f", now)
			if kept, dropped, err := s.Rehash(t.Context(), nil); kept != 0 || dropped != 0 || err != nil {
				t.Errorf("Rehash = %d, %d, %v", kept, dropped, err)
			}
			part, err := root.ReadFile("f.part")
			if err != nil || !bytes.Equal(part, make([]byte, now.Size)) {
				t.Errorf("the part is not empty: %d bytes, %v", len(part), err)
			}
		})
	}
}

func TestOneWriterAPart(t *testing.T) {
	_, m := newFile(t, chunkSize)
	root := newRoot(t)
	s := open(t, root, "f", m)
	if s, err := chunkstore.Open(root, "./f", m, m.ID()); s != nil || !errors.Is(err, chunkstore.ErrInUse) {
		t.Errorf("second Open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, root, "f", m)
}

func TestOpenComplete(t *testing.T) {
	data, m := newFile(t, 5*chunkSize+1)
	root := newRoot(t)
	if _, err := chunkstore.OpenComplete(root, "f", m, m.ID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := root.WriteFile("f", data, 0o600); err != nil {
		t.Fatal(err)
	}
	corrupt(t, root.Name()+"/f", chunkSize)
	s, err := chunkstore.OpenComplete(root, "f", m, m.ID())
	if err != nil {
		t.Fatal(err)
	}
	if s.Count() != 0 {
		t.Errorf("%d chunks believed unseen", s.Count())
	}
	if kept, dropped, err := s.Rehash(t.Context(), nil); kept != 5 || dropped != 1 || err != nil {
		t.Errorf("Rehash = %d, %d, %v", kept, dropped, err)
	}
	if fresh, err := s.Put(1, data[chunkSize:2*chunkSize]); fresh || !errors.Is(err, chunkstore.ErrReadOnly) {
		t.Errorf("Put = %v, %v", fresh, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	truncate(t, root.Name()+"/f", 10)
	if s, err := chunkstore.OpenComplete(root, "f", m, m.ID()); s != nil || !errors.Is(err, chunkstore.ErrSize) {
		t.Errorf("shortened file: %v", err)
	}
}

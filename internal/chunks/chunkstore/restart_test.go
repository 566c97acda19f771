package chunkstore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"testing"

	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
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
	corrupt(t, root.Name()+"/"+part(m), 2*chunkSize+7)

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
	finish(t, s)
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
		"state of another manifest": func(t *testing.T, dir string) *manifest.Manifest {
			other := build(t, changed)
			for _, suffix := range []string{"", ".state"} {
				if err := os.Rename(dir+"/"+part(m)+suffix, dir+"/"+part(other)+suffix); err != nil {
					t.Fatal(err)
				}
			}
			return other
		},
		"no state": func(t *testing.T, dir string) *manifest.Manifest {
			remove(t, dir+"/"+part(m)+".state")
			return m
		},
		"state cut off": func(t *testing.T, dir string) *manifest.Manifest {
			truncate(t, dir+"/"+part(m)+".state", 40)
			return m
		},
		"state of nothing": func(t *testing.T, dir string) *manifest.Manifest {
			truncate(t, dir+"/"+part(m)+".state", 0)
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
			got, err := root.ReadFile(part(now))
			if err != nil || !bytes.Equal(got, make([]byte, now.Size)) {
				t.Errorf("the part is not empty: %d bytes, %v", len(got), err)
			}
		})
	}
}

// Of a part that somebody has made shorter, or removed, what is left is taken up.
func TestOpenOfAPartCutOff(t *testing.T) {
	data, m := newFile(t, 3*chunkSize)
	for _, left := range []int64{3 * chunkSize, 2*chunkSize + 1, chunkSize, 1, 0} {
		root := newRoot(t)
		s := open(t, root, "f", m)
		for c := range m.Chunks() {
			put(t, s, data, c)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		truncate(t, root.Name()+"/"+part(m), left)
		s = open(t, root, "f", m)
		want := int(left / chunkSize)
		if kept, dropped, err := s.Rehash(t.Context(), nil); kept != want || dropped != 3-want || err != nil {
			t.Errorf("of %d bytes: Rehash = %d, %d, %v", left, kept, dropped, err)
		}
		for c := range m.Chunks() {
			if !s.Has(c) {
				put(t, s, data, c)
			}
		}
		finish(t, s)
		wantFiles(t, root, map[string][]byte{"f": data})
	}
}

// What somebody takes from a part that is being written is noticed before its place is taken
// by a hole.
func TestPartMadeShorter(t *testing.T) {
	data, m := newFile(t, 3*chunkSize)
	root := newRoot(t)
	s := open(t, root, "f", m)
	put(t, s, data, 0)
	truncate(t, root.Name()+"/"+part(m), 0)
	if _, err := s.Put(1, data[chunkSize:2*chunkSize]); !errors.Is(err, chunkstore.ErrDamaged) {
		t.Errorf("Put = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, root, "f", m)
	for c := range m.Chunks() {
		put(t, s, data, c)
	}
	truncate(t, root.Name()+"/"+part(m), 0)
	if err := s.Finish(t.Context(), ""); !errors.Is(err, chunkstore.ErrDamaged) {
		t.Errorf("Finish = %v", err)
	}
	truncate(t, root.Name()+"/"+part(m), m.Size)
	if err := s.Intact(); err != nil {
		t.Error(err)
	}
	remove(t, root.Name()+"/"+part(m))
	if err := s.Intact(); !errors.Is(err, chunkstore.ErrDamaged) {
		t.Errorf("Intact = %v", err)
	}
}

func TestOneWriterAPart(t *testing.T) {
	_, m := newFile(t, chunkSize)
	root := newRoot(t)
	s := open(t, root, "f", m)
	if s, err := in(root).Open("./f", m, m.ID()); s != nil || !errors.Is(err, chunkstore.ErrInUse) {
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
	if _, err := in(root).OpenComplete("f", m, m.ID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := root.WriteFile("f", data, 0o600); err != nil {
		t.Fatal(err)
	}
	corrupt(t, root.Name()+"/f", chunkSize)
	s, err := in(root).OpenComplete("f", m, m.ID())
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
	// A shorter file has the chunks that it has room for, a longer one is not whole.
	if err := root.WriteFile("f", data[:2*chunkSize+1], 0o600); err != nil {
		t.Fatal(err)
	}
	s = openComplete(t, root, m)
	if kept, dropped, err := s.Rehash(t.Context(), nil); kept != 2 || dropped != 0 || err != nil || s.Whole() {
		t.Errorf("shorter: Rehash = %d, %d, %v; whole %v", kept, dropped, err, s.Whole())
	}
	if err := root.WriteFile("f", append(bytes.Clone(data), 0), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openComplete(t, root, m)
	if kept, dropped, err := s.Rehash(t.Context(), nil); kept != 6 || dropped != 0 || err != nil || s.Whole() {
		t.Errorf("longer: Rehash = %d, %d, %v; whole %v", kept, dropped, err, s.Whole())
	}
	if err := errors.Join(root.Remove("f"), root.Mkdir("f", 0o755)); err != nil {
		t.Fatal(err)
	}
	if s, err := in(root).OpenComplete("f", m, m.ID()); s != nil || !errors.Is(err, chunkstore.ErrNotRegular) {
		t.Errorf("directory: %v", err)
	}
}

func openComplete(t *testing.T, root *os.Root, m *manifest.Manifest) *chunkstore.Store {
	t.Helper()
	s, err := in(root).OpenComplete("f", m, m.ID())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// What is right in a finished file that was damaged is taken into a part, which replaces it in
// the end. Until then the file is as it was, and under its other names it stays so.
func TestFill(t *testing.T) {
	data, m := newFile(t, 5*chunkSize+1)
	for name, damage := range map[string]func(t *testing.T, path string){
		"flipped": func(t *testing.T, path string) { corrupt(t, path, chunkSize) },
		"shorter": func(t *testing.T, path string) { truncate(t, path, 5*chunkSize-1) },
		"longer":  func(t *testing.T, path string) { truncate(t, path, 7*chunkSize) },
		"empty":   func(t *testing.T, path string) { truncate(t, path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			if err := root.WriteFile("f", data, 0o400); err != nil {
				t.Fatal(err)
			}
			damage(t, root.Name()+"/f")
			damaged, err := root.ReadFile("f")
			if err != nil {
				t.Fatal(err)
			}
			from := openComplete(t, root, m)
			held, _, err := from.Rehash(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			s := open(t, root, "f", m)
			if err := s.Fill(t.Context(), from); err != nil || s.Count() != held {
				t.Fatalf("Fill = %v, and %d chunks are held, want %d", err, s.Count(), held)
			}
			if err := root.Link("f", "mine"); err != nil {
				t.Fatal(err)
			}
			for c := range m.Chunks() {
				if !s.Has(c) {
					put(t, s, data, c)
				}
			}
			if now, err := root.ReadFile("f"); err != nil || !bytes.Equal(now, damaged) {
				t.Errorf("the damaged file was touched before it was replaced: %v", err)
			}
			finish(t, s)
			wantFiles(t, root, map[string][]byte{"f": data, "mine": damaged})
		})
	}
}

// What has become wrong since it was hashed is not taken.
func TestFillBelievesOnlyBytes(t *testing.T) {
	data, m := newFile(t, 3*chunkSize)
	root := newRoot(t)
	if err := root.WriteFile("f", data, 0o600); err != nil {
		t.Fatal(err)
	}
	from := openComplete(t, root, m)
	if _, _, err := from.Rehash(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	corrupt(t, root.Name()+"/f", 0)
	truncate(t, root.Name()+"/f", 2*chunkSize)
	s := open(t, root, "f", m)
	if err := s.Fill(t.Context(), from); err != nil || s.Count() != 1 || !s.Has(1) {
		t.Errorf("Fill = %v; %d chunks are held, want the second alone", err, s.Count())
	}
}

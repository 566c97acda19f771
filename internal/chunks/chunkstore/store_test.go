package chunkstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const chunkSize = 4096

func TestDownload(t *testing.T) {
	for name, size := range map[string]int{
		"empty": 0, "one byte": 1, "chunk-1": chunkSize - 1, "chunk": chunkSize, "chunk+1": chunkSize + 1, "many": 37*chunkSize + 5,
	} {
		t.Run(name, func(t *testing.T) {
			data, m := newFile(t, size)
			root := newRoot(t)
			s := open(t, root, "out.bin", m)
			for _, c := range rand.Perm(m.Chunks()) {
				if s.Complete() || s.Has(c) {
					t.Fatalf("chunk %d is held before it came", c)
				}
				put(t, s, data, c)
			}
			if !s.Complete() || s.Count() != m.Chunks() {
				t.Fatalf("%d of %d chunks", s.Count(), m.Chunks())
			}
			sum := sha256.Sum256(data)
			for range 2 { // finishing again is no error
				if err := errors.Join(s.Finish(t.Context(), hex.EncodeToString(sum[:])), s.Place(never)); err != nil {
					t.Fatal(err)
				}
			}
			wantFiles(t, root, map[string][]byte{"out.bin": data})
			got := make([]byte, size)
			if _, err := s.ReadAt(got, 0); err != nil && size > 0 || !bytes.Equal(got, data) {
				t.Errorf("reading after Finish: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			wantFiles(t, root, map[string][]byte{"out.bin": data})
		})
	}
}

func TestPut(t *testing.T) {
	data, m := newFile(t, 3*chunkSize+10)
	s := open(t, newRoot(t), "f", m)
	flipped := bytes.Clone(data[:chunkSize])
	flipped[0] ^= 1
	for _, tc := range []struct {
		name  string
		chunk int
		data  []byte
		fresh bool
		want  error
	}{
		{"wrong bytes", 0, flipped, false, manifest.ErrDigest},
		{"wrong length", 0, data[:10], false, manifest.ErrLength},
		{"no such chunk", 4, data[:10], false, manifest.ErrNoChunk},
		{"negative chunk", -1, data[:10], false, manifest.ErrNoChunk},
		{"right", 0, data[:chunkSize], true, nil},
		{"again", 0, data[:chunkSize], false, nil},
		{"again, wrong bytes", 0, flipped, false, nil},
		{"last, short one", 3, data[3*chunkSize:], true, nil},
	} {
		fresh, err := s.Put(tc.chunk, tc.data)
		if fresh != tc.fresh || !errors.Is(err, tc.want) {
			t.Errorf("%s: Put = %v, %v; want %v, %v", tc.name, fresh, err, tc.fresh, tc.want)
		}
	}
	if got := s.Bits(); !bytes.Equal(got, []byte{0b1001_0000}) {
		t.Errorf("bitmap %08b", got)
	}
	if s.Has(-1) || s.Has(4) {
		t.Error("holds chunks that do not exist")
	}
}

func TestConcurrentPuts(t *testing.T) {
	data, m := newFile(t, 64*chunkSize)
	s := open(t, newRoot(t), "f", m)
	var fresh atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, c := range rand.Perm(m.Chunks()) {
				ok, err := s.Put(c, data[m.Offset(c):][:m.Length(c)])
				if err != nil {
					t.Error(err)
				}
				if ok {
					fresh.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if fresh.Load() != 64 || !s.Complete() {
		t.Errorf("%d fresh chunks, %d held", fresh.Load(), s.Count())
	}
	if err := s.Finish(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

func TestReadAtGivesHeldBytesOnly(t *testing.T) {
	data, m := newFile(t, 3*chunkSize+10)
	s := open(t, newRoot(t), "f", m)
	put(t, s, data, 0)
	put(t, s, data, 1)
	put(t, s, data, 3)
	for _, tc := range []struct {
		name   string
		off, n int
		want   int
		err    error
	}{
		{"one chunk", 0, chunkSize, chunkSize, nil},
		{"across two", 100, chunkSize, chunkSize, nil},
		{"up to the gap", 0, 2 * chunkSize, 2 * chunkSize, nil},
		{"into the gap", 0, 2*chunkSize + 1, 0, chunkstore.ErrNotHeld},
		{"in the gap", 2*chunkSize + 5, 1, 0, chunkstore.ErrNotHeld},
		{"the end", 3 * chunkSize, 10, 10, nil},
		{"over the end", 3 * chunkSize, 11, 10, io.EOF},
		{"at the end", 3*chunkSize + 10, 1, 0, io.EOF},
		{"nothing", 0, 0, 0, nil},
	} {
		p := make([]byte, tc.n)
		n, err := s.ReadAt(p, int64(tc.off))
		if n != tc.want || !errors.Is(err, tc.err) || !bytes.Equal(p[:n], data[tc.off:][:n]) {
			t.Errorf("%s: ReadAt = %d, %v; want %d, %v", tc.name, n, err, tc.want, tc.err)
		}
	}
	if _, err := s.ReadAt(nil, -1); err == nil {
		t.Error("negative offset")
	}
	if _, _, _, err := s.Chunk(2); !errors.Is(err, chunkstore.ErrNotHeld) {
		t.Errorf("Chunk of the gap: %v", err)
	}
	if f, off, n, err := s.Chunk(3); f == nil || off != 3*chunkSize || n != 10 || err != nil {
		t.Errorf("Chunk(3) = %v, %d, %d, %v", f, off, n, err)
	}
}

func TestFinishRefuses(t *testing.T) {
	data, m := newFile(t, 2*chunkSize)
	root := newRoot(t)
	s := open(t, root, "f", m)
	put(t, s, data, 0)
	if err := s.Finish(t.Context(), ""); !errors.Is(err, chunkstore.ErrIncomplete) {
		t.Errorf("incomplete: %v", err)
	}
	put(t, s, data, 1)
	if err := s.Finish(t.Context(), "00ff"); !errors.Is(err, chunkstore.ErrSHA256) {
		t.Errorf("wrong SHA-256: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Finish(cancelled, "00ff"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := root.Stat("f"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the final name exists: %v", err)
	}
	// What stands under the part's name now was never verified.
	if err := errors.Join(s.Finish(t.Context(), ""), root.Remove(part(m)), root.WriteFile(part(m), []byte("evil"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Place(always); !errors.Is(err, chunkstore.ErrReplaced) {
		t.Errorf("replaced part: %v", err)
	}
}

// What has the final name is replaced only where that is allowed; the part stays.
func TestPlaceReplacesOnlyWhatItMay(t *testing.T) {
	data, m := newFile(t, 100)
	root := newRoot(t)
	s := open(t, root, "f", m)
	put(t, s, data, 0)
	if err := root.WriteFile("f", []byte("older"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Finish(t.Context(), ""), s.Place(never)); !errors.Is(err, chunkstore.ErrInTheWay) {
		t.Errorf("Place = %v", err)
	}
	if got, err := root.ReadFile("f"); string(got) != "older" {
		t.Errorf("the file in the way is now %q, %v", got, err)
	}
	if err := s.Place(always); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, root, map[string][]byte{"f": data})
}

func TestDiscard(t *testing.T) {
	data, m := newFile(t, 2*chunkSize)
	root := newRoot(t)
	s := open(t, root, "f", m)
	put(t, s, data, 0)
	for range 2 {
		if err := s.Discard(); err != nil {
			t.Fatal(err)
		}
	}
	wantFiles(t, root, nil)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Put(1, data[chunkSize:]); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Put after Discard: %v", err)
	}
	wantFiles(t, root, nil)
}

func TestDiscardKeepsAFinishedFile(t *testing.T) {
	data, m := newFile(t, 100)
	root := newRoot(t)
	s := open(t, root, "f", m)
	put(t, s, data, 0)
	finish(t, s)
	if err := s.Discard(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, root, map[string][]byte{"f": data})
}

func TestSource(t *testing.T) {
	data, m := newFile(t, 2*chunkSize+1)
	path := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := chunkstore.OpenSource(path, m)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Complete() || !bytes.Equal(s.Bits(), []byte{0b1110_0000}) {
		t.Errorf("%d chunks, bitmap %08b", s.Count(), s.Bits())
	}
	if fresh, err := s.Put(0, data[:chunkSize]); fresh || err != nil {
		t.Errorf("Put of a held chunk = %v, %v", fresh, err)
	}
	if err := errors.Join(s.Finish(t.Context(), ""), s.Discard()); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the source changed: %v", err)
	}
	if err := os.Truncate(path, 5); err != nil {
		t.Fatal(err)
	}
	if s, err := chunkstore.OpenSource(path, m); s != nil || !errors.Is(err, chunkstore.ErrSize) {
		t.Errorf("shortened source: %v", err)
	}
	if s, err := chunkstore.OpenSource(t.TempDir(), m); s != nil || !errors.Is(err, chunkstore.ErrNotRegular) {
		t.Errorf("directory as source: %v", err)
	}
}

func BenchmarkPut(b *testing.B) {
	const size = 64 << 10
	data := randomBytes(64 << 20)
	m, err := manifest.Build(b.Context(), "f", bytes.NewReader(data), int64(len(data)), size, nil)
	if err != nil {
		b.Fatal(err)
	}
	root := newRoot(b)
	b.SetBytes(size)
	b.ReportAllocs()
	var s *chunkstore.Store
	for c := m.Chunks(); b.Loop(); c++ {
		if c == m.Chunks() { // full: begin again
			b.StopTimer()
			if s != nil {
				if err := s.Discard(); err != nil {
					b.Fatal(err)
				}
			}
			s, c = open(b, root, "f", m), 0
			b.StartTimer()
		}
		if _, err := s.Put(c, data[c*size:][:size]); err != nil {
			b.Fatal(err)
		}
	}
}

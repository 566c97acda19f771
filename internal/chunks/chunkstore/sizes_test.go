package chunkstore_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"testing"

	"pgregory.net/rapid"

	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
)

// Whatever the chunk size, and wherever the file ends in its last chunk: a download that is broken
// off keeps its chunks, gives exactly the bytes that it has, and becomes the file.
func TestAnyChunkSize(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.Int64Range(manifest.MinChunkSize, 4*manifest.MinChunkSize).Draw(rt, "chunk size")
		last := rapid.OneOf(rapid.Just(int64(1)), rapid.Just(size), rapid.Int64Range(1, size)).Draw(rt, "last chunk")
		data := randomBytes(int(rapid.Int64Range(0, 9).Draw(rt, "whole chunks")*size + last))
		m, err := manifest.Build(t.Context(), "f", bytes.NewReader(data), int64(len(data)), size, nil)
		if err != nil {
			rt.Fatal(err)
		}
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			rt.Fatal(err)
		}
		defer root.Close()
		order := rapid.Permutation(chunksOf(m)).Draw(rt, "order")
		early := order[:rapid.IntRange(0, len(order)).Draw(rt, "before the end")]

		s := reopen(rt, root, m)
		for _, c := range early {
			put(rt, s, data, c)
		}
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
		s = reopen(rt, root, m)
		defer s.Close()
		if kept, dropped, err := s.Rehash(t.Context(), nil); kept != len(early) || dropped != 0 || err != nil {
			rt.Fatalf("Rehash = %d, %d, %v; want %d", kept, dropped, err, len(early))
		}
		var bytesHeld int64
		for _, c := range early {
			bytesHeld += int64(m.Length(c))
		}
		if s.Bytes() != bytesHeld {
			rt.Errorf("%d bytes held, want %d", s.Bytes(), bytesHeld)
		}
		for range 5 {
			readRange(rt, s, data)
		}
		for _, c := range order[len(early):] {
			put(rt, s, data, c)
		}
		for range 5 {
			readRange(rt, s, data)
		}
		sum := sha256.Sum256(data)
		if err := errors.Join(s.Finish(t.Context(), hex.EncodeToString(sum[:])), s.Place(always)); err != nil {
			rt.Fatal(err)
		}
		wantFiles(rt, root, map[string][]byte{"f": data})
	})
}

func chunksOf(m *manifest.Manifest) []int {
	all := make([]int, m.Chunks())
	for c := range all {
		all[c] = c
	}
	return all
}

func reopen(t *rapid.T, root *os.Root, m *manifest.Manifest) *chunkstore.Store {
	s, err := in(root).Open("f", m, m.ID())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// readRange reads some bytes, and compares: byte by byte it is known which are here.
func readRange(t *rapid.T, s *chunkstore.Store, data []byte) {
	from := rapid.IntRange(0, len(data)-1).Draw(t, "from")
	p := make([]byte, rapid.IntRange(1, len(data)-from).Draw(t, "bytes"))
	var want error
	for at := range p {
		if !s.Has((from + at) / int(s.Manifest().ChunkSize)) {
			want = chunkstore.ErrNotHeld
		}
	}
	n, err := s.ReadAt(p, int64(from))
	if !errors.Is(err, want) || want == nil && (n != len(p) || !bytes.Equal(p, data[from:][:n])) {
		t.Errorf("ReadAt(%d from %d) = %d, %v; want %v", len(p), from, n, err, want)
	}
}

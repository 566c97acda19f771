package chunkstore

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"

	"fanout/internal/chunks/manifest"
)

// A full disk is told as such, and the chunk is not held.
func TestPutOnAFullDisk(t *testing.T) {
	data := []byte("chunk")
	m, err := manifest.Build(t.Context(), "f", bytes.NewReader(data), int64(len(data)), manifest.MinChunkSize, nil)
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	s := newStore(m, &file{f: full, part: "f.part"})
	if fresh, err := s.Put(0, data); fresh || !errors.Is(err, syscall.ENOSPC) || s.Has(0) {
		t.Errorf("Put = %v, %v", fresh, err)
	}
}

package chunkstore

import (
	"bytes"
	"os"
	"testing"

	"fanout/internal/chunks/manifest"
)

// A finished file is not written to by whoever brought a chunk second: Finish waits for them.
func TestFinishWaitsForWriters(t *testing.T) {
	data := []byte("chunk")
	m, err := manifest.Build(t.Context(), "f", bytes.NewReader(data), int64(len(data)), manifest.MinChunkSize, nil)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s, err := Dir{Root: root, Own: ".fanout"}.Open("f", m, m.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Put(0, data); err != nil {
		t.Fatal(err)
	}
	s.writes.RLock() // as a second writer of the chunk does
	finished := make(chan error, 1)
	go func() { finished <- s.Finish(t.Context(), "") }()
	for s.writes.TryRLock() { // until Finish waits
		s.writes.RUnlock()
		select {
		case err := <-finished:
			t.Fatalf("Finish did not wait for the writer: %v", err)
		default:
		}
	}
	s.writes.RUnlock()
	if err := <-finished; err != nil {
		t.Error(err)
	}
}

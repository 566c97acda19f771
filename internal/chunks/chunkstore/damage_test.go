package chunkstore_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
)

// Bytes that were verified and are gone are an error that is told, never an end of file that
// looks like success.
func TestReadsOfAShortenedFile(t *testing.T) {
	data, m := newFile(t, 3*chunkSize)
	root := newRoot(t)
	s := open(t, root, "f", m)
	for c := range m.Chunks() {
		put(t, s, data, c)
	}
	finish(t, s)
	var told int
	s.OnDamage(func(err error) {
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
		told++
	})
	truncate(t, root.Name()+"/f", chunkSize+10)
	for _, off := range []int64{0, chunkSize, 2 * chunkSize} {
		p := make([]byte, 2*chunkSize)
		n, err := s.ReadAt(p[:min(len(p), len(data)-int(off))], off)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(p[:n], data[off:][:n]) {
			t.Errorf("ReadAt %d = %d, %v", off, n, err)
		}
	}
	a, b := tcpPair(t)
	go func() { _, _ = io.Copy(io.Discard, b) }()
	if _, err := s.SendTo(a, 2, 0, chunkSize, 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("SendTo: %v", err)
	}
	if told != 4 {
		t.Errorf("told %d times, want 4", told)
	}
	// A connection that breaks is not the file's fault, nor is a closed store.
	a.Close()
	if _, err := s.SendTo(a, 0, 0, chunkSize, 0); err == nil {
		t.Error("sent to a closed connection")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAt(make([]byte, 1), 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("ReadAt of a closed store: %v", err)
	}
	if told != 4 {
		t.Errorf("told %d times, want 4 still", told)
	}
}

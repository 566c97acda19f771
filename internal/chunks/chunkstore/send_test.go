package chunkstore_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
)

// Many senders share one file, and each sends its own bytes.
func TestSendToConcurrently(t *testing.T) {
	const size = 64<<10 + 1 // no multiple of a page
	data := randomBytes(20*size + 100)
	s := source(t, data, size)
	m := s.Manifest()
	var wg sync.WaitGroup
	for i := range 6 {
		burst := i % 2 * 10000
		out, in := tcpPair(t)
		chunks := rand.Perm(m.Chunks())
		wg.Go(func() {
			for _, c := range chunks {
				if n, err := s.SendTo(out, c, 0, m.Length(c), burst); int(n) != m.Length(c) || err != nil {
					t.Errorf("SendTo(%d) = %d, %v", c, n, err)
				}
			}
			_ = out.Close()
		})
		wg.Go(func() {
			got, err := io.ReadAll(in)
			if err != nil {
				t.Error(err)
			}
			for _, c := range chunks {
				if n := min(m.Length(c), len(got)); !bytes.Equal(got[:n], data[m.Offset(c):][:m.Length(c)]) {
					t.Errorf("chunk %d came wrong", c)
					return
				}
				got = got[m.Length(c):]
			}
		})
	}
	wg.Wait()
}

func TestSendToRanges(t *testing.T) {
	data := randomBytes(2*chunkSize + 10)
	s := source(t, data, chunkSize)
	out, in := tcpPair(t)
	for _, tc := range []struct {
		name           string
		chunk, from, n int
		burst          int
		want           error
	}{
		{"whole", 1, 0, chunkSize, 0, nil},
		{"middle", 1, 100, 200, 0, nil},
		{"end of the last", 2, 9, 1, 0, nil},
		{"in bursts", 1, 0, chunkSize, chunkSize / 4, nil},
		{"in bursts that do not fit", 1, 1, chunkSize - 1, 7, nil},
		{"in bursts of a byte", 2, 0, 10, 1, nil},
		{"in one burst", 1, 100, 200, chunkSize, nil},
		{"nothing", 0, chunkSize, 0, 0, nil},
		{"beyond the chunk", 0, 1, chunkSize, 0, chunkstore.ErrRange},
		{"beyond the file", 2, 0, 11, 0, chunkstore.ErrRange},
		{"negative from", 0, -1, 1, 0, chunkstore.ErrRange},
		{"negative n", 0, 0, -1, 0, chunkstore.ErrRange},
		{"no such chunk", 3, 0, 1, 0, chunkstore.ErrNotHeld},
	} {
		n, err := s.SendTo(out, tc.chunk, tc.from, tc.n, tc.burst)
		if !errors.Is(err, tc.want) || (err == nil && int(n) != tc.n) || (err != nil && n != 0) {
			t.Errorf("%s: SendTo = %d, %v; want %v", tc.name, n, err, tc.want)
		}
		if err != nil {
			continue
		}
		got := make([]byte, n)
		if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, data[tc.chunk*chunkSize+tc.from:][:n]) {
			t.Errorf("%s: wrong bytes, %v", tc.name, err)
		}
	}
}

// A receiver that does not read makes the sender wait, until its deadline.
func TestSendToHonoursTheDeadline(t *testing.T) {
	const size = 16 << 20
	s := source(t, make([]byte, size), size)
	out, _ := tcpPair(t)
	if err := out.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := s.SendTo(out, 0, 0, size, 0)
	if !errors.Is(err, os.ErrDeadlineExceeded) || n >= size {
		t.Errorf("SendTo = %d, %v", n, err)
	}
}

func TestSendToFails(t *testing.T) {
	const size = 1 << 20
	path := filepath.Join(t.TempDir(), "src")
	data := make([]byte, size)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Build(t.Context(), "f", bytes.NewReader(data), size, size, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := chunkstore.OpenSource(path, m)
	if err != nil {
		t.Fatal(err)
	}
	truncate(t, path, 1000)
	out, in := tcpPair(t)
	if n, err := s.SendTo(out, 0, 0, size, 0); n != 1000 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("shortened file: SendTo = %d, %v", n, err)
	}
	truncate(t, path, size)
	_ = in.Close()
	for err == nil { // until the reset has arrived
		_, err = s.SendTo(out, 0, 0, size, 0)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("receiver gone: %v", err)
	}
	_ = out.Close()
	if _, err := s.SendTo(out, 0, 0, size, 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed connection: %v", err)
	}
	_ = s.Close()
	if _, err := s.SendTo(out, 0, 0, size, 0); err == nil {
		t.Error("closed store: no error")
	}
}

func BenchmarkSendTo(b *testing.B) {
	const size = 64 << 10
	s := source(b, randomBytes(16<<20), size)
	out, in := tcpPair(b)
	go func() { _, _ = io.Copy(io.Discard, in) }()
	b.SetBytes(size)
	b.ReportAllocs()
	for c := 0; b.Loop(); c++ {
		if _, err := s.SendTo(out, c%s.Count(), 0, size, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func source(t testing.TB, data []byte, size int64) *chunkstore.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Build(t.Context(), "f", bytes.NewReader(data), int64(len(data)), size, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := chunkstore.OpenSource(path, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// tcpPair is the two ends of a real connection.
func tcpPair(t testing.TB) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

package faultline

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"fanout/internal/proving/patience"
)

// pair is both ends of a connection through a line, looked at in one direction.
type pair struct {
	t         *testing.T
	line      *Line
	ln        net.Listener
	direction Direction
	from, to  *net.TCPConn
	stream    *stream
}

// stream is what is sent in a direction: random, so that nothing is in its place by chance.
type stream struct {
	random, expected *rand.ChaCha8
	out              chan []byte // nil is the end
	written          chan error  // of each
}

func connect(t *testing.T, seed uint64, d Direction) pair {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	line := Start(t, seed)
	line.To(ln.Addr().String())
	return pair{t: t, line: line, ln: ln, direction: d}.another()
}

// another is a further connection.
func (p pair) another() pair {
	p.t.Helper()
	dialled, err := net.Dial("tcp", p.line.Address())
	if err != nil {
		p.t.Fatal(err)
	}
	accepted, err := p.ln.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.from, p.to = dialled.(*net.TCPConn), accepted.(*net.TCPConn)
	if p.direction == FromTarget {
		p.from, p.to = p.to, p.from
	}
	return p.looked()
}

// back is the same connection in the other direction.
func (p pair) back() pair {
	p.from, p.to, p.direction = p.to, p.from, 1-p.direction
	return p.looked()
}

// looked begins to send in the pair's direction.
func (p pair) looked() pair {
	s := &stream{rand.NewChaCha8([32]byte{}), rand.NewChaCha8([32]byte{}), make(chan []byte, 1<<10), make(chan error, 1<<10)}
	p.stream = s
	var wg sync.WaitGroup
	wg.Go(func() {
		for b := range s.out {
			if b == nil {
				p.from.CloseWrite()
				continue
			}
			_, err := p.from.Write(b)
			s.written <- err
		}
	})
	p.from.SetDeadline(patience.Deadline(p.t))
	p.to.SetDeadline(patience.Deadline(p.t))
	p.t.Cleanup(func() {
		p.from.Close()
		p.to.Close()
		close(s.out)
		wg.Wait()
	})
	return p
}

func (p pair) set(f Faults) { p.line.Set(p.direction, f) }

// send sends the next so many bytes, beside the test.
func (p pair) send(n int) {
	b := make([]byte, n)
	p.stream.random.Read(b)
	p.stream.out <- b
}

// end ends what is sent.
func (p pair) end() { p.stream.out <- nil }

// sent fails the test unless what was sent once is taken from the sender.
func (p pair) sent() {
	p.t.Helper()
	if err := <-p.stream.written; err != nil {
		p.t.Errorf("send: %v", err)
	}
}

// arrives fails the test unless the next so many bytes are what was sent.
func (p pair) arrives(n int) {
	p.t.Helper()
	if wrong := p.differences(n); len(wrong) > 0 {
		p.t.Fatalf("%d of %d bytes are not what was sent", len(wrong), n)
	}
}

// differences are the bytes that come otherwise than they were sent, by their place.
func (p pair) differences(n int) map[int]byte {
	p.t.Helper()
	got, want := make([]byte, n), make([]byte, n)
	if m, err := io.ReadFull(p.to, got); err != nil {
		p.t.Fatalf("%v after %d of %d bytes", err, m, n)
	}
	p.stream.expected.Read(want)
	wrong := map[int]byte{}
	for i, b := range want {
		if got[i] != b {
			wrong[i] = got[i]
		}
	}
	return wrong
}

// ends fails the test unless the next thing to be read is this error.
func (p pair) ends(want error) {
	p.t.Helper()
	if n, err := p.to.Read(make([]byte, 1)); n > 0 || !errors.Is(err, want) {
		p.t.Errorf("%d bytes and %v, want %v", n, err, want)
	}
}

func (p pair) nothingPasses() {
	p.t.Helper()
	time.Sleep(moment)
	if n := p.line.Bytes(p.direction); n > 0 {
		p.t.Errorf("%d bytes have passed", n)
	}
}

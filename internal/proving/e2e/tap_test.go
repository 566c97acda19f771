package e2e

import (
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"

	"fanout/internal/chunks/wire"
)

// tap is a relay in front of an origin's chunk port, which notes what goes over it: the
// daemons' own counters would not tell if they counted wrong.
type tap struct {
	ln net.Listener
	wg sync.WaitGroup

	mu     sync.Mutex
	origin string
	sent   map[int][]string // chunk -> IDs of the peers it was sent to
}

func newTap(t *testing.T) *tap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{ln: ln, sent: map[int][]string{}}
	p.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.relay(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close() // the relays end with the daemons, which a fleet stops before
		p.wg.Wait()
	})
	return p
}

// Address is what the origin is to advertise.
func (p *tap) Address() string { return p.ln.Addr().String() }

// to says where the origin is; nobody dials before it is published.
func (p *tap) to(origin string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.origin = origin
}

// take returns what was sent since the last take.
func (p *tap) take() map[int][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := maps.Clone(p.sent)
	clear(p.sent)
	for _, peers := range sent {
		slices.Sort(peers)
	}
	return sent
}

// relay passes bytes on, both ways, and reads along.
func (p *tap) relay(peer net.Conn) {
	defer peer.Close()
	p.mu.Lock()
	to := p.origin
	p.mu.Unlock()
	origin, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer origin.Close()
	who := make(chan string, 1)
	p.wg.Go(func() {
		hello, err := wire.NewReader(io.TeeReader(peer, origin)).ClientHello()
		who <- hello.Peer
		if err == nil {
			io.Copy(origin, peer)
		}
		origin.Close()
	})
	r := wire.NewReader(io.TeeReader(origin, peer))
	if _, err := r.Greeting(); err != nil {
		return
	}
	id := <-who
	if _, err := r.ServerHello(); err != nil {
		return
	}
	r.Speak(wire.Version) // or less: it is the same but for more words
	for {
		m, err := r.Next()
		if err == nil && (m.Kind == wire.KindBits || m.Kind == wire.KindData) {
			err = r.Discard(m.Bytes)
		}
		if err != nil {
			return
		}
		if m.Kind == wire.KindData {
			p.mu.Lock()
			p.sent[m.Chunk] = append(p.sent[m.Chunk], id)
			p.mu.Unlock()
		}
	}
}

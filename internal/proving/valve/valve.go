// Package valve stops transfers in the middle, for tests of what happens there: with a limited
// rate, the middle would be a time, and over before a slow machine has looked.
package valve

import (
	"context"
	"io"
	"math"
	"net"
	"sync"
	"testing"

	"fanout/internal/chunks/wire"
)

// Valve is a relay in front of a daemon's chunk port. It passes so many bytes to each peer, over
// all its sessions, and further ones as it is opened.
type Valve struct {
	ln  net.Listener
	ctx context.Context // ends with the test
	wg  sync.WaitGroup

	mu     sync.Mutex
	to     string
	most   int64
	turned chan struct{}    // closed, and another one, by Let
	passed map[string]int64 // by peer ID, since the last Let
}

// New makes a valve that is shut after so many bytes.
func New(t testing.TB, most int64) *Valve {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	v := &Valve{most: most, ln: ln, ctx: ctx, turned: make(chan struct{}), passed: map[string]int64{}}
	v.wg.Go(v.accept)
	t.Cleanup(func() {
		ln.Close()
		cancel()
		v.wg.Wait()
	})
	return v
}

// Address is what the daemon behind the valve is to advertise.
func (v *Valve) Address() string { return v.ln.Addr().String() }

// To says where the daemon listens. Nobody may dial the valve before.
func (v *Valve) To(address string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.to = address
}

// Let lets so many bytes more pass to each peer.
func (v *Valve) Let(more int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.most = more
	clear(v.passed)
	close(v.turned)
	v.turned = make(chan struct{})
}

// Open lets everything pass.
func (v *Valve) Open() { v.Let(math.MaxInt64) }

func (v *Valve) accept() {
	for {
		peer, err := v.ln.Accept()
		if err != nil {
			return
		}
		v.wg.Go(func() { v.relay(peer) })
	}
}

// relay passes bytes on, both ways, until either side hangs up.
func (v *Valve) relay(peer net.Conn) {
	v.mu.Lock()
	to := v.to
	v.mu.Unlock()
	daemon, err := net.Dial("tcp", to)
	if err != nil {
		peer.Close()
		return
	}
	hangUp := func() { peer.Close(); daemon.Close() }
	defer hangUp()
	defer context.AfterFunc(v.ctx, hangUp)()
	who := make(chan string, 1)
	v.wg.Go(func() {
		defer hangUp()
		hello, err := wire.NewReader(io.TeeReader(peer, daemon)).ClientHello()
		who <- hello.Peer
		if err == nil {
			io.Copy(daemon, peer)
		}
	})
	var buffer [32 << 10]byte
	for id, heard := "", false; ; {
		n, err := daemon.Read(buffer[:])
		if n > 0 && heard && !v.pass(id, int64(n)) {
			return
		}
		if _, broken := peer.Write(buffer[:n]); err != nil || broken != nil {
			return
		}
		if !heard { // that was the greeting, after which the daemon waits for the HELLO
			id, heard = <-who, true
		}
	}
}

// pass waits until bytes may pass to a peer; false if the test is over.
func (v *Valve) pass(id string, n int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for v.passed[id]+n > v.most {
		turned := v.turned
		v.mu.Unlock()
		select {
		case <-turned:
		case <-v.ctx.Done():
		}
		v.mu.Lock()
		if v.ctx.Err() != nil {
			return false
		}
	}
	v.passed[id] += n
	return true
}

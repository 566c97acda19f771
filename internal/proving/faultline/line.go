package faultline

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

// SeedVariable is the environment variable with which a seed is given again.
const SeedVariable = "FAULTLINE_SEED"

// Seed is a new seed, or the one that is given in the environment. The test's log has it.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv(SeedVariable); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("%s: %v", SeedVariable, err)
		}
	}
	t.Logf("faults of %s=%d", SeedVariable, seed)
	return seed
}

// Line is a relay with faults. Its methods may be called by several goroutines at a time.
type Line struct {
	ln   *net.TCPListener
	seed uint64
	ways [2]way // by Direction
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex
	target string
	count  uint64
	open   map[*connection]struct{}
}

// Start makes a line without faults, which is closed when the test ends.
func Start(t testing.TB, seed uint64) *Line {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{ln: ln, seed: seed, open: map[*connection]struct{}{}}
	for d := range l.ways {
		l.ways[d].changed = make(chan struct{})
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.wg.Go(l.accept)
	t.Cleanup(l.Close)
	return l
}

// Address is what the daemon behind the line is to advertise.
func (l *Line) Address() string { return l.ln.Addr().String() }

// To says where the daemon listens. Who dials the line before is reset, as is everybody while
// the daemon cannot be reached.
func (l *Line) To(target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = target
}

// Set replaces the faults of one direction, for connections that are open and for new ones. What
// waits in the line is passed on as the new ones have it.
func (l *Line) Set(d Direction, f Faults) { l.ways[d].set(f) }

// Reset resets the connections that are open, both their sides.
func (l *Line) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		c.reset()
	}
}

// Bytes is how many were passed on in a direction.
func (l *Line) Bytes(d Direction) int64 {
	l.ways[d].mu.Lock()
	defer l.ways[d].mu.Unlock()
	return l.ways[d].passed
}

// Connections is how many were accepted, open or not.
func (l *Line) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.count)
}

// Close ends all connections, and returns when nothing of the line is left.
func (l *Line) Close() {
	l.stop()
	l.ln.Close()
	l.wg.Wait()
}

func (l *Line) accept() {
	for {
		from, err := l.ln.AcceptTCP()
		if err != nil {
			return
		}
		l.mu.Lock()
		number, target := l.count, l.target
		l.count++
		l.mu.Unlock()
		l.wg.Go(func() { l.relay(number, from, target) })
	}
}

// relay passes bytes on, both ways, until both have ended or the connection is reset.
func (l *Line) relay(number uint64, from *net.TCPConn, target string) {
	var dialer net.Dialer
	to, err := dialer.DialContext(l.ctx, "tcp", target)
	if err != nil {
		from.SetLinger(0)
		from.Close()
		return
	}
	c := newConnection(l.ctx, from, to.(*net.TCPConn))
	l.mu.Lock()
	l.open[c] = struct{}{}
	l.mu.Unlock()
	c.run(&l.ways, l.seed, number)
	l.mu.Lock()
	delete(l.open, c)
	l.mu.Unlock()
}

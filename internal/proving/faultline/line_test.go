package faultline

import (
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	kib = 1 << 10
	// moment is how long a test looks whether something passes that must not.
	moment = 50 * time.Millisecond
)

// Each fault does to one direction what it says, whichever it is, and nothing to the other.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		faults Faults
		check  func(t *testing.T, p pair)
	}{
		"none": {Faults{}, func(t *testing.T, p pair) {
			p.send(300 * kib)
			p.end()
			p.arrives(300 * kib)
			p.ends(io.EOF)
		}},
		"delay": {Faults{Delay: moment, Jitter: moment}, func(t *testing.T, p pair) {
			began := time.Now()
			for range 5 {
				p.send(10 * kib) // in order, whatever the jitter
			}
			p.end()
			p.arrives(1)
			if took := time.Since(began); took < moment {
				t.Errorf("the first byte came after %v", took)
			}
			p.arrives(50*kib - 1)
			p.ends(io.EOF)
		}},
		"delay that is ended": {Faults{Delay: time.Hour}, func(t *testing.T, p pair) {
			p.send(10 * kib)
			p.nothingPasses()
			p.set(Faults{})
			p.arrives(10 * kib)
		}},
		"jitter alone": {Faults{Jitter: 1000 * time.Hour}, func(t *testing.T, p pair) {
			p.send(10 * kib)
			p.nothingPasses()
			p.set(Faults{})
			p.arrives(10 * kib)
		}},
		"rate": {Faults{Rate: 256 * kib}, func(t *testing.T, p pair) {
			began := time.Now()
			other := p.another()
			for _, p := range []pair{p, other} {
				p.send(32 * kib)
			}
			for got := int64(0); got < 64*kib; got += 2 * kib {
				p.arrives(kib)
				other.arrives(kib)
				may := 256*kib/partsASecond + int64(256*kib*time.Since(began).Seconds())
				if passed := p.line.Bytes(p.direction); passed > may || got > passed {
					t.Fatalf("%d bytes have passed and %d come, when %d might", passed, got, may)
				}
			}
		}},
		"rate that is raised": {Faults{Rate: 1}, func(t *testing.T, p pair) {
			p.send(10 * kib)
			p.arrives(1)
			p.set(Faults{})
			p.arrives(10*kib - 1)
		}},
		"stall": {Faults{Stall: true}, func(t *testing.T, p pair) {
			p.send(10 * kib)
			p.end()
			p.nothingPasses()
			p.set(Faults{})
			p.arrives(10 * kib)
			p.ends(io.EOF)
		}},
		"half-close": {Faults{HalfCloseAfter: 5000}, func(t *testing.T, p pair) {
			p.send(16 << 20) // more than fits anywhere: it is taken, and lost
			p.arrives(5000)
			p.ends(io.EOF)
			p.sent()
		}},
		"half-close of one that has passed more": {Faults{}, func(t *testing.T, p pair) {
			p.send(5000)
			p.arrives(5000)
			p.set(Faults{HalfCloseAfter: 1})
			p.ends(io.EOF)
		}},
		"corruption that begins later": {Faults{}, func(t *testing.T, p pair) {
			p.send(5000)
			p.arrives(5000)
			p.set(Faults{CorruptEvery: 1})
			p.send(5000)
			if changed := len(p.differences(5000)); changed != 5000 {
				t.Errorf("%d of 5000 bytes were changed", changed)
			}
		}},
		"corruption": {Faults{CorruptEvery: kib}, func(t *testing.T, p pair) {
			p.send(1024 * kib)
			changed := len(p.differences(1024 * kib))
			if changed < 512 || changed > 2048 {
				t.Errorf("%d of 1 MiB bytes were changed, want about 1024", changed)
			}
		}},
	} {
		for d, to := range []string{"to the target", "from the target"} {
			t.Run(name+", "+to, func(t *testing.T) {
				p := connect(t, Seed(t), Direction(d))
				p.set(c.faults)
				c.check(t, p)
				back := p.back()
				back.send(100 * kib)
				back.arrives(100 * kib)
			})
		}
	}
}

// A reset is seen as one by both sides; on command, or after so many bytes.
func TestReset(t *testing.T) {
	const after = 5000
	for name, reset := range map[string]func(p pair){
		"on command": func(p pair) {
			p.send(after)
			p.arrives(after)
			p.line.Reset()
		},
		"after so many bytes": func(p pair) {
			p.set(Faults{ResetAfter: after})
			p.send(after)
		},
		"of one that has passed more": func(p pair) {
			p.send(after)
			p.arrives(after)
			p.set(Faults{ResetAfter: 1})
		},
		"by a sender": func(p pair) {
			p.from.SetLinger(0)
			p.from.Close()
		},
	} {
		for d, to := range []string{"to the target", "from the target"} {
			t.Run(name+", "+to, func(t *testing.T) {
				p := connect(t, Seed(t), Direction(d))
				reset(p)
				if n, err := io.Copy(io.Discard, p.to); n > after || !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the receiver got %d bytes more, and %v", n, err)
				}
				if name != "by a sender" {
					p.back().ends(syscall.ECONNRESET)
				}
				p.set(Faults{})
				next := p.another()
				next.send(kib)
				next.arrives(kib)
				if n := p.line.Connections(); n != 2 {
					t.Errorf("%d connections, want 2", n)
				}
			})
		}
	}
}

// With one seed the same bytes of the same connection are changed to the same, however they
// were sent; each connection and direction has its own, and so has each seed.
func TestCorruptionIsRepeatable(t *testing.T) {
	const size, every = 256 * kib, 4 * kib
	run := func(seed uint64, d Direction, slice int) (first, second map[int]byte) {
		p := connect(t, seed, d)
		p.set(Faults{CorruptEvery: every})
		wrong := func(p pair) map[int]byte {
			for range size / slice {
				p.send(slice)
			}
			return p.differences(size)
		}
		return wrong(p), wrong(p.another())
	}
	first, second := run(7, ToTarget, size)
	again, secondAgain := run(7, ToTarget, 512)
	if !maps.Equal(first, again) || !maps.Equal(second, secondAgain) {
		t.Errorf("with one seed, %d, %d bytes were changed, and then others, %d, %d", len(first), len(second), len(again), len(secondAgain))
	}
	other, _ := run(8, ToTarget, size)
	back, _ := run(7, FromTarget, size)
	for what, o := range map[string]map[int]byte{"connection": second, "seed": other, "direction": back} {
		if len(o) == 0 || maps.Equal(first, o) {
			t.Errorf("another %s is changed in the same way, %d bytes", what, len(o))
		}
	}
}

// Once a stall is set nothing passes, however much was passing.
func TestStallIsStrict(t *testing.T) {
	p := connect(t, Seed(t), ToTarget)
	for range 400 {
		p.send(256 * kib)
	}
	go io.Copy(io.Discard, p.to) // until the test ends
	for range 100 {
		before := p.line.Bytes(ToTarget)
		p.set(Faults{})
		for p.line.Bytes(ToTarget) == before {
			runtime.Gosched()
		}
		p.set(Faults{Stall: true})
		passed := p.line.Bytes(ToTarget)
		time.Sleep(100 * time.Microsecond)
		if now := p.line.Bytes(ToTarget); now > passed {
			t.Fatalf("%d bytes have passed, %d before the stall", now, passed)
		}
	}
}

// A sender feels that nothing passes: what waits is bounded. Closing the line ends all that.
func TestBoundsAndClose(t *testing.T) {
	p := connect(t, Seed(t), ToTarget)
	p.set(Faults{Stall: true})
	p.from.SetWriteBuffer(received)
	p.from.SetWriteDeadline(time.Now().Add(4 * moment))
	n, err := p.from.Write(make([]byte, 64<<20))
	if most := 2 << 20; n > most || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the line has taken %d bytes, %v; want at most %d", n, err, most)
	}
	p.line.Close()
	if _, err := p.to.Read(make([]byte, 1)); err == nil {
		t.Error("something passed when the line was closed")
	}
	if _, err := p.from.Read(make([]byte, 1)); err == nil {
		t.Error("the sender still has a connection")
	}
	if c, err := net.Dial("tcp", p.line.Address()); err == nil {
		c.Close()
		t.Error("the line still listens")
	}
}

// Who dials a daemon that is not there is reset.
func TestNoTarget(t *testing.T) {
	line := Start(t, Seed(t))
	c, err := net.Dial("tcp", line.Address())
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) { // it may be reset before the dial has returned
		t.Errorf("got %v", err)
	}
}

// A seed can be given again.
func TestSeed(t *testing.T) {
	t.Setenv(SeedVariable, "")
	if one, other := Seed(t), Seed(t); one == other {
		t.Error("the same seed twice")
	}
	t.Setenv(SeedVariable, "18446744073709551615")
	if got := Seed(t); got != 1<<64-1 {
		t.Errorf("seed %d", got)
	}
}

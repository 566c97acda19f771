package chunkserver_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/wire"
)

// Loopback is a short path: what either side of a session sends is sent by Reno, from the
// handshake on, whatever the machine's default.
func TestShortPathIsFair(t *testing.T) {
	otherControl(t)
	f := newFile(t, 1, 4<<10)
	a, b := source(t, f, nil), sink(t, f, nil)
	var got []string
	for range 10 { // a busy machine may take 5 ms for a handshake on loopback
		dialled, accepted := b.pair(t, a)
		got = []string{congestion(t, dialled), congestion(t, accepted)}
		if slices.Equal(got, []string{"reno", "reno"}) {
			return
		}
	}
	t.Errorf("the side that dialled has %s, the other %s, want reno", got[0], got[1])
}

// While it sends, a session looks again.
func TestSenderLooksAgain(t *testing.T) {
	other := otherControl(t)
	f := newFile(t, 8, 64<<10)
	a, b := source(t, f, func(c *chunkserver.Config) { c.Limits.Look = 0 }), sink(t, f, nil)
	a.answer = serve
	dialled, accepted := b.pair(t, a)
	if err := chunkserver.SetCongestion(accepted, other); err != nil {
		t.Fatal(err)
	}
	for c := range f.m.Chunks() {
		dialled.Send(wire.KindGet, c)
	}
	b.await(t, "all chunks", func(x *seen) bool { return len(x.landed) == f.m.Chunks() })
	if got := congestion(t, accepted); got != "reno" {
		t.Errorf("the sender has %s, want reno", got)
	}
}

// pair opens a session with another daemon, on both sides of which the writer is at work.
func (d *daemon) pair(t *testing.T, to *daemon) (dialled, accepted *chunkserver.Session) {
	t.Helper()
	here, there := 0, 0
	d.look(func(x *seen) { here = len(x.got) })
	to.look(func(x *seen) { there = len(x.got) })
	dialled = d.dial(t, to)
	dialled.Send(wire.KindHave, 0)
	to.await(t, "a line", func(x *seen) bool { return len(x.got) > there })
	to.look(func(x *seen) { accepted = x.opened[len(x.opened)-1] })
	accepted.Send(wire.KindHave, 0)
	d.await(t, "a line", func(x *seen) bool { return len(x.got) > here })
	return dialled, accepted
}

func congestion(t *testing.T, s *chunkserver.Session) string {
	t.Helper()
	name, err := chunkserver.Congestion(s)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// otherControl is a congestion control besides Reno that this machine lets the test use; the test
// is skipped where there is none, or where Reno is not allowed.
func otherControl(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
	if err != nil {
		t.Skip(err)
	}
	allowed := strings.Fields(string(text))
	i := slices.IndexFunc(allowed, func(name string) bool { return name != "reno" })
	if i < 0 || !slices.Contains(allowed, "reno") {
		t.Skipf("needs reno and another congestion control, and %v are allowed", allowed)
	}
	return allowed[i]
}

package swarm

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
	"fanout/internal/proving/patience"
)

// When Run returns every session is closed, also one whose opening it has not seen yet, and
// sessions that come later are closed at once. Else the other side would have a neighbour
// that keeps the connection alive and never answers.
func TestRunLeavesNoSessionOpen(t *testing.T) {
	r := newRig(t, Swarm, 2)
	server := chunkserver.New(chunkserver.Config{
		Self: "m", Slots: 1, BufferBytes: 1 << 20, Limits: chunkserver.DefaultLimits(),
		Lookup: func(manifest.ID, string) (*chunkserver.Target, error) { return r.Target(), nil },
	})
	defer server.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, ln) }()
	defer func() { stop(); <-served }()
	var conns []net.Conn
	call := func(peer string) {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		c.SetDeadline(patience.Deadline(t))
		in := wire.NewReader(c)
		if _, err := in.Greeting(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "HELLO %s %s 1 -\n", r.target.ID, peer)
		if _, err := in.ServerHello(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		call(fmt.Sprint("early", i))
	}
	patience.Await(t, "word of ten sessions", func() bool { return len(r.events) == 10 })
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(over); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		call(fmt.Sprint("late", i))
	}
	for i, c := range conns {
		_, err := io.Copy(io.Discard, c)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Errorf("session %d was left open", i)
		}
		c.Close()
	}
}

// Run ends with its context, having closed its sessions and told the tracker that it left.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2)
		r.tracker.reply = Reply{Interval: time.Minute, Origins: []Contact{{"o", "o:1"}}}
		stop := r.run()
		time.Sleep(time.Second)
		a := &fake{rig: r, peer: "a"}
		r.post(func() { r.opened(a, nil) })
		synctest.Wait()
		stop()
		if !a.ended {
			t.Error("a session was left open")
		}
		if all := r.tracker.announced(); len(all) == 0 || !all[len(all)-1].Left {
			t.Error("the tracker was not told")
		}
		taken := 0
		for range 2 * eventBuffer { // none of which may wait for ever
			if r.post(func() {}) {
				taken++
			}
		}
		if taken > len(r.events) {
			t.Errorf("%d events were taken, %d are there: something goes on after the end", taken, len(r.events))
		}
	})
}

// A tracker that names no interval is not called without pause.
func TestAnnounceInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2)
		stop := r.run()
		time.Sleep(time.Second)
		stop()
		if n := len(r.tracker.announced()); n > 30 {
			t.Errorf("%d announces in a second", n)
		}
	})
}

// A store that fails ends the download with its error; the disk may be full.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Swarm, 2)
		r.tracker.reply.Interval = time.Minute
		ended := make(chan error)
		go func() { ended <- r.Run(t.Context()) }()
		a := &fake{rig: r, peer: "a"}
		full := fmt.Errorf("disk full")
		r.post(func() { r.opened(a, nil) })
		r.post(func() { r.landed(a, nil, chunkserver.Landing{Err: full}) })
		if err := <-ended; err == nil || err.Error() != "store chunk 0: disk full" || !a.ended {
			t.Errorf("%v, session ended %v", err, a.ended)
		}
	})
}

// A chunk that is stored while the download ends is counted, although Run hears of it no more.
func TestLateChunkIsCounted(t *testing.T) {
	r := newRig(t, Swarm, 2)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(over); err != nil {
		t.Fatal(err)
	}
	h := &handler{d: r.Download, contact: &contact{origin: true}}
	for range eventBuffer + 1 { // more than would fit into the channel
		h.Landed(nil, chunkserver.Landing{Bytes: chunkSize, Fresh: true})
	}
	h.Landed(nil, chunkserver.Landing{Bytes: chunkSize, Err: manifest.ErrDigest})
	if got, want := r.cfg.Progress.Snapshot().FromOrigin, int64(chunkSize*(eventBuffer+1)); got != want {
		t.Errorf("%d bytes were counted, want %d", got, want)
	}
	if got := r.landings.Load(); got != eventBuffer+1 {
		t.Errorf("%d chunks were observed, want %d", got, eventBuffer+1)
	}
}

// A second BITS adds to the first: what a neighbour said to hold it still holds.
func TestBitsAdd(t *testing.T) {
	r := newRig(t, Swarm, 10).begin()
	a := r.caller("a")
	a.shows(1)
	a.shows(2)
	a.says(wire.KindHave, 3)
	a.shows(4)
	for _, c := range []int{1, 2, 3, 4} {
		if !r.links[a].nb.Holds(c) {
			t.Errorf("chunk %d is no longer held", c)
		}
	}
	a.says(wire.KindNone, 1)
	if r.links[a].nb.Holds(1) {
		t.Error("chunk 1 is held by one that has refused it")
	}
}

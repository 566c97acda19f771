package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
	"fanout/internal/proving/patience"
	"fanout/peerd/swarm"
)

// When Run returns every session is closed, also one whose opening it has not seen yet, and
// sessions that come later are closed at once. Else the other side would have a neighbour
// that keeps the connection alive and never answers.
func TestRunLeavesNoSessionOpen(t *testing.T) {
	r := newRig(t, swarm.Swarm, 2)
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

// That a slot was lent, or a chunk sent, is told, and of the room that there is then.
func TestTellsOfRoom(t *testing.T) {
	for name, tc := range map[string]struct {
		slots  int
		happen func(h *handler, s *chunkserver.Session)
		want   []exchange.Event
	}{
		"lent":              {2, func(h *handler, s *chunkserver.Session) { h.Lent(s) }, []exchange.Event{exchange.Lent{To: 1}, exchange.Spare{Sends: 2}}},
		"lent, and no room": {0, func(h *handler, s *chunkserver.Session) { h.Lent(s) }, []exchange.Event{exchange.Lent{To: 1}}},
		"sent":              {2, func(h *handler, s *chunkserver.Session) { h.Sent(s, 1) }, []exchange.Event{exchange.Sent{To: 1, Chunk: 1}, exchange.Spare{Sends: 2}}},
		"sent, and no room": {0, func(h *handler, s *chunkserver.Session) { h.Sent(s, 1) }, []exchange.Event{exchange.Sent{To: 1, Chunk: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, swarm.Swarm, 2)
			server := chunkserver.New(chunkserver.Config{
				Self: "m", Slots: tc.slots, BufferBytes: 1 << 20, Limits: chunkserver.DefaultLimits(),
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
			if err := server.Dial(ctx, ln.Addr().String(), r.Target()); err != nil {
				t.Fatal(err)
			}
			patience.Await(t, "both ends of a session", func() bool { return r.sessions.find(2) != nil && len(r.events) == 2 })
			for range 2 {
				<-r.events
			}
			tc.happen(&handler{d: r.Download}, r.sessions.find(1).(*opened).session.(*chunkserver.Session))
			for _, want := range tc.want {
				if got := <-r.events; got != want {
					t.Errorf("%#v, want %#v", got, want)
				}
			}
			if len(r.events) != 0 {
				t.Errorf("and %#v", <-r.events)
			}
		})
	}
}

// While there is room a neighbour who lacks what is held here is told so, and not while there is none.
func TestOffersRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, swarm.Swarm, 2)
		r.puts(1)
		r.tracker.reply = exchange.Answered{Interval: time.Hour}
		stop := r.run()
		defer stop()
		synctest.Wait()
		a := &fake{id: 1}
		r.sessions.add(a)
		r.post(exchange.Opened{ID: 1, Peer: "a", Version: 2})
		r.post(exchange.Got{From: 1, Message: wire.Message{Kind: wire.KindBits, Bytes: 1}, Payload: []byte{0}})
		offers := func() (n int) {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			for _, did := range a.carried() {
				if send, is := did.(exchange.Send); is && send.Kind == wire.KindRoom {
					n++
				}
			}
			return n
		}
		if n := offers(); n != 0 {
			t.Fatalf("%d offers although there is no room", n)
		}
		a.room.Store(1)
		if n := offers(); n != 1 {
			t.Errorf("%d offers, want 1, and no other before that is answered", n)
		}
	})
}

// Run ends with its context, having closed its sessions and told the tracker that it left.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, swarm.Swarm, 2)
		r.tracker.reply = exchange.Answered{Interval: time.Minute, Origins: []exchange.Contact{{ID: "o", Address: "o:1"}}}
		stop := r.run()
		time.Sleep(time.Second)
		a := r.opens(1, "a")
		synctest.Wait()
		stop()
		if !a.ended.Load() {
			t.Error("a session was left open")
		}
		if all := r.tracker.announced(); len(all) == 0 || !all[len(all)-1].Left {
			t.Error("the tracker was not told")
		}
		taken := 0
		for range 2 * eventBuffer { // none of which may wait for ever
			if r.post(exchange.Tick{}) {
				taken++
			}
		}
		if taken > len(r.events) {
			t.Errorf("%d events were taken, %d are there: something goes on after the end", taken, len(r.events))
		}
	})
}

// A store that fails ends the download with its error; the disk may be full.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, swarm.Swarm, 2)
		r.tracker.reply.Interval = time.Minute
		ended := make(chan error)
		go func() { ended <- r.Run(t.Context()) }()
		a := r.opens(1, "a")
		full := fmt.Errorf("disk full")
		r.post(exchange.Landed{From: a.id, Err: full})
		if err := <-ended; err == nil || err.Error() != "store chunk 0: disk full" || !a.ended.Load() {
			t.Errorf("%v, session ended %v", err, a.ended.Load())
		}
	})
}

// A chunk that is stored while the download ends is counted, although Run hears of it no more.
func TestLateChunkIsCounted(t *testing.T) {
	r := newRig(t, swarm.Swarm, 2)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(over); err != nil {
		t.Fatal(err)
	}
	h, s := &handler{d: r.Download, origin: true}, &chunkserver.Session{}
	for range eventBuffer + 1 { // more than would fit into the channel
		h.Landed(s, chunkserver.Landing{Bytes: chunkSize, Fresh: true})
	}
	h.Landed(s, chunkserver.Landing{Bytes: chunkSize, Err: manifest.ErrDigest})
	if got, want := r.cfg.Progress.Snapshot().FromOrigin, int64(chunkSize*(eventBuffer+1)); got != want {
		t.Errorf("%d bytes were counted, want %d", got, want)
	}
	if got := r.landings.Load(); got != eventBuffer+1 {
		t.Errorf("%d chunks were observed, want %d", got, eventBuffer+1)
	}
}

// What comes is counted by where it came from; what was held already, as a duplicate.
func TestCounts(t *testing.T) {
	r := newRig(t, swarm.Direct, 2)
	origin, peer := &handler{d: r.Download, origin: true}, &handler{d: r.Download}
	s := &chunkserver.Session{}
	origin.Landed(s, chunkserver.Landing{Bytes: 3, Fresh: true})
	peer.Landed(s, chunkserver.Landing{Bytes: 5, Fresh: true})
	peer.Landed(s, chunkserver.Landing{Bytes: 7})
	got, want := r.cfg.Progress.Snapshot(), Snapshot{FromOrigin: 3, FromPeers: 5, Duplicates: 7}
	if got != want || r.landings.Load() != 3 || r.duplicates.Load() != 1 {
		t.Errorf("%+v, want %+v; %d landings of %d duplicates observed", got, want, r.landings.Load(), r.duplicates.Load())
	}
}

// Word of a chunk may be lost with the run that it was meant for: the store has it.
func TestCompleteWithoutWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, swarm.Swarm, 2)
		r.tracker.reply = exchange.Answered{Interval: time.Hour}
		stop := r.run()
		synctest.Wait()
		r.puts(0)
		r.puts(1)
		time.Sleep(500 * time.Millisecond)
		stop()
		if r.complete != 1 {
			t.Errorf("Complete called %d times, want once", r.complete)
		}
	})
}

// So may word of one chunk among many: it is served nevertheless.
func TestServesWithoutWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, swarm.Swarm, 3)
		r.tracker.reply = exchange.Answered{Interval: time.Hour}
		stop := r.run()
		defer stop()
		synctest.Wait()
		a := r.opens(1, "a")
		r.puts(2)
		time.Sleep(500 * time.Millisecond)
		r.post(exchange.Got{From: 1, Message: wire.Message{Kind: wire.KindGet, Chunk: 2}})
		synctest.Wait()
		if did := a.carried(); !slices.Contains(did, exchange.Action(exchange.Upload{To: 1, Chunk: 2})) {
			t.Errorf("it did %v", did)
		}
		if r.complete > 0 {
			t.Error("Complete was called with a chunk of three")
		}
	})
}

// Of a chunk that is stored before the download has its table, and is seen then, word comes after:
// it counts once.
func TestPushBeforeTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, swarm.Static, 3)
		r.tracker.err = errors.New("no peer is registered")
		r.tracker.reply = exchange.Answered{Interval: time.Hour}
		stop := r.run()
		defer stop()
		time.Sleep(time.Second)
		r.opens(1, "a")
		put := func(chunk int) {
			r.puts(chunk)
			r.post(exchange.Landed{From: 1, Chunk: chunk, Fresh: true})
		}
		put(0)
		r.tracker.settles("m:1", "m:1", "m:1")
		time.Sleep(tableMost + time.Second)
		put(1)
		time.Sleep(time.Second)
		synctest.Wait()
		if r.complete != 0 {
			t.Fatalf("Complete was called with %d chunks of 3", r.target.Store.Count())
		}
		put(2)
		time.Sleep(time.Second)
		synctest.Wait()
		if r.complete != 1 {
			t.Errorf("Complete was called %d times", r.complete)
		}
	})
}

// Wrong bytes are counted, and of an origin it is said why the download may not move.
func TestDistrust(t *testing.T) {
	r := newRig(t, swarm.Swarm, 2)
	r.carry(t.Context(), exchange.Distrust{Peer: "a", Chunk: 1})
	if noted, _ := r.cfg.Progress.reasons(); noted != "" {
		t.Error(noted)
	}
	r.carry(t.Context(), exchange.Distrust{Peer: "o", Origin: true, Chunk: 1})
	if noted, _ := r.cfg.Progress.reasons(); noted != "the origin o sent wrong bytes for chunk 1: has its file changed on disk?" {
		t.Error(noted)
	}
	if !slices.Equal(r.failures, []string{"a", "o"}) || r.cfg.Progress.Snapshot().VerifyFailures != 2 {
		t.Errorf("failures of %v, %+v", r.failures, r.cfg.Progress.Snapshot())
	}
}

// A static download waits for its table, says so, and then begins.
func TestLateTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, swarm.Static, 2)
		r.tracker.err = errors.New("no peer is registered")
		r.tracker.reply = exchange.Answered{Interval: time.Hour, Origins: []exchange.Contact{{ID: "o", Address: "o:1"}}}
		stop := r.run()
		defer stop()
		time.Sleep(10 * time.Second)
		if s := r.cfg.Progress.Snapshot(); s.Trouble != "waiting for the tracker: get the chunk table: no peer is registered" {
			t.Errorf("trouble is %q", s.Trouble)
		}
		if len(r.tracker.announced()) == 0 || r.dialer.count("o:1") != 0 {
			t.Error("it must announce, which settles the table, and not begin")
		}
		r.tracker.settles("m:1", "a:1")
		time.Sleep(tableMost + time.Second)
		if r.dialer.count("o:1") != 1 || r.dialer.count("a:1") != 1 {
			t.Error("it did not begin")
		}
	})
}

// A download that is complete needs no table: after a restart it is served, and an empty
// file finished, whatever the tracker does.
func TestCompleteStaticNeedsNoTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, swarm.Static, 0)
		r.tracker.err = errors.New("no peer is registered")
		r.tracker.reply = exchange.Answered{Interval: time.Hour}
		stop := r.run()
		time.Sleep(time.Second)
		stop()
		if r.complete != 1 {
			t.Errorf("Complete called %d times, want once", r.complete)
		}
	})
}

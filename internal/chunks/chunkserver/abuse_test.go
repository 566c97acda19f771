package chunkserver_test

import (
	"bytes"
	"fmt"
	"net"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/wire"
	"fanout/internal/proving/patience"
)

// Whoever breaks the protocol is told so with the right code, counted, and loses the
// connection; a session beside it goes on.
func TestAbuse(t *testing.T) {
	f := newFile(t, 12, 64<<10)
	hello := func(rest string) string { return fmt.Sprintf("HELLO %s raw 1 -\n%s", f.id, rest) }
	greet2 := fmt.Sprintf("HELLO %s raw 2.0 -\n", f.id) // in a session of version 2
	stranger := strings.Repeat("ab", 32)
	const short = 400 * time.Millisecond
	handshake := func(l *chunkserver.Limits) { l.Handshake = short }
	idle := func(l *chunkserver.Limits) { l.Idle = short }
	stall := func(l *chunkserver.Limits) { l.Stall = short }
	for _, c := range []struct {
		name string
		say  string
		code string
		over func(*chunkserver.Limits) // the limit of time that is exceeded; nil for none
	}{
		{"no greeting at all", "", wire.CodeTimeout, handshake},
		{"half a HELLO, then silence", "HELLO 0123", wire.CodeTimeout, handshake},
		{"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", wire.CodeBadMessage, nil},
		{"random bytes", "\x16\x03\x01\x02\x00\x01\x00\n", wire.CodeBadMessage, nil},
		{"endless line before HELLO", strings.Repeat("x", 5000), wire.CodeBadMessage, nil},
		{"wrong manifest ID", "HELLO 12 raw 1 -\n", wire.CodeBadMessage, nil},
		{"wrong peer ID", fmt.Sprintf("HELLO %s a/b 1 -\n", f.id), wire.CodeBadMessage, nil},
		{"another version's HELLO", fmt.Sprintf("HELLO %s raw 1 - extra\n", f.id), wire.CodeBadMessage, nil},
		{"unknown manifest", "HELLO " + stranger + " raw 1 -\n", wire.CodeUnknownManifest, nil},
		{"silence", hello(""), wire.CodeTimeout, idle},
		{"garbage", hello("\x00\x01\x02\xff\n"), wire.CodeBadMessage, nil},
		{"unknown word", hello("FROB 1\n"), wire.CodeBadMessage, nil},
		{"lower case", hello("get 1\n"), wire.CodeBadMessage, nil},
		{"over-long line", hello("GET " + strings.Repeat("1", 2000) + "\n"), wire.CodeBadMessage, nil},
		{"endless line", hello(strings.Repeat("G", 100<<10)), wire.CodeBadMessage, nil},
		{"half a line, then silence", hello("GET 1"), wire.CodeTimeout, idle},
		{"second HELLO", hello(hello("")), wire.CodeBadMessage, nil},
		{"BITS too short", hello("BITS 1\n\xff"), wire.CodeBadLength, nil},
		{"BITS too long", hello("BITS 3\n\xff\xff\xff"), wire.CodeBadLength, nil},
		{"BITS of 2 GiB", hello("BITS 2147483647\n"), wire.CodeBadLength, nil},
		{"half of BITS, then silence", hello("BITS 2\n\xff"), wire.CodeTimeout, idle},
		{"DATA too short", hello("DATA 0 10\n0123456789"), wire.CodeBadLength, nil},
		{"DATA too long", hello("DATA 11 65536\n"), wire.CodeBadLength, nil},
		{"DATA of 2 GiB", hello("DATA 0 2147483647\n"), wire.CodeBadLength, nil},
		{"DATA of no chunk", hello("DATA 12 65536\n"), wire.CodeBadMessage, nil},
		{"GET of no chunk", hello("GET 12\n"), wire.CodeBadMessage, nil},
		{"HAVE of no chunk", hello("HAVE 2147483647\n"), wire.CodeBadMessage, nil},
		{"OFFER of no chunk", hello("OFFER 12\n"), wire.CodeBadMessage, nil},
		{"CANCEL of no chunk", hello("CANCEL 12\n"), wire.CodeBadMessage, nil},
		{"NONE of no chunk", hello("NONE 12\n"), wire.CodeBadMessage, nil},
		{"half a chunk, then silence", hello("OFFER 0\nDATA 0 65536\n0123456789"), wire.CodeTimeout, stall},
		{"half a duplicate, then silence", hello("OFFER 1\nDATA 1 65536\n0123456789"), wire.CodeTimeout, stall},
		{"a chunk that nobody wants", hello("DATA 0 65536\n"), wire.CodeUnasked, nil},
		{"a chunk that nobody wants, of those held", hello("DATA 1 65536\n"), wire.CodeUnasked, nil},
		{"a chunk twice", hello(fmt.Sprintf("OFFER 1\nDATA 1 65536\n%sDATA 1 65536\n", f.chunk(1))), wire.CodeUnasked, nil},
		{"a chunk after NONE", hello("OFFER 0\nNONE 0\nDATA 0 65536\n"), wire.CodeUnasked, nil},
		{"the same again and again", hello(strings.Repeat("HAVE 1\n", 20<<10)), wire.CodeFlood, nil},
		{"bitmaps, again and again", hello(strings.Repeat("BITS 2\n\xff\xf0", 10<<10)), wire.CodeFlood, nil},
		{"everything, again and again", greet2 + strings.Repeat("HAVE 0-11\n", 10<<10), wire.CodeFlood, nil},
		{"room, again and again", greet2 + strings.Repeat("ROOM 65536\n", 20<<10), wire.CodeFlood, nil},
		{"too many requests", hello(strings.Repeat("ANY\n", 40)), wire.CodeTooMany, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := sink(t, f, func(cfg *chunkserver.Config) {
				cfg.Slots = 0 // so that requests pile up
				cfg.Limits.Requests = 32
				if c.over != nil {
					c.over(&cfg.Limits)
				}
			})
			if _, err := a.store.Put(1, f.chunk(1)); err != nil {
				t.Fatal(err)
			}
			a.target.HandOut = func(*chunkserver.Session) int { return 1 }
			a.answer = func(s *chunkserver.Session, m wire.Message) {
				if m.Kind == wire.KindAny {
					serve(s, m)
				}
			}
			r := knock(t, a.addr)
			go r.say("%s", c.say) // it may not all be read
			greeted := strings.HasPrefix(c.say, hello("")) || strings.HasPrefix(c.say, greet2)
			if greeted {
				if _, err := r.in.ServerHello(); err != nil {
					t.Fatal(err)
				}
			}
			r.wantErr(c.code)
			r.conn.Close()
			a.counts.want(t, map[string]int{c.code: 1})
			// Where the limit is short, an honest session on a busy machine may exceed it, too.
			for !a.delivers(t, f, 2) {
				if c.over == nil {
					t.Fatal("a chunk of another session has not arrived")
				}
			}
			a.await(t, "Closed", func(x *seen) bool { return len(x.closed) == len(x.opened) })
			a.look(func(x *seen) {
				for _, why := range x.closed {
					if why == nil || why.Error() == "refused" {
						t.Errorf("closed because of %v, want the reason", why)
					}
				}
			})
		})
	}
}

// A sender that trickles a byte now and then does not get around the limit of a slice.
func TestTrickle(t *testing.T) {
	f := newFile(t, 2, 64<<10)
	a := sink(t, f, func(c *chunkserver.Config) { c.Limits.Stall = 300 * time.Millisecond })
	r := join(t, a.addr, f.id)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.say("OFFER 0\nDATA 0 65536\n")
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				r.say("x")
			}
		}
	}()
	r.wantErr(wire.CodeTimeout)
	r.conn.Close()
	close(stop)
	<-done
}

// Sessions are capped in all and by address, and a place is free again after its session.
func TestSessionCaps(t *testing.T) {
	f := newFile(t, 1, 4<<10)
	for name, limit := range map[string]func(*chunkserver.Limits){
		"in all":     func(l *chunkserver.Limits) { l.Sessions = 2 },
		"by address": func(l *chunkserver.Limits) { l.PerAddress = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			a := source(t, f, func(c *chunkserver.Config) { limit(&c.Limits) })
			first := join(t, a.addr, f.id)
			knock(t, a.addr) // counts before its HELLO
			c, err := net.Dial("tcp", a.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(patience.Deadline(t))
			refused := &raw{TB: t, conn: c.(*net.TCPConn), in: wire.NewReader(c)}
			refused.wantErr(wire.CodeTooMany)
			first.conn.Close()
			a.await(t, "the first one's end", func(x *seen) bool { return len(x.closed) == 1 })
			patience.Await(t, "the place to be given back", func() bool { // right after
				again, err := net.Dial("tcp", a.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer again.Close()
				again.SetDeadline(patience.Deadline(t))
				_, err = wire.NewReader(again).Greeting()
				return err == nil
			})
		})
	}
}

// A session whose other side reads nothing is ended before its lines fill the memory.
func TestOutboxIsBounded(t *testing.T) {
	f := newFile(t, 1, 4<<20)
	for name, send := range map[string]func(*chunkserver.Session){
		"Send":      func(s *chunkserver.Session) { s.Send(wire.KindHave, 3) },
		"SendLater": func(s *chunkserver.Session) { s.SendLater(wire.KindHave, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			a := source(t, f, func(c *chunkserver.Config) { c.Limits.OutboxBytes = 10 << 10 })
			a.answer = serve
			r := join(t, a.addr, f.id)
			r.say("GET 0\n")
			if m, err := r.in.Next(); err != nil || m.Kind != wire.KindData { // and reads no further
				t.Fatal(m, err)
			}
			a.await(t, "the session", func(x *seen) bool { return len(x.got) == 1 })
			var s *chunkserver.Session
			a.look(func(x *seen) { s = x.opened[0] })
			for range 2000 {
				send(s)
			}
			a.await(t, "its end", func(x *seen) bool { return len(x.closed) == 1 })
			a.look(func(x *seen) {
				if err := x.closed[0]; err == nil || !strings.Contains(err.Error(), "does not read") {
					t.Errorf("closed because of %v", err)
				}
			})
		})
	}
}

// Receive buffers are bounded in all: a second chunk waits until the first one has come.
func TestReceiveBuffersAreShared(t *testing.T) {
	const slice, chunk = 64 << 10, 128 << 10
	f := newFile(t, 4, chunk)
	a := sink(t, f, func(c *chunkserver.Config) { c.BufferBytes = chunk })
	first, second := join(t, a.addr, f.id), join(t, a.addr, f.id)
	first.say("OFFER 0\nDATA 0 %d\n%s", chunk, f.chunk(0)[:slice])
	patience.Await(t, "the first to have its buffer", func() (has bool) {
		a.look(func(x *seen) {
			for _, s := range x.opened {
				has = has || s.LastReceived().Unix() != 0
			}
		})
		return has
	})
	second.say("OFFER 1\nDATA 1 %d\n%s", chunk, f.chunk(1))
	patience.Await(t, "the second to wait for a buffer", func() bool {
		if a.store.Has(1) {
			t.Fatal("two chunks were received at a time, in the memory of one")
		}
		var stacks bytes.Buffer
		pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		return strings.Contains(stacks.String(), "chunkserver.(*buffers).get")
	})
	first.say("%s", f.chunk(0)[slice:])
	a.await(t, "both", func(x *seen) bool { return len(x.landed) == 2 })
}

// FuzzSession: whatever a stranger sends, the server neither panics nor hangs, and ends the
// connection.
func FuzzSession(f *testing.F) {
	x := newFile(f, 3, 4<<10)
	a := sink(f, x, func(c *chunkserver.Config) {
		c.Limits.Handshake, c.Limits.Idle, c.Limits.Stall = time.Second, time.Second, time.Second
		c.Limits.Requests = 8
	})
	a.answer = serve
	a.target.HandOut = func(*chunkserver.Session) int { return 0 }
	f.Add(true, []byte("GET 0\nBITS 1\n\xe0HAVE 1\nOFFER 2\nCANCEL 2\nANY\nNONE -\nNONE 1\nPING\nPONG\nERR bad-message x\n"))
	f.Add(true, []byte("DATA 1 4096\nshort"))
	f.Add(true, []byte(strings.Repeat("HAVE 1\n", 10<<10)))
	f.Add(true, []byte("OFFER 1\nDATA 1 4096\nshort"))
	f.Add(true, append([]byte("OFFER 0\nDATA 0 4096\n"), x.chunk(0)...))
	f.Add(true, append([]byte("OFFER 0\nDATA 0 4096\n"), x.chunk(1)...))
	f.Add(true, []byte(strings.Repeat("GET 1\n", 20)))
	f.Add(true, []byte("BITS 1\n\xff\nGET 99\n"))
	f.Add(false, []byte("HELLO \n"))
	f.Add(false, []byte(strings.Repeat("\x00", 2000)))
	f.Add(true, []byte("HAVE 0-2\nROOM 4096 1\nROOM 1\nPASS 10\nBYE 5\nPING\n"))
	f.Fuzz(func(t *testing.T, greeted bool, say []byte) {
		r := knock(t, a.addr)
		defer r.conn.Close()
		if greeted { // what version 2 adds to version 1 is more to say
			r.say("HELLO %s raw 2.0 -\n", x.id)
		}
		go func() {
			r.conn.Write(say)
			r.conn.CloseWrite()
		}()
		var rest [4096]byte
		for {
			_, err := r.conn.Read(rest[:])
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Fatal("the connection does not end")
			}
			if err != nil {
				return
			}
		}
	})
}

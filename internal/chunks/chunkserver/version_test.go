package chunkserver_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanout/internal/chunks/wire"
)

// Two daemons speak the latest version with each other.
func TestLatestVersion(t *testing.T) {
	f := newFile(t, 4, 4<<10)
	a, b := source(t, f, nil), sink(t, f, nil)
	if here, there := b.dial(t, a).Version(), a.only(t).Version(); here != wire.Version || there != wire.Version {
		t.Errorf("they speak version %d and %d, want %d", here, there, wire.Version)
	}
}

// Who dials chooses a version by its nonce, and may know a later one.
func TestVersionOfDialler(t *testing.T) {
	f := newFile(t, 4, 4<<10)
	for nonce, want := range map[string]int{"1": 1, "0123456789abcdef": 1, "2.0f": 2, "3.0f": wire.Version, "2": 1} {
		a := source(t, f, nil)
		r := knock(t, a.addr)
		r.say("HELLO %s raw %s -\n", f.id, nonce)
		if got := a.only(t).Version(); got != want {
			t.Errorf("nonce %s: version %d, want %d", nonce, got, want)
		}
	}
}

// Who is dialled offers a version, and is answered with no later one.
func TestVersionOfDialled(t *testing.T) {
	f := newFile(t, 4, 4<<10)
	for nonce, want := range map[string]int{"1": 1, "0123456789abcdef": 1, "2.0f": 2, "3.0f": wire.Version} {
		ln := listen(t)
		answered := make(chan string, 1)
		go func() {
			c, err := ln.Accept()
			if err != nil {
				answered <- err.Error()
				return
			}
			defer c.Close()
			c.Write(wire.AppendGreeting(nil, nonce))
			hello, _ := wire.NewReader(c).ClientHello()
			c.Write(wire.AppendServerHello(nil, wire.Hello{Manifest: f.id, Peer: "raw"}))
			answered <- hello.Nonce
		}()
		b := sink(t, f, nil)
		if err := b.server.Dial(t.Context(), ln.Addr().String(), b.target); err != nil {
			t.Fatal(err)
		}
		if got := b.only(t).Version(); got != want {
			t.Errorf("nonce %s: version %d, want %d", nonce, got, want)
		}
		if got := <-answered; wire.Speaks(got) != want {
			t.Errorf("nonce %s was answered with %s, want one of version %d", nonce, got, want)
		}
	}
}

// In a session of version 1 the words of version 2 are garbage.
func TestNewWordsInOldSession(t *testing.T) {
	f := newFile(t, 12, 4<<10)
	for _, line := range []string{"HAVE 1-2", "HAVE 1,2", "ROOM 4096", "PASS 1", "BYE 1"} {
		a := sink(t, f, nil)
		r := join(t, a.addr, f.id)
		r.say("%s\n", line)
		r.wantErr(wire.CodeBadMessage)
	}
}

// In one of version 2 they reach the handler, if all that they name is there.
func TestNewWords(t *testing.T) {
	f := newFile(t, 12, 4<<10)
	a := sink(t, f, nil)
	r := joinAs(t, a.addr, f.id, 2)
	want := []wire.Message{
		{Kind: wire.KindHave, Chunk: 3, More: []wire.Run{{First: 5, Last: 11}}},
		{Kind: wire.KindRoom, Bytes: 1 << 30, Chunk: 11},
		{Kind: wire.KindRoom, Bytes: 4096, Chunk: wire.NoChunk},
		{Kind: wire.KindPass, Wait: 250},
	}
	for _, m := range want {
		r.say("%s", wire.AppendMessage(nil, m))
	}
	a.await(t, "the messages", func(x *seen) bool { return len(x.got) == len(want) })
	a.look(func(x *seen) {
		if diff := cmp.Diff(want, x.got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
	for _, line := range []string{"HAVE 3-12", "HAVE 0,12", "HAVE 0-2147483647", "HAVE 12-13,0", "ROOM 4096 12"} {
		a := sink(t, f, nil)
		r := joinAs(t, a.addr, f.id, 2)
		r.say("%s\n", line)
		r.wantErr(wire.CodeBadMessage)
		a.look(func(x *seen) {
			if len(x.got) != 0 {
				t.Errorf("%s reached the handler: %v", line, x.got)
			}
		})
	}
}

// A session about a file without chunks takes what is about none.
func TestNoChunksAtAll(t *testing.T) {
	f := newFile(t, 0, 4<<10)
	a := sink(t, f, nil)
	r := joinAs(t, a.addr, f.id, 2)
	fmt.Fprint(r.conn, "PING\nROOM 1\nPASS 1\nBITS 0\nANY\n")
	a.await(t, "four messages", func(x *seen) bool { return len(x.got) == 4 })
	r.want(wire.KindPong, 0)
}

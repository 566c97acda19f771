package main

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
)

const chunk, chunks = 4096, 8

// daemon accepts one session of a member, and hands over the connection after the handshake.
func daemon(t *testing.T, m *member, id string, do deed) (net.Conn, *wire.Reader) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go m.dial(t.Context(), ln.Addr().String(), id, do)
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	c.Write(wire.AppendGreeting(nil, wire.NonceOf(1)))
	r := wire.NewReader(c)
	hello, err := r.ClientHello()
	if err != nil || hello.Manifest != m.id || hello.Peer != id {
		t.Fatalf("HELLO %+v: %v", hello, err)
	}
	c.Write(wire.AppendServerHello(nil, wire.Hello{Manifest: m.id, Peer: "daemon"}))
	return c, r
}

func aMember(t *testing.T) *member {
	t.Helper()
	data := bytes.Repeat([]byte{1}, chunk*chunks)
	file, err := manifest.Build(t.Context(), "image.bin", bytes.NewReader(data), int64(len(data)), chunk, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &member{grammar: grammar{ID: "x"}, file: file, id: file.ID()}
}

func next(t *testing.T, r *wire.Reader, want wire.Kind) wire.Message {
	t.Helper()
	msg, err := r.Next()
	if err != nil || msg.Kind != want {
		t.Fatalf("%v: %v, want %v", msg.Kind, err, want)
	}
	return msg
}

func say(c net.Conn, msg wire.Message) { c.Write(wire.AppendMessage(nil, msg)) }

// One who is mute asks for every chunk, and goes on to be alive though it never reads.
func TestMute(t *testing.T) {
	m := aMember(t)
	_, r := daemon(t, m, "x-1", m.mute)
	for n := range chunks {
		if msg := next(t, r, wire.KindGet); msg.Chunk != n {
			t.Fatalf("GET %d, want %d", msg.Chunk, n)
		}
	}
	next(t, r, wire.KindPing)
	next(t, r, wire.KindPing)
}

// One who claims says that it has everything, is alive, and answers no GET.
func TestClaim(t *testing.T) {
	m := aMember(t)
	c, r := daemon(t, m, "x", m.claim)
	if msg := next(t, r, wire.KindBits); msg.Bytes != chunks/8 {
		t.Fatalf("%d bytes of BITS", msg.Bytes)
	}
	bits := make([]byte, chunks/8)
	if err := r.ReadPayload(bits); err != nil || bits[0] != 0xff {
		t.Fatalf("BITS %x: %v", bits, err)
	}
	say(c, wire.Message{Kind: wire.KindGet, Chunk: 3})
	say(c, wire.Message{Kind: wire.KindPing})
	next(t, r, wire.KindPong)
}

// One who lies answers a GET with wrong bytes of the right length.
func TestLie(t *testing.T) {
	m := aMember(t)
	c, r := daemon(t, m, "x", func(c net.Conn, r *wire.Reader) error { return m.pretend(c, r, m.lie) })
	if err := r.Discard(next(t, r, wire.KindBits).Bytes); err != nil {
		t.Fatal(err)
	}
	say(c, wire.Message{Kind: wire.KindGet, Chunk: 3})
	msg := next(t, r, wire.KindData)
	got := make([]byte, msg.Bytes)
	if err := r.ReadPayload(got); err != nil || msg.Chunk != 3 || len(got) != chunk {
		t.Fatalf("DATA %d of %d bytes: %v", msg.Chunk, len(got), err)
	}
	if bytes.Equal(got, bytes.Repeat([]byte{1}, chunk)) {
		t.Error("the bytes are right")
	}
}

// One who is idle says nothing, whatever it hears, and one who drips sends a chunk byte by byte.
func TestIdleAndDrip(t *testing.T) {
	m := aMember(t)
	c, _ := daemon(t, m, "x-0", idle)
	say(c, wire.Message{Kind: wire.KindPing})
	c.SetReadDeadline(time.Now().Add(alive / 2))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == io.EOF {
		t.Errorf("idle, but sent %d bytes: %v", n, err)
	}
	begin := time.Now() // before the first byte: this side may be late to read it
	_, r := daemon(t, m, "x-0", m.drip)
	if msg := next(t, r, wire.KindData); msg.Bytes != chunk {
		t.Fatalf("DATA of %d bytes", msg.Bytes)
	}
	if err := r.ReadPayload(make([]byte, 3)); err != nil || time.Since(begin) < 2*drop {
		t.Errorf("3 bytes in %v: %v", time.Since(begin), err)
	}
}

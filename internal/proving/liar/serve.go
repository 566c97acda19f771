package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/bitmap"
	"fanout/internal/chunks/wire"
	"fanout/internal/daemon/trackerclient"
)

// answer is what a member does about a request for a chunk.
type answer func(c net.Conn, chunk int) error

// ignore sends nothing.
func ignore(net.Conn, int) error { return nil }

// serve is listed as a peer that holds everything, and accepts sessions.
func (m *member) serve(ctx context.Context, answer answer) error {
	ln, err := net.Listen("tcp", m.Listen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { ln.Close() })
	go m.announce(ctx, ln.Addr().String())
	for {
		c, err := ln.Accept()
		if err != nil {
			return nil
		}
		go func() {
			defer c.Close()
			fmt.Fprintln(os.Stderr, "liar:", m.accept(c, answer))
		}()
	}
}

// announce keeps the member listed as a peer that holds everything.
func (m *member) announce(ctx context.Context, addr string) {
	state, strategy, held := trackerapi.DownloadState("complete"), trackerapi.Strategy("swarm"), m.everything()
	trackerclient.Keep(ctx, func(ctx context.Context) (time.Duration, error) {
		reply, err := m.tracker.Announce(ctx, m.id.String(), trackerapi.Announce{
			Id: m.ID, Role: trackerapi.AnnounceRolePeer, Address: addr, Strategy: &strategy, State: &state, Held: &held,
		})
		if err != nil {
			return 0, err
		}
		return trackerclient.Seconds(reply.IntervalSeconds), nil
	}, func(error) {})
}

func (m *member) everything() []byte {
	all := bitset.New(uint(m.file.Chunks()))
	all.FlipRange(0, uint(m.file.Chunks()))
	return bitmap.Encode(all, m.file.Chunks())
}

// accept serves one session, and returns why it ended.
func (m *member) accept(c net.Conn, answer answer) error {
	if _, err := c.Write(wire.AppendGreeting(nil, wire.NonceOf(1))); err != nil {
		return err
	}
	r := wire.NewReader(c)
	if _, err := r.ClientHello(); err != nil {
		return err
	}
	if _, err := c.Write(wire.AppendServerHello(nil, wire.Hello{Manifest: m.id, Peer: m.ID})); err != nil {
		return err
	}
	return m.pretend(c, r, answer)
}

// pretend says in a session that it holds everything, and is a lively member but for its answers.
func (m *member) pretend(c net.Conn, r *wire.Reader, answer answer) error {
	bits := m.everything()
	out := wire.AppendMessage(nil, wire.Message{Kind: wire.KindBits, Bytes: len(bits)})
	if _, err := c.Write(append(out, bits...)); err != nil {
		return err
	}
	for {
		msg, err := r.Next()
		if err != nil {
			return err
		}
		switch msg.Kind {
		case wire.KindBits, wire.KindData:
			err = r.Discard(msg.Bytes)
		case wire.KindPing:
			_, err = c.Write(wire.AppendMessage(nil, wire.Message{Kind: wire.KindPong}))
		case wire.KindGet:
			err = answer(c, msg.Chunk)
		}
		if err != nil {
			return err
		}
	}
}

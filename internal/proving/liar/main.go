// Command liar is a peer that lies, for tests and the lab: it announces itself as a
// complete peer of a file's swarm and answers every request with wrong bytes.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/bitmap"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/trackerclient"
)

type grammar struct {
	Tracker string `required:"" placeholder:"URL" help:"The tracker."`
	Listen  string `required:"" placeholder:"HOST:PORT" help:"Where to serve wrong chunks."`
	ID      string `default:"liar" help:"The peer ID."`
	File    string `arg:"" help:"Name of the published file to lie about."`
}

func main() { cli.Main("liar", "A peer that serves wrong bytes, to test the others.", &grammar{}) }

// Run implements the command.
func (g *grammar) Run(ctx context.Context) error {
	tracker, err := trackerclient.New(g.Tracker)
	if err != nil {
		return err
	}
	m, id, err := tracker.Manifest(ctx, g.File)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", g.Listen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { ln.Close() })
	go announce(ctx, tracker, g, m, id, ln.Addr().String())
	for {
		c, err := ln.Accept()
		if err != nil {
			return nil
		}
		go func() {
			defer c.Close()
			fmt.Fprintln(os.Stderr, "liar:", lie(c, g.ID, m, id))
		}()
	}
}

// announce keeps the liar listed as a peer that holds everything.
func announce(ctx context.Context, tracker *trackerclient.Client, g *grammar, m *manifest.Manifest, id manifest.ID, addr string) {
	state, strategy, held := trackerapi.DownloadState("complete"), trackerapi.Strategy("swarm"), everything(m)
	trackerclient.Keep(ctx, func(ctx context.Context) (time.Duration, error) {
		reply, err := tracker.Announce(ctx, id.String(), trackerapi.Announce{
			Id: g.ID, Role: trackerapi.AnnounceRolePeer, Address: addr, Strategy: &strategy, State: &state, Held: &held,
		})
		if err != nil {
			return 0, err
		}
		return trackerclient.Seconds(reply.IntervalSeconds), nil
	}, func(error) {})
}

func everything(m *manifest.Manifest) []byte {
	all := bitset.New(uint(m.Chunks()))
	all.FlipRange(0, uint(m.Chunks()))
	return bitmap.Encode(all, m.Chunks())
}

// lie serves one session, and returns why it ended.
func lie(c net.Conn, self string, m *manifest.Manifest, id manifest.ID) error {
	out := wire.AppendGreeting(nil, wire.NonceOf(1))
	if _, err := c.Write(out); err != nil {
		return err
	}
	r := wire.NewReader(c)
	if _, err := r.ClientHello(); err != nil {
		return err
	}
	bits := everything(m)
	out = wire.AppendServerHello(nil, wire.Hello{Manifest: id, Peer: self})
	out = wire.AppendMessage(out, wire.Message{Kind: wire.KindBits, Bytes: len(bits)})
	if _, err := c.Write(append(out, bits...)); err != nil {
		return err
	}
	for {
		msg, err := r.Next()
		if err != nil {
			return err
		}
		if err := answer(c, r, m, msg); err != nil {
			return err
		}
	}
}

// answer sends random bytes for every chunk that is asked for.
func answer(c net.Conn, r *wire.Reader, m *manifest.Manifest, msg wire.Message) error {
	switch msg.Kind {
	case wire.KindBits, wire.KindData:
		return r.Discard(msg.Bytes)
	case wire.KindPing:
		_, err := c.Write(wire.AppendMessage(nil, wire.Message{Kind: wire.KindPong}))
		return err
	case wire.KindGet:
		wrong := make([]byte, m.Length(msg.Chunk))
		rand.Read(wrong)
		out := wire.AppendMessage(nil, wire.Message{Kind: wire.KindData, Chunk: msg.Chunk, Bytes: len(wrong)})
		if _, err := c.Write(append(out, wrong...)); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "lied about chunk", msg.Chunk) // the lab counts these lines
	}
	return nil
}

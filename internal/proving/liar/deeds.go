package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"fanout/internal/chunks/wire"
)

const (
	alive = time.Second            // between two signs of life of one who reads nothing
	drop  = 100 * time.Millisecond // between two bytes of one who sends slowly
)

// lie sends random bytes for a chunk.
func (m *member) lie(c net.Conn, chunk int) error {
	wrong := make([]byte, m.file.Length(chunk))
	rand.Read(wrong)
	out := wire.AppendMessage(nil, wire.Message{Kind: wire.KindData, Chunk: chunk, Bytes: len(wrong)})
	if _, err := c.Write(append(out, wrong...)); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "lied about chunk", chunk) // the lab counts these lines
	return nil
}

// claim says that it holds everything, and sends nothing of it.
func (m *member) claim(c net.Conn, r *wire.Reader) error { return m.pretend(c, r, ignore) }

// mute asks for everything and reads nothing. It is alive: it goes on to say so.
func (m *member) mute(c net.Conn, _ *wire.Reader) error {
	var out []byte
	for chunk := range m.file.Chunks() {
		out = wire.AppendMessage(out, wire.Message{Kind: wire.KindGet, Chunk: chunk})
	}
	for {
		if _, err := c.Write(out); err != nil {
			return err
		}
		out = wire.AppendMessage(nil, wire.Message{Kind: wire.KindPing})
		time.Sleep(alive)
	}
}

// idle says nothing, and hears whatever it is told.
func idle(c net.Conn, _ *wire.Reader) error {
	_, err := io.Copy(io.Discard, c)
	return err
}

// drip sends chunks that nobody asked for, slowly.
func (m *member) drip(c net.Conn, _ *wire.Reader) error {
	for chunk := range m.file.Chunks() {
		size := m.file.Length(chunk)
		line := wire.AppendMessage(nil, wire.Message{Kind: wire.KindData, Chunk: chunk, Bytes: size})
		if _, err := c.Write(line); err != nil {
			return err
		}
		for range size {
			if _, err := c.Write([]byte{0}); err != nil {
				return err
			}
			time.Sleep(drop)
		}
	}
	return nil
}

package valve

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"fanout/internal/chunks/wire"
)

// A peer gets what may pass, over all its sessions, and the rest when the valve is opened.
func TestValve(t *testing.T) {
	const most, all = 100 << 10, 300 << 10
	v := New(t, most)
	v.To(daemon(t, all))
	session := func(peer string) io.Reader {
		c, err := net.Dial("tcp", v.Address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		in := wire.NewReader(c)
		if _, err := in.Greeting(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "HELLO %s %s 1 -\n", strings.Repeat("0", 64), peer)
		return c
	}
	begin := func(peer string) io.Reader {
		r := session(peer)
		if _, err := io.ReadFull(r, make([]byte, most/4)); err != nil {
			t.Fatal(err)
		}
		return r
	}
	a, other := begin("a"), begin("b")
	b := session("a") // for which the first has left little or nothing
	v.mu.Lock()
	if v.passed["a"] > most || v.passed["b"] > most {
		t.Errorf("%v bytes have passed, %d may", v.passed, most)
	}
	v.mu.Unlock()
	v.Open()
	for r, want := range map[io.Reader]int64{a: all - most/4, b: all, other: all - most/4} {
		if n, err := io.Copy(io.Discard, r); n != want || err != nil {
			t.Errorf("%d bytes in the end, %v, want %d", n, err, want)
		}
	}
}

// daemon greets, hears a HELLO, sends so many bytes and hangs up.
func daemon(t *testing.T, bytesToSend int) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Write(wire.AppendGreeting(nil, wire.NonceOf(1)))
				if _, err := wire.NewReader(c).ClientHello(); err == nil {
					c.Write(bytes.Repeat([]byte("x"), bytesToSend))
				}
			}()
		}
	}()
	return ln.Addr().String()
}

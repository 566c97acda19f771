package chunkserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
	"fanout/internal/proving/patience"
)

// unhurried are limits that no test gets to feel on a busy machine; one that is about a limit
// sets it.
func unhurried() chunkserver.Limits {
	l := chunkserver.DefaultLimits()
	l.Handshake, l.Idle, l.Stall = time.Hour, time.Hour, time.Hour
	return l
}

// daemon is a chunk server on loopback with one file.
type daemon struct {
	*recorder
	server *chunkserver.Server
	addr   string
	store  *chunkstore.Store
	target *chunkserver.Target
	counts *counter
}

// file is what the daemons of a test exchange.
type file struct {
	data []byte
	m    *manifest.Manifest
	id   manifest.ID
}

func newFile(t testing.TB, chunks int, chunkSize int64) *file {
	t.Helper()
	data := make([]byte, max(0, int64(chunks)*chunkSize-100))
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	m, err := manifest.Build(context.Background(), "file", bytes.NewReader(data), int64(len(data)), chunkSize, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &file{data: data, m: m, id: m.ID()}
}

func (f *file) chunk(c int) []byte { return f.data[f.m.Offset(c):][:f.m.Length(c)] }

// source is a daemon that has the whole file.
func source(t testing.TB, f *file, change func(*chunkserver.Config)) *daemon {
	t.Helper()
	path := t.TempDir() + "/file"
	if err := os.WriteFile(path, f.data, 0o644); err != nil {
		t.Fatal(err)
	}
	store, err := chunkstore.OpenSource(path, f.m)
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, f, store, change)
}

// sink is a daemon that has nothing yet.
func sink(t testing.TB, f *file, change func(*chunkserver.Config)) *daemon {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store, err := chunkstore.Dir{Root: root, Own: ".fanout"}.Open("file", f.m, f.id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return launch(t, f, store, change)
}

func launch(t testing.TB, f *file, store *chunkstore.Store, change func(*chunkserver.Config)) *daemon {
	t.Helper()
	d := &daemon{recorder: newRecorder(), store: store, counts: &counter{rejected: map[string]int{}}}
	d.target = &chunkserver.Target{Manifest: f.m, ID: f.id, Store: store, Handler: d.recorder}
	cfg := chunkserver.Config{
		Self: "daemon", Slots: 4, BufferBytes: 64 << 20, Observer: d.counts, Limits: unhurried(),
		Lookup: func(id manifest.ID, _ string) (*chunkserver.Target, error) {
			if id != f.id {
				return nil, errors.New("not served here")
			}
			return d.target, nil
		},
	}
	if change != nil {
		change(&cfg)
	}
	d.server = chunkserver.New(cfg)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.server.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		d.server.Close()
		store.Close()
	})
	return d
}

// only is the one session that the daemon has had.
func (d *daemon) only(t testing.TB) (s *chunkserver.Session) {
	t.Helper()
	d.await(t, "the session", func(x *seen) bool { return len(x.opened) == 1 })
	d.look(func(x *seen) { s = x.opened[0] })
	return s
}

// dial opens a session with another daemon and returns this side of it.
func (d *daemon) dial(t testing.TB, to *daemon) *chunkserver.Session {
	t.Helper()
	n := 0
	d.look(func(s *seen) { n = len(s.opened) })
	if err := d.server.Dial(t.Context(), to.addr, d.target); err != nil {
		t.Fatal(err)
	}
	var opened *chunkserver.Session
	d.await(t, "a session", func(s *seen) bool {
		if len(s.opened) > n {
			opened = s.opened[n]
		}
		return opened != nil
	})
	return opened
}

// recorder is a Handler that remembers what it was told, and answers if told to.
type recorder struct {
	// answer, if set, is called with every message.
	answer func(s *chunkserver.Session, m wire.Message)

	mu    sync.Mutex
	cond  *sync.Cond
	state seen
}

type seen struct {
	opened []*chunkserver.Session
	got    []wire.Message
	bits   [][]byte
	landed []chunkserver.Landing
	sent   []int
	lent   []*chunkserver.Session
	closed []error
}

func newRecorder() *recorder {
	r := &recorder{}
	r.cond = sync.NewCond(&r.mu)
	return r
}

func (r *recorder) note(f func(*seen)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.state)
	r.cond.Broadcast()
}

func (r *recorder) look(f func(*seen)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.state)
}

// await waits until ok is true of what was seen.
func (r *recorder) await(t testing.TB, what string, ok func(*seen) bool) {
	t.Helper()
	late := false
	defer context.AfterFunc(patience.Context(t), func() { r.note(func(*seen) { late = true }) })()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !ok(&r.state) {
		if late {
			t.Fatalf("waited for %s; seen: %+v", what, r.state)
		}
		r.cond.Wait()
	}
}

func (r *recorder) Opened(s *chunkserver.Session) {
	r.note(func(x *seen) { x.opened = append(x.opened, s) })
}

func (r *recorder) Got(s *chunkserver.Session, m wire.Message, payload []byte) {
	if r.answer != nil {
		r.answer(s, m)
	}
	r.note(func(x *seen) {
		x.got = append(x.got, m)
		if m.Kind == wire.KindBits {
			x.bits = append(x.bits, payload)
		}
	})
}

func (r *recorder) Landed(_ *chunkserver.Session, l chunkserver.Landing) {
	r.note(func(x *seen) { x.landed = append(x.landed, l) })
}

func (r *recorder) Sent(_ *chunkserver.Session, chunk int) {
	r.note(func(x *seen) { x.sent = append(x.sent, chunk) })
}

func (r *recorder) Lent(s *chunkserver.Session) {
	r.note(func(x *seen) { x.lent = append(x.lent, s) })
}

func (r *recorder) Closed(_ *chunkserver.Session, err error) {
	r.note(func(x *seen) { x.closed = append(x.closed, err) })
}

// serve answers GET, ANY and CANCEL as a daemon with everything does.
func serve(s *chunkserver.Session, m wire.Message) {
	switch m.Kind {
	case wire.KindGet:
		s.Carry(exchange.Upload{To: s.ID(), Chunk: m.Chunk})
	case wire.KindAny:
		s.Carry(exchange.HandOut{To: s.ID()})
	case wire.KindCancel:
		s.Carry(exchange.Withdraw{To: s.ID(), Chunk: m.Chunk})
	}
}

// counter is an Observer.
type counter struct {
	mu                     sync.Mutex
	sent, sessions, queued int
	rejected               map[string]int
}

func (c *counter) SentBytes(n int) { c.mu.Lock(); c.sent += n; c.mu.Unlock() }
func (c *counter) Sessions(n int)  { c.mu.Lock(); c.sessions += n; c.mu.Unlock() }
func (c *counter) Queued(n int)    { c.mu.Lock(); c.queued += n; c.mu.Unlock() }
func (c *counter) Rejected(code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rejected[code]++
}

// want checks what was rejected.
func (c *counter) want(t testing.TB, rejected map[string]int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !maps.Equal(c.rejected, rejected) {
		t.Errorf("rejected %v, want %v", c.rejected, rejected)
	}
}

// totals are the bytes sent, the open sessions and the chunks queued.
func (c *counter) totals() (sent, sessions, queued int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent, c.sessions, c.queued
}

// raw is a client that says what it is told to, however wrong.
type raw struct {
	testing.TB
	conn *net.TCPConn
	in   *wire.Reader
}

// knock connects and reads the greeting.
func knock(t testing.TB, addr string) *raw {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(patience.Deadline(t))
	r := &raw{TB: t, conn: c.(*net.TCPConn), in: wire.NewReader(c)}
	r.conn.SetReadBuffer(16 << 10) // so that a few megabytes fill it
	if _, err := r.in.Greeting(); err != nil {
		t.Fatalf("greeting: %v", err)
	}
	return r
}

// join does the whole handshake, for a session of version 1.
func join(t testing.TB, addr string, id manifest.ID) *raw {
	t.Helper()
	return joinAs(t, addr, id, 1)
}

// joinAs does so for a session of that version.
func joinAs(t testing.TB, addr string, id manifest.ID, version int) *raw {
	t.Helper()
	r := knock(t, addr)
	r.say("HELLO %s raw %s -\n", id, wire.NonceOf(version))
	if _, err := r.in.ServerHello(); err != nil {
		t.Fatalf("HELLO: %v", err)
	}
	r.in.Speak(version)
	return r
}

// delivers sends a chunk over a session of its own, and says whether it has arrived when that
// is over.
func (d *daemon) delivers(t testing.TB, f *file, chunk int) bool {
	t.Helper()
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(patience.Deadline(t))
	fmt.Fprintf(c, "HELLO %s honest 1 -\nOFFER %d\nDATA %d %d\n%s", f.id, chunk, chunk, f.m.Length(chunk), f.chunk(chunk))
	c.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, c)
	return d.store.Has(chunk)
}

// say writes, and does not mind if the other side has hung up.
func (r *raw) say(format string, args ...any) { fmt.Fprintf(r.conn, format, args...) }

// next is the next message that is no PING, with its payload.
func (r *raw) next() (wire.Message, []byte, error) {
	for {
		m, err := r.in.Next()
		if err != nil {
			return m, nil, err
		}
		var payload []byte
		if m.Kind == wire.KindBits || m.Kind == wire.KindData {
			payload = make([]byte, m.Bytes)
		}
		if err := r.in.ReadPayload(payload); err != nil || m.Kind != wire.KindPing {
			return m, payload, err
		}
	}
}

// want reads the next message and checks it.
func (r *raw) want(kind wire.Kind, chunk int) []byte {
	r.Helper()
	m, payload, err := r.next()
	if err != nil || m.Kind != kind || m.Chunk != chunk {
		r.Fatalf("got %v, %v, want %v %d", m, err, kind, chunk)
	}
	return payload
}

// wantErr reads up to an ERR of that code, after which the connection must end.
func (r *raw) wantErr(code string) {
	r.Helper()
	for {
		m, _, err := r.next()
		if err != nil {
			r.Fatalf("the connection ended with %v, without ERR %s", err, code)
		}
		if m.Kind != wire.KindErr {
			continue
		}
		if m.Code != code || m.Text == "" {
			r.Errorf("ERR %s %q, want code %s and a text", m.Code, m.Text, code)
		}
		break
	}
	if _, err := r.in.Next(); !errors.Is(err, io.EOF) {
		r.Errorf("after ERR: %v, want the end", err)
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

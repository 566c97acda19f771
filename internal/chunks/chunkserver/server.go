package chunkserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"fanout/internal/chunks/wire"
)

// Refusal is an error of [Config].Lookup that chooses the code told to the other side.
type Refusal struct{ Code, Text string }

func (e *Refusal) Error() string { return e.Text }

// Server holds the sessions of one daemon, accepted and dialled, and what they share:
// upload slots, receive buffers, limits.
type Server struct {
	cfg      Config
	limits   Limits
	observer Observer
	uploader *uploader
	buffers  *buffers
	paths    paths
	ids      atomic.Uint64 // sessions so far

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	accepted  int
	byAddress map[netip.Addr]int
}

// New makes a server; Serve and Dial give it sessions, Close ends them.
func New(cfg Config) *Server {
	if cfg.Observer == nil {
		cfg.Observer = noObserver{}
	}
	v := &Server{
		cfg: cfg, limits: cfg.Limits, observer: cfg.Observer,
		buffers:   newBuffers(cfg.BufferBytes),
		uploader:  newUploader(cfg.Slots, cfg.Limits.Requests, cfg.Observer.Queued),
		byAddress: map[netip.Addr]int{},
	}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	v.wg.Go(func() { v.uploader.run(v.ctx) })
	return v
}

// Serve accepts sessions until ctx ends, and then closes the listener.
func (v *Server) Serve(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		c, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil { // out of descriptors, most likely: it passes
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if !v.spawn(func() { v.accept(c.(*net.TCPConn)) }) {
			c.Close()
		}
	}
}

// spawn runs f, which Close waits for, unless the server is closed.
func (v *Server) spawn(f func()) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ctx.Err() != nil {
		return false
	}
	v.wg.Go(f)
	return true
}

// Close ends all sessions and returns once their handlers have been told.
func (v *Server) Close() {
	v.mu.Lock()
	v.cancel()
	v.mu.Unlock()
	v.wg.Wait()
}

func (v *Server) accept(c *net.TCPConn) {
	defer c.Close()
	stop := context.AfterFunc(v.ctx, func() { c.Close() })
	defer stop()
	release, err := v.admit(c.RemoteAddr())
	if err != nil {
		v.refuse(c, wire.CodeTooMany, err)
		return
	}
	defer release()
	c.SetDeadline(time.Now().Add(v.limits.Handshake))
	s, code, err := v.shakeHands(c)
	if err != nil {
		v.refuse(c, code, err)
		return
	}
	s.run()
}

// shakeHands is the accepting side's part of the handshake.
func (v *Server) shakeHands(c *net.TCPConn) (*Session, string, error) {
	nonce := wire.NonceOf(wire.Version)
	if _, err := c.Write(wire.AppendGreeting(nil, nonce)); err != nil {
		return nil, wire.CodeTimeout, err
	}
	in, err := newInbound(c)
	if err != nil {
		return nil, wire.CodeBadMessage, err
	}
	r := wire.NewReader(in)
	hello, err := r.ClientHello()
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil, wire.CodeTimeout, fmt.Errorf("no HELLO within %v", v.limits.Handshake)
	}
	if err != nil {
		return nil, wire.CodeBadMessage, err
	}
	target, err := v.cfg.Lookup(hello.Manifest, hello.Peer)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return nil, refusal.Code, err
	}
	if err != nil {
		return nil, wire.CodeUnknownManifest, err
	}
	if err := tune(c, v.cfg.Download != nil, target.Manifest.ChunkSize); err != nil {
		return nil, wire.CodeBadMessage, err
	}
	answer := wire.Hello{Manifest: hello.Manifest, Peer: v.cfg.Self, MAC: wire.NoMAC}
	if _, err := c.Write(wire.AppendServerHello(nil, answer)); err != nil {
		return nil, wire.CodeTimeout, err
	}
	c.SetDeadline(time.Time{})
	return newSession(v, target, c, in, r, hello.Peer, wire.Agreed(nonce, hello.Nonce)), "", nil
}

// refuse tells a caller why it gets no session.
func (v *Server) refuse(c *net.TCPConn, code string, err error) {
	v.observer.Rejected(code)
	c.SetDeadline(time.Now().Add(time.Second))
	c.Write(wire.AppendMessage(nil, wire.Message{Kind: wire.KindErr, Code: code, Text: err.Error()}))
	c.CloseWrite()
	var rest [4096]byte
	for n := 0; n < 16; n++ { // let it read the line before the connection is reset
		if _, err := c.Read(rest[:]); err != nil {
			return
		}
	}
}

// admit counts an accepted connection against the caps.
func (v *Server) admit(addr net.Addr) (release func(), err error) {
	ip := addr.(*net.TCPAddr).AddrPort().Addr().Unmap()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.accepted >= v.limits.Sessions {
		return nil, fmt.Errorf("%d sessions are open here, the most there may be", v.accepted)
	}
	if v.byAddress[ip] >= v.limits.PerAddress {
		return nil, fmt.Errorf("%d sessions are open from %v, the most there may be", v.byAddress[ip], ip)
	}
	v.accepted++
	v.byAddress[ip]++
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.accepted--
		if v.byAddress[ip]--; v.byAddress[ip] == 0 {
			delete(v.byAddress, ip)
		}
	}, nil
}

// Dial opens a session about target at addr. It runs, and its handler is told, until it
// ends; ctx bounds the dialling and the handshake only.
func (v *Server) Dial(ctx context.Context, addr string, target *Target) error {
	ctx, cancel := context.WithTimeout(ctx, v.limits.Handshake)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	c := conn.(*net.TCPConn)
	s, err := v.introduce(ctx, c, target)
	if err != nil {
		c.Close()
		return fmt.Errorf("session with %s: %w", addr, err)
	}
	if !v.spawn(func() {
		stop := context.AfterFunc(v.ctx, func() { s.end(nil) })
		defer stop()
		s.run()
	}) {
		c.Close()
		return net.ErrClosed
	}
	return nil
}

// introduce is the dialling side's part of the handshake.
func (v *Server) introduce(ctx context.Context, c *net.TCPConn, target *Target) (*Session, error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := tune(c, v.cfg.Download != nil, target.Manifest.ChunkSize); err != nil {
		return nil, err
	}
	in, err := newInbound(c)
	if err != nil {
		return nil, err
	}
	r := wire.NewReader(in)
	nonce, err := r.Greeting()
	if err != nil {
		return nil, err
	}
	version := min(wire.Speaks(nonce), wire.Version)
	hello := wire.Hello{Manifest: target.ID, Peer: v.cfg.Self, Nonce: wire.NonceOf(version), MAC: wire.NoMAC}
	if _, err := c.Write(wire.AppendClientHello(nil, hello)); err != nil {
		return nil, err
	}
	answer, err := r.ServerHello()
	if err != nil {
		return nil, err
	}
	if answer.Manifest != target.ID {
		return nil, fmt.Errorf("it answered for manifest %v", answer.Manifest)
	}
	if !stop() {
		return nil, ctx.Err()
	}
	c.SetDeadline(time.Time{})
	return newSession(v, target, c, in, r, answer.Peer, version), nil
}

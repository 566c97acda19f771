package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"fanout/internal/chunks/wire"
	"fanout/internal/daemon/trackerclient"
)

const (
	look  = 200 * time.Millisecond // between two looks for daemons: they are few, and a run is short
	again = time.Second            // before a session that was ended is begun anew
	shake = 10 * time.Second       // for a handshake
)

// deed is what a member does in a session that it has begun, until the session ends.
type deed func(c net.Conn, r *wire.Reader) error

// besiege has sessions with every daemon that the tracker knows of, until ctx ends.
func (m *member) besiege(ctx context.Context, do deed) {
	known := map[string]bool{}
	for {
		for _, address := range m.daemons(ctx) {
			if known[address] {
				continue
			}
			known[address] = true
			for n := range m.Sessions {
				go m.insist(ctx, address, n, do)
			}
		}
		if !trackerclient.Sleep(ctx, look) {
			return
		}
	}
}

// daemons are the addresses of all origins of the file and of all peers, as any peer learns them.
func (m *member) daemons(ctx context.Context) (addresses []string) {
	if file, err := m.tracker.File(ctx, m.id.String()); err == nil {
		for _, origin := range file.Origins {
			addresses = append(addresses, origin.Address)
		}
	}
	if fleet, err := m.tracker.Peers(ctx); err == nil {
		for _, peer := range fleet.Peers {
			addresses = append(addresses, peer.Address)
		}
	}
	return addresses
}

// insist has one session with a daemon, and another one whenever it is ended.
func (m *member) insist(ctx context.Context, address string, n int, do deed) {
	id := m.ID
	if m.Sessions > 1 {
		id += "-" + strconv.Itoa(n)
	}
	for {
		if err := m.dial(ctx, address, id, do); err != nil {
			fmt.Fprintln(os.Stderr, "liar:", address, err)
		}
		if !trackerclient.Sleep(ctx, again) {
			return
		}
	}
}

// dial begins a session and does its deed.
func (m *member) dial(ctx context.Context, address, id string, do deed) error {
	c, err := (&net.Dialer{Timeout: shake}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	c.SetDeadline(time.Now().Add(shake))
	r := wire.NewReader(c)
	if _, err := r.Greeting(); err != nil {
		return err
	}
	hello := wire.Hello{Manifest: m.id, Peer: id, Nonce: wire.NonceOf(1)}
	if _, err := c.Write(wire.AppendClientHello(nil, hello)); err != nil {
		return err
	}
	if _, err := r.ServerHello(); err != nil {
		return err
	}
	c.SetDeadline(time.Time{})
	fmt.Fprintln(os.Stderr, "session with", address) // the lab counts these lines
	return do(c, r)
}

package httpkit

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// What is told of listeners, by where the tracker is. Nothing here is dialled.
func TestAdvertise(t *testing.T) {
	const origin, peer = true, false
	for _, c := range []struct {
		what         string
		chunks, http string
		given        string
		tracker      place
		source       bool
		wantChunks   string // or a part of the error, if it begins with --
		wantHTTP     string
		warns        bool
	}{
		// All on one machine.
		{"loopback", "127.0.0.1:2684", "127.0.0.1:2694", "", thisLoopback, origin, "127.0.0.1:2684", "127.0.0.1:2694", false},
		{"IPv6 loopback", "[::1]:2684", "[::1]:2694", "", thisLoopback, peer, "[::1]:2684", "[::1]:2694", false},
		// A wildcard listener, and nothing that tells the address.
		{"IPv4", "0.0.0.0:2684", "127.0.0.1:2694", "", thisLoopback, origin, "--advertise", "", false},
		{"IPv6", "[::]:2684", "127.0.0.1:2694", "", thisLoopback, origin, "listen on 127.0.0.1:2684", "", false},
		{"peer", "[::]:2685", "127.0.0.1:2694", "", thisLoopback, peer, "--advertise", "", false},
		{"no route", "[::]:2685", "127.0.0.1:2694", "", -1, peer, "--advertise", "", false},
		// The route to the tracker tells it.
		{"tracker elsewhere", "[::]:2684", "[::]:2694", "", elsewhere, origin, "10.0.0.5:2684", "10.0.0.5:2694", false},
		{"tracker at an address of this machine", "0.0.0.0:2684", "0.0.0.0:2694", "", thisMachine, origin, "10.0.0.5:2684", "10.0.0.5:2694", false},
		{"metrics for this machine only", "0.0.0.0:2685", "127.0.0.1:2695", "", elsewhere, peer, "10.0.0.5:2685", "", false},
		// A listener that others cannot dial.
		{"origin, tracker elsewhere", "127.0.0.1:2684", "127.0.0.1:2694", "", elsewhere, origin, "--listen 127.0.0.1:2684", "", false},
		{"origin, tracker elsewhere, remedy", "127.0.0.1:2684", "127.0.0.1:2694", "", elsewhere, origin, "--advertise HOST:PORT", "", false},
		{"origin, tracker here", "127.0.0.1:2684", "127.0.0.1:2694", "", thisMachine, origin, "--listen 127.0.0.1:2684", "", false},
		{"origin, tracker here, remedy", "127.0.0.1:2684", "127.0.0.1:2694", "", thisMachine, origin, "give --advertise 127.0.0.1:2684", "", false},
		{"origin, tracker here, loopback said", "127.0.0.1:2684", "127.0.0.1:2694", "127.0.0.1:2684", thisMachine, origin, "127.0.0.1:2684", "127.0.0.1:2694", false},
		{"peer, tracker elsewhere", "127.0.0.1:2685", "127.0.0.1:2695", "", elsewhere, peer, "10.0.0.5:2685", "", true},
		{"peer, tracker here", "127.0.0.1:2685", "127.0.0.1:2695", "", thisMachine, peer, "10.0.0.5:2685", "", true},
		{"forwarded to", "127.0.0.1:2684", "127.0.0.1:2694", "gate.example:2684", elsewhere, origin, "gate.example:2684", "", false},
		// One address, said.
		{"its own", "10.0.0.7:2684", "10.0.0.7:2694", "", elsewhere, origin, "10.0.0.7:2684", "10.0.0.7:2694", false},
		{"its own, all metrics", "10.0.0.7:2684", "0.0.0.0:2694", "", thisLoopback, origin, "10.0.0.7:2684", "10.0.0.7:2694", false},
		{"link-local", "[fe80::1]:2684", "127.0.0.1:2694", "", elsewhere, origin, "--listen [fe80::1]:2684", "", false},
		{"link-local metrics", "10.0.0.7:2684", "[fe80::1]:2694", "", elsewhere, origin, "10.0.0.7:2684", "", false},
		{"metrics of unknown address", "127.0.0.1:2685", "0.0.0.0:2695", "", thisLoopback, peer, "--http 0.0.0.0:2695", "", false},
		// --advertise settles both.
		{"name", "0.0.0.0:2684", "0.0.0.0:2694", "host.example:9", thisLoopback, origin, "host.example:9", "host.example:2694", false},
		{"address alone", "0.0.0.0:2684", "127.0.0.1:2694", "10.0.0.7", thisLoopback, origin, "10.0.0.7:2684", "", false},
		{"IPv6 alone", "[::]:2684", "[::]:2694", "fd00::7", thisLoopback, origin, "[fd00::7]:2684", "[fd00::7]:2694", false},
		{"IPv6 in brackets", "[::]:2684", "[::]:2694", "[fd00::7]", thisLoopback, origin, "[fd00::7]:2684", "[fd00::7]:2694", false},
		{"loopback, said", "0.0.0.0:2684", "0.0.0.0:2694", "127.0.0.1", thisLoopback, origin, "127.0.0.1:2684", "127.0.0.1:2694", false},
	} {
		t.Run(c.what, func(t *testing.T) {
			route := func(network string) (netip.Addr, error) {
				if c.tracker < 0 {
					return netip.Addr{}, errors.New("no route")
				}
				return netip.MustParseAddr("10.0.0.5"), nil
			}
			l := Listening{Chunks: tcp(t, c.chunks), HTTP: tcp(t, c.http), ListenFlag: c.chunks, HTTPFlag: c.http, Advertise: c.given, Tracker: "http://tracker", Source: c.source}
			told, err := l.decide(c.tracker, route)
			if err != nil {
				if !strings.Contains(err.Error(), c.wantChunks) {
					t.Errorf("error %q, want one with %q", err, c.wantChunks)
				}
				return
			}
			if told.Chunks != c.wantChunks || told.HTTP != c.wantHTTP || (told.Warning != "") != c.warns {
				t.Errorf("%+v, want %s, %s, a warning: %v", told, c.wantChunks, c.wantHTTP, c.warns)
			}
		})
	}
}

func TestAdvertiseRefuses(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1:2684", "127.1.2.3", "localhost:1", "LOCALHOST.:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		if got, err := parseAdvertise(loopback, 2684, elsewhere); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%q: %q, %v", loopback, got, err)
		}
		if _, err := parseAdvertise(loopback, 2684, thisMachine); err != nil {
			t.Error(err)
		}
	}
	for _, given := range []string{
		"0.0.0.0:2684", "[::]:2684", "::", ":2684", "host:0", "host:65536", "host:-1", "host:+1", "host:http", "host:", "host",
		"[::ffff:0.0.0.0]:1", "[fe80::1]:1", "[fe80::1%eth0]:1", "255.255.255.255:1",
		"a b:2684", "a\n:1", "1.2.3:4", "256.1.1.1:1", "http://host:2684", "host:2684/", "224.0.0.1:1", "h\xff:1", " ", "-x:1", "ü:1",
	} {
		if got, err := parseAdvertise(given, 2684, thisLoopback); err == nil || !strings.Contains(err.Error(), "--advertise") || !strings.Contains(err.Error(), "HOST:PORT") {
			t.Errorf("%q: %q, %v", given, got, err)
		}
	}
}

func TestPlaceOf(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5")}
	for _, c := range []struct {
		host string
		want place
	}{
		{"127.0.0.1", thisLoopback}, {"127.9.9.9", thisLoopback}, {"::1", thisLoopback}, {"0.0.0.0", thisLoopback},
		{"127.0.0.1 ::1", thisLoopback}, {"10.0.0.5", thisMachine}, {"fd00::5", thisMachine},
		{"127.0.1.1 10.0.0.5", thisMachine}, {"10.0.0.6", elsewhere}, {"10.0.0.6 fd00::6", elsewhere}, {"", elsewhere},
	} {
		var host []netip.Addr
		for _, a := range strings.Fields(c.host) {
			host = append(host, netip.MustParseAddr(a))
		}
		if got := placeOf(host, own); got != c.want {
			t.Errorf("%q: %d, want %d", c.host, got, c.want)
		}
	}
	for _, name := range []string{"localhost", "LOCALHOST", "localhost.", "127.0.0.2", "[::1]", "::ffff:127.0.0.1"} {
		if got := locate(t.Context(), name); got != thisLoopback {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := locate(t.Context(), "no such name"); got != elsewhere {
		t.Error("a name that is none is at", got)
	}
}

func tcp(t *testing.T, s string) *net.TCPAddr {
	t.Helper()
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		t.Fatal(err)
	}
	return net.TCPAddrFromAddrPort(a)
}

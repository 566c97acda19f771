//go:build !linux

package chunkserver

import "net"

// inbound reads a connection.
type inbound struct {
	net.Conn
	bulk bool
}

func newInbound(c *net.TCPConn) (*inbound, error) { return &inbound{Conn: c}, nil }

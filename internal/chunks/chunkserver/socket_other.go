//go:build !linux

package chunkserver

import "net"

func tune(*net.TCPConn, bool, int64) error { return nil }

func writeMore(c *net.TCPConn, p []byte) error {
	_, err := c.Write(p)
	return err
}

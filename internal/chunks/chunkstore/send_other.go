//go:build !linux

package chunkstore

import (
	"io"
	"net"
	"os"
)

// sendFile sends n bytes of f from offset off. Bursts are the system's.
func sendFile(conn *net.TCPConn, f *os.File, off, n, _ int64) (int64, error) {
	sent, err := io.Copy(conn, io.NewSectionReader(f, off, n))
	if err == nil && sent < n {
		err = io.ErrUnexpectedEOF
	}
	return sent, err
}

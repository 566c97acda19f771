package chunkstore

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// ErrRange is returned for bytes that a chunk does not have.
var ErrRange = errors.New("range outside the chunk")

// SendTo writes n bytes of the chunk, beginning with its byte from, to conn,
// and returns how many it wrote. On Linux they go from the page cache to the
// socket with sendfile, at an offset of this call's own, so any number of
// calls may run at once. If burst is not 0 the kernel makes its buffers of so
// many bytes, at most. It honours the write deadline of conn.
//
// Errors: ErrNotHeld, ErrRange, io.ErrUnexpectedEOF if the file has become
// shorter, and those of conn.
func (s *Store) SendTo(conn *net.TCPConn, chunk, from, n, burst int) (int64, error) {
	f, off, length, err := s.Chunk(chunk)
	if err != nil {
		return 0, err
	}
	if from < 0 || n < 0 || n > length-from {
		return 0, fmt.Errorf("%w: chunk %d has %d bytes, asked for %d from %d", ErrRange, chunk, length, n, from)
	}
	sent, err := sendFile(conn, f, off+int64(from), int64(n), int64(burst))
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EIO) { // not the connection's
		_ = s.damage(err)
	}
	if err != nil {
		return sent, fmt.Errorf("send chunk %d: %w", chunk, err)
	}
	return sent, nil
}

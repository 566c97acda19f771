package chunkstore

import (
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// sendFile sends n bytes of f from offset off. (TCPConn.ReadFrom would use
// sendfile, too, but at the offset that all readers of f share.)
func sendFile(conn *net.TCPConn, f *os.File, off, n int64) (sent int64, err error) {
	src, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	dst, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	// Within Control f cannot be closed, and its descriptor not be another's.
	var connErr, sendErr error
	err = src.Control(func(in uintptr) {
		connErr = dst.Write(func(out uintptr) bool {
			var again bool
			again, sendErr = sendSome(int(out), int(in), &off, n-sent, &sent)
			return !again
		})
	})
	return sent, errors.Join(err, connErr, sendErr)
}

// sendSome sends until n bytes are sent, or the socket takes no more, which is
// again: the poller then waits until it does, or until the write deadline.
func sendSome(out, in int, off *int64, n int64, sent *int64) (again bool, err error) {
	for n > 0 {
		k, err := unix.Sendfile(out, in, off, int(min(n, 1<<30)))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return true, nil
		case err != nil:
			return false, os.NewSyscallError("sendfile", err)
		case k == 0:
			return false, io.ErrUnexpectedEOF // the file ends here
		}
		n -= int64(k)
		*sent += int64(k)
	}
	return false, nil
}

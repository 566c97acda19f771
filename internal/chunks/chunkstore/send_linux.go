package chunkstore

import (
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// sendFile sends n bytes of f from offset off, in bursts if that is not 0. (TCPConn.ReadFrom
// would use sendfile, too, but at the offset that all readers of f share.)
func sendFile(conn *net.TCPConn, f *os.File, off, n, burst int64) (sent int64, err error) {
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
			again, sendErr = sendSome(int(out), int(in), &off, n, burst, &sent)
			return !again
		})
	})
	return sent, errors.Join(err, connErr, sendErr)
}

// sendSome sends until n bytes are sent, or the socket takes no more, which is
// again: the poller then waits until it does, or until the write deadline.
func sendSome(out, in int, off *int64, n, burst int64, sent *int64) (again bool, err error) {
	for *sent < n {
		left := n - *sent
		if burst > 0 {
			left = min(left, burst-*sent%burst)
		}
		var k int
		switch {
		case burst == 0:
			k, err = unix.Sendfile(out, in, off, int(min(left, 1<<30)))
		case left > 1:
			k, err = unix.Sendfile(out, in, off, int(left-1))
		default:
			k, err = sendLast(out, in, off)
		}
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return true, nil
		case err != nil:
			return false, os.NewSyscallError("send", err)
		case k == 0:
			return false, io.ErrUnexpectedEOF // the file ends here
		}
		*sent += int64(k)
	}
	return false, nil
}

// sendLast sends the last byte of a burst, and has the kernel add nothing to the buffer that
// it is in: MSG_EOR, which sendfile does not have.
func sendLast(out, in int, off *int64) (int, error) {
	var last [1]byte
	if k, err := unix.Pread(in, last[:], *off); k == 0 || err != nil {
		return 0, err
	}
	k, err := unix.SendmsgN(out, last[:], nil, nil, unix.MSG_EOR|unix.MSG_NOSIGNAL)
	if err != nil {
		return 0, err
	}
	*off += int64(k)
	return k, nil
}

package chunkserver

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// notSent is how many bytes the kernel may hold unsent of one connection: a quarter of a
// chunk, within bounds. It makes the time in an upload slot nearly the real sending time, and
// keeps control lines from waiting behind payload that could have gone to another session.
// Linux looks at it only before it begins another buffer, of up to 64 KiB.
func notSent(chunkSize int64) int {
	return int(min(max(chunkSize/4, 16<<10), 256<<10))
}

// limitedBuffer is the receive buffer of a session whose download is limited: what waits
// in a larger one has been sent, so the sender takes it for delivered.
const limitedBuffer = 128 << 10

// tune sets the socket options of a session.
func tune(c *net.TCPConn, limited bool, chunkSize int64) error {
	if limited {
		if err := c.SetReadBuffer(limitedBuffer); err != nil {
			return err
		}
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var opt error
	if err := raw.Control(func(fd uintptr) {
		opt = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent(chunkSize))
	}); err != nil {
		return err
	}
	if opt != nil {
		return fmt.Errorf("set TCP_NOTSENT_LOWAT: %w", opt)
	}
	return nil
}

// writeMore writes p and tells the kernel that more follows, so that a DATA line shares a
// packet with the beginning of its payload.
func writeMore(c *net.TCPConn, p []byte) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		for len(p) > 0 {
			n, err := syscall.SendmsgN(int(fd), p, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
			switch err {
			case nil:
				p = p[n:]
			case syscall.EINTR:
			case syscall.EAGAIN:
				return false
			default:
				sent = err
				return true
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	return sent
}

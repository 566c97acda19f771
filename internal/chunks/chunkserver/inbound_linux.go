package chunkserver

import (
	"io"
	"net"
	"os"
	"syscall"
)

// wakeBytes is how much of a payload must have come before the reader is woken for it. At
// 100 Mbit/s shared by eight senders a packet comes each millisecond on each session: a
// wake-up for each would cost more than the copying.
const wakeBytes = 32 << 10

// inbound reads a connection. While bulk is set, which says that at least as many bytes as
// are asked for are going to come, it waits for many at a time (SO_RCVLOWAT).
type inbound struct {
	raw  syscall.RawConn
	bulk bool

	low int // SO_RCVLOWAT as it is set
	p   []byte
	n   int
	err error
	try func(fd uintptr) bool // in.recv, made once
}

func newInbound(c *net.TCPConn) (*inbound, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	in := &inbound{raw: raw, low: 1}
	in.try = in.recv
	return in, nil
}

// Read implements io.Reader.
func (in *inbound) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	in.p, in.n, in.err = p, 0, nil
	err := in.raw.Read(in.try)
	in.p = nil
	switch {
	case err != nil:
		return 0, err
	case in.err != nil:
		return 0, os.NewSyscallError("recv", in.err)
	case in.n == 0:
		return 0, io.EOF
	}
	return in.n, nil
}

// recv takes what is there; false asks to be called again when there is more.
func (in *inbound) recv(fd uintptr) bool {
	for {
		n, err := syscall.Read(int(fd), in.p)
		switch err {
		case nil:
			in.n = n
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			in.err = in.await(int(fd))
			return in.err != nil
		default:
			in.err = err
			return true
		}
	}
}

// await sets for how many bytes to wait. The kernel looks again at what has come when the
// number is set, so none can be missed in between.
func (in *inbound) await(fd int) error {
	low := 1
	if in.bulk {
		low = min(len(in.p), wakeBytes)
	}
	if low == in.low {
		return nil
	}
	in.low = low
	return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, low)
}

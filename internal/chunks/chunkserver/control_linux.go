package chunkserver

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// tcpPath is the path of a connection as the kernel sees it.
type tcpPath struct{ conn *net.TCPConn }

// measure implements path. Kernels before 4.6 leave the minimum at 0; later ones put the largest
// number there until they have measured, which is right after the handshake unless SYN cookies
// were in use.
func (p tcpPath) measure() (minRTT time.Duration, control string, err error) {
	err = p.do(func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		minRTT = time.Duration(info.Min_rtt) * time.Microsecond
		control, err = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		return err
	})
	return minRTT, control, err
}

// use implements path. Without CAP_NET_ADMIN it is EPERM for what is not in
// tcp_allowed_congestion_control, and for everybody where a route has locked another.
func (p tcpPath) use(control string) error {
	return p.do(func(fd int) error {
		return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, control)
	})
}

func (p tcpPath) do(f func(fd int) error) error {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	if err := raw.Control(func(fd uintptr) { done = f(int(fd)) }); err != nil {
		return err
	}
	return done
}

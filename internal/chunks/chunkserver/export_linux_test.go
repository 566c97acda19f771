package chunkserver

import (
	"math"

	"golang.org/x/sys/unix"
)

// Congestion is the congestion control of what a session sends.
func Congestion(s *Session) (string, error) {
	_, name, err := tcpPath{s.conn}.measure()
	return name, err
}

// SetCongestion changes it behind the session's back.
func SetCongestion(s *Session, name string) error { return tcpPath{s.conn}.use(name) }

// SendToLatecomer has a server believe that it goes on sending to somebody who came while queues were full.
func SendToLatecomer(v *Server) { v.paths.slow.Store(math.MaxInt64) }

// Packets is in how many packets a session has sent.
func Packets(s *Session) (n uint32, err error) {
	err = tcpPath{s.conn}.do(func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			n = info.Data_segs_out
		}
		return err
	})
	return n, err
}

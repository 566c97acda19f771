package chunkstore_test

import (
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// In bursts the kernel sends no more than that at a time, although the packets of loopback hold 64 KiB; without, it does.
func TestSendToInBursts(t *testing.T) {
	const size, burst = 1 << 20, 8 << 10
	s := source(t, randomBytes(size), size)
	for _, tc := range []struct {
		name        string
		burst       int
		least, most uint32 // packets
	}{
		{"whatever the kernel likes", 0, size / (64 << 10), size / burst / 2},
		{"in bursts", burst, size / burst, size},
	} {
		out, in := tcpPair(t)
		done := make(chan error, 1)
		go func() {
			_, err := io.CopyN(io.Discard, in, size)
			done <- err
		}()
		if _, err := s.SendTo(out, 0, 0, size, tc.burst); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := packets(t, out); n < tc.least || n > tc.most {
			t.Errorf("%s: %d packets, want %d to %d", tc.name, n, tc.least, tc.most)
		}
	}
}

// packets is how many packets with data have been sent.
func packets(t *testing.T, c *net.TCPConn) (n uint32) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Error(err)
			return
		}
		n = info.Data_segs_out
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

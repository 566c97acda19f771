package fleet

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
)

const (
	lowestPort = 20000
	// usualEphemeral is where Linux's range of ports for outgoing connections begins
	// unless it is told otherwise.
	usualEphemeral = 32768
)

// freePorts are n loopback addresses where nobody listens, and where no outgoing
// connection will: their ports are below the ephemeral range.
func freePorts(n int) (addresses []string, err error) {
	end := ephemeral()
	if end < lowestPort+1000 {
		return nil, fmt.Errorf("no ports to listen on: the ephemeral range begins at %d: raise net.ipv4.ip_local_port_range", end)
	}
	var held []net.Listener // until all are chosen, so that they differ
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for tries := 0; len(addresses) < n && tries < 1000; tries++ {
		port := lowestPort + rand.IntN(end-lowestPort)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		held = append(held, l)
		addresses = append(addresses, l.Addr().String())
	}
	if len(addresses) < n {
		return nil, fmt.Errorf("found no free ports between %d and %d on 127.0.0.1", lowestPort, end)
	}
	return addresses, nil
}

// ephemeral is the first port that the kernel gives to outgoing connections.
func ephemeral() int {
	data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	var first, last int
	if err == nil {
		_, err = fmt.Sscan(strings.TrimSpace(string(data)), &first, &last)
	}
	if err != nil {
		return usualEphemeral
	}
	return first
}

package httpkit

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// ErrNotLoopback is what CheckListen and Listen refuse with.
var ErrNotLoopback = errors.New("reachable from other machines")

var errNoPort = errors.New("missing port in address")

// CheckListen refuses an address that other machines can reach unless insecure is true: there
// is no authentication that would protect it. flag is the name of the option that gave the
// address, such as --listen, for the message. It resolves host names. The error is (wraps)
// ErrNotLoopback.
//
// Tokens and TLS will make a listener beyond loopback secure; they become parameters here.
func CheckListen(flag, addr string, insecure bool) error {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err == nil && (addr == "" || strings.HasSuffix(addr, ":")) {
		err = errNoPort // else it would be any port, of all interfaces
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w; give host:port", flag, addr, plainNetError(err))
	}
	if insecure || tcp.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s %s: %w, and fanout has no authentication: listen on 127.0.0.1:%d, "+
		"or add --insecure where the whole network is trusted", flag, addr, ErrNotLoopback, tcp.Port)
}

// Listen listens on a TCP address that passes CheckListen. It serves the HTTP listeners and
// those of the chunk protocol. flag is the name of the option that gave the address.
func Listen(flag, addr string, insecure bool) (net.Listener, error) {
	if err := CheckListen(flag, addr, insecure); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s %s: another process listens there already: stop it or choose another port", flag, addr)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, addr, plainNetError(err))
	}
	if host, _, err := net.SplitHostPort(addr); err == nil && host != "" && net.ParseIP(host) == nil {
		return &named{ln, canonicalHost(host)}, nil
	}
	return ln, nil
}

// plainNetError drops the "listen tcp 127.0.0.1:80:" before the reason.
func plainNetError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

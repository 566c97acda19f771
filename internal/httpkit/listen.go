package httpkit

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"
)

// ErrNotLoopback is what CheckListen and Listen refuse with.
var ErrNotLoopback = errors.New("reachable from other machines")

// CheckListen refuses an address that other machines can reach unless insecure is true: there
// is no authentication that would protect it. flag is the name of the option that gave the
// address, such as --listen, for the message. It resolves host names. The error is (wraps)
// ErrNotLoopback.
//
// Tokens and TLS will make a listener beyond loopback secure; they become parameters here.
func CheckListen(flag, addr string, insecure bool) error {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return fmt.Errorf("%s %s: %w; give host:port", flag, addr, plainNetError(err))
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

// Advertise tells which host:port others should dial to reach a listener: advertise if it is
// given (a missing port is the listener's); else the listener's own address; for a wildcard
// address, the local IP of the route to the tracker.
func Advertise(listen net.Addr, advertise, trackerURL string) (string, error) {
	tcp, ok := listen.(*net.TCPAddr)
	if !ok {
		return "", fmt.Errorf("advertise %s: not a TCP address", listen)
	}
	port := fmt.Sprint(tcp.Port)
	if advertise != "" {
		if host, p, err := net.SplitHostPort(advertise); err == nil && host != "" && p != "" {
			return advertise, nil
		}
		if ip := net.ParseIP(advertise); ip != nil {
			return net.JoinHostPort(advertise, port), nil
		}
		return "", fmt.Errorf("--advertise %s: give HOST:PORT as others can dial it", advertise)
	}
	if !tcp.IP.IsUnspecified() && tcp.IP != nil {
		return net.JoinHostPort(tcp.IP.String(), port), nil
	}
	ip, err := localIPTowards(trackerURL)
	if err != nil {
		return "", fmt.Errorf("cannot tell which address other machines should dial (%w): give --advertise HOST:PORT", err)
	}
	return net.JoinHostPort(ip, port), nil
}

// localIPTowards asks the kernel's routing table: connecting a UDP socket sends nothing.
func localIPTowards(trackerURL string) (string, error) {
	u, err := url.Parse(trackerURL)
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	conn, err := net.Dial("udp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String(), nil
}

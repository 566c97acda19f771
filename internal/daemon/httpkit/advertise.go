package httpkit

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Listening is where a daemon listens, and what decides how others reach it.
type Listening struct {
	Chunks, HTTP net.Addr
	ListenFlag   string // what --listen gave
	HTTPFlag     string // what --http gave
	Advertise    string // what --advertise gave; empty if nothing
	Tracker      string // its URL
	// Source is a daemon that is of no use unless others can dial it.
	Source bool
}

// Advertised is what a daemon tells the tracker of itself.
type Advertised struct {
	Chunks string // host:port that others dial
	HTTP   string // host:port of its metrics; empty where no other machine can ask
	// Warning is about a daemon that works, but that no other machine can dial; else empty.
	Warning string
}

// Advertise finds the addresses by which others reach a daemon: the one that is given (a
// missing port is the listener's); else the listener's own; for a wildcard listener, the
// local address of the route to the tracker. Loopback is told only where the tracker is on
// loopback, too, and so everything on one machine. Where no address is certain to be right,
// the error names the flag that settles it.
func Advertise(ctx context.Context, l Listening) (Advertised, error) {
	u, err := url.Parse(l.Tracker)
	if err != nil {
		return Advertised{}, err
	}
	return l.decide(locate(ctx, u.Hostname()), func(network string) (netip.Addr, error) { return routeTo(u, network) })
}

// decide is Advertise without the network: tracker is where the tracker is, and route tells
// the local address of the way there ("udp", or "udp4" for an address of that family).
func (l Listening) decide(tracker place, route func(network string) (netip.Addr, error)) (told Advertised, err error) {
	chunks, ok := l.Chunks.(*net.TCPAddr)
	http, ok2 := l.HTTP.(*net.TCPAddr)
	if !ok || !ok2 {
		return told, fmt.Errorf("advertise %s, %s: not TCP addresses", l.Chunks, l.HTTP)
	}
	switch {
	case l.Advertise != "":
		told.Chunks, err = parseAdvertise(l.Advertise, chunks.Port, tracker)
	case wildcard(chunks):
		told.Chunks, err = l.behindWildcard(chunks, tracker, route)
	case chunks.IP.IsLoopback() && tracker != thisLoopback:
		told, err = l.behindLoopback(chunks, tracker, route)
	case linkLocal(chunks.IP):
		err = fmt.Errorf("--listen %s: a link-local address means another interface to every machine: give --advertise HOST:PORT", l.ListenFlag)
	default:
		told.Chunks = chunks.String()
	}
	if err != nil {
		return told, err
	}
	told.HTTP, err = l.metrics(http, told.Chunks)
	return told, err
}

func (l Listening) behindWildcard(a *net.TCPAddr, tracker place, route func(string) (netip.Addr, error)) (string, error) {
	if tracker == thisLoopback {
		return "", fmt.Errorf("--listen %s: it cannot be told which address other machines should dial, for the tracker %s is on loopback: "+
			"give --advertise HOST:PORT; or, if all is on this machine, listen on %s", l.ListenFlag, l.Tracker, at("127.0.0.1", l.ListenFlag))
	}
	network := "udp"
	if a.IP.To4() != nil { // 0.0.0.0 does not answer IPv6
		network = "udp4"
	}
	ip, err := route(network)
	if err == nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast() && ip.Is6()) {
		err = fmt.Errorf("the way to the tracker leads over %s", ip)
	}
	if err != nil {
		return "", fmt.Errorf("--listen %s: it cannot be told which address other machines should dial (%w): give --advertise HOST:PORT", l.ListenFlag, plainNetError(err))
	}
	return netip.AddrPortFrom(ip, uint16(a.Port)).String(), nil
}

// behindLoopback is about a listener that others cannot dial, though they may be at the same
// tracker, as it is called by an address that others may call it by. They must not be told
// loopback, where each would find itself: a peer, which is of use without being dialled, tells
// its machine's address, where nobody answers.
func (l Listening) behindLoopback(a *net.TCPAddr, tracker place, route func(string) (netip.Addr, error)) (told Advertised, err error) {
	if l.Source {
		only := ""
		if tracker == thisMachine {
			only = fmt.Sprintf("; if all are on this machine, give --advertise %s", a)
		}
		return told, fmt.Errorf("--listen %s: no other machine can dial loopback, and those that use the tracker %s may be others: listen on an address that peers reach "+
			"(--listen %s --insecure); or give --advertise HOST:PORT, as they dial it%s", l.ListenFlag, l.Tracker, at("0.0.0.0", l.ListenFlag), only)
	}
	told = Advertised{Chunks: a.String(), Warning: fmt.Sprintf("no other machine can dial %s: listen on an address that others reach (--listen %s --insecure)", a, at("0.0.0.0", l.ListenFlag))}
	if ip, err := route("udp"); err == nil && !ip.IsLoopback() {
		told.Chunks = netip.AddrPortFrom(ip, uint16(a.Port)).String()
	}
	return told, nil
}

// metrics is the HTTP address to tell: the listener's own, or for a wildcard listener the
// machine's by which its chunk address goes.
func (l Listening) metrics(a *net.TCPAddr, chunks string) (string, error) {
	host, _, err := net.SplitHostPort(chunks)
	if err != nil {
		return "", err
	}
	local := isLoopback(host)
	switch {
	case wildcard(a) && local && l.Advertise == "":
		return "", fmt.Errorf("--http %s: it cannot be told which address others should ask, for the chunk address is %s: "+
			"give --http the one address that they reach, or %s, or --advertise HOST:PORT", l.HTTPFlag, chunks, at("127.0.0.1", l.HTTPFlag))
	case wildcard(a):
		return net.JoinHostPort(host, strconv.Itoa(a.Port)), nil
	case a.IP.IsLoopback() && !local, linkLocal(a.IP):
		return "", nil
	}
	return a.String(), nil
}

// at is another host with the port of an address, as the flag had it.
func at(host, address string) string {
	_, port, _ := net.SplitHostPort(address)
	return net.JoinHostPort(host, port)
}

// linkLocal says that an address means another interface to every machine.
func linkLocal(ip net.IP) bool { return ip.IsLinkLocalUnicast() && ip.To4() == nil }

// isLoopback says of a host, without asking a resolver, that it is every machine's own.
func isLoopback(host string) bool {
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") || net.ParseIP(host).IsLoopback()
}

func wildcard(a *net.TCPAddr) bool { return a.IP == nil || a.IP.IsUnspecified() }

var (
	hostName  = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?$`)
	broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	digits    = regexp.MustCompile(`^[0-9.]+$`) // no name, but what was meant to be an address
)

// parseAdvertise reads HOST:PORT, or an IP address alone, and refuses what those who share a
// tracker cannot dial, wherever it is.
func parseAdvertise(given string, port int, tracker place) (string, error) {
	host, p, err := net.SplitHostPort(given)
	if err != nil {
		host, p = strings.TrimSuffix(strings.TrimPrefix(given, "["), "]"), strconv.Itoa(port)
		if net.ParseIP(host) == nil {
			return "", fmt.Errorf("--advertise %q: give HOST:PORT as others can dial it", given)
		}
	}
	if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("--advertise %q: the port must be a number from 1 to 65535: give HOST:PORT as others can dial it", given)
	}
	ip, err := netip.ParseAddr(host)
	switch ip = ip.Unmap(); {
	case err == nil && (ip.IsUnspecified() || ip.IsMulticast() || ip == broadcast || ip.IsLinkLocalUnicast() && ip.Is6()):
		return "", fmt.Errorf("--advertise %q: nobody else can dial %s: give HOST:PORT as others can dial it", given, host)
	case tracker == elsewhere && isLoopback(host):
		return "", fmt.Errorf("--advertise %q: no other machine can dial loopback, and the tracker is on another: give HOST:PORT as others can dial it", given)
	case err != nil && (!hostName.MatchString(host) || digits.MatchString(host)):
		return "", fmt.Errorf("--advertise %q: %q is neither a host name nor an address: give HOST:PORT as others can dial it", given, host)
	}
	return net.JoinHostPort(host, p), nil
}

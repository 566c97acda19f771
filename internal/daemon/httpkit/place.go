package httpkit

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// place is where a host is, as seen from this process.
type place int

const (
	elsewhere    place = iota // another machine, or a name that cannot be resolved
	thisMachine               // an address of this machine that others may reach, too
	thisLoopback              // loopback: nobody else can mean the same by it
)

// lookupTimeout bounds the question where a host is.
const lookupTimeout = 2 * time.Second

// CannotDial says of a daemon that is known by an address, HOST:PORT, that nobody at the
// addresses of others can dial it: it is on loopback, and all of those are on other machines.
func CannotDial(ctx context.Context, address string, others []string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || !isLoopback(host) || len(others) == 0 {
		return false
	}
	return !slices.ContainsFunc(others, func(other string) bool {
		host, _, err := net.SplitHostPort(other)
		return err != nil || locate(ctx, host) != elsewhere
	})
}

// locate tells where a host is: an address or a name.
func locate(ctx context.Context, host string) place {
	return placeOf(resolve(ctx, host), ownAddresses())
}

// placeOf judges the addresses of a host by those of this machine.
func placeOf(host, own []netip.Addr) place {
	isOwn := func(a netip.Addr) bool { return a.IsLoopback() || a.IsUnspecified() || slices.Contains(own, a) }
	switch {
	case !slices.ContainsFunc(host, isOwn):
		return elsewhere
	case slices.ContainsFunc(host, func(a netip.Addr) bool { return !a.IsLoopback() && !a.IsUnspecified() }):
		return thisMachine
	}
	return thisLoopback
}

func resolve(ctx context.Context, host string) []netip.Addr {
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return []netip.Addr{plainAddr(a)}
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") { // wherever the resolver would ask
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	for i, a := range found {
		found[i] = plainAddr(a)
	}
	return found
}

// ownAddresses are those of this machine's interfaces, now.
func ownAddresses() []netip.Addr {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []netip.Addr
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				own = append(own, plainAddr(ip))
			}
		}
	}
	return own
}

// plainAddr is an address without what two spellings of it can differ in.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// routeTo is the local address of the route to a host: connecting a UDP socket asks the
// kernel, and sends nothing.
func routeTo(u *url.URL, network string) (netip.Addr, error) {
	port := u.Port()
	if port == "" {
		port = "80"
	}
	conn, err := net.DialTimeout(network, net.JoinHostPort(u.Hostname(), port), lookupTimeout)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	ip, _ := netip.AddrFromSlice(conn.LocalAddr().(*net.UDPAddr).IP)
	return ip.Unmap(), nil
}

package table

import (
	"cmp"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is the host:port of a listener that others can dial. The zero value is none.
type Address struct {
	text string
	host string
	ip   netip.Addr // invalid for a host name
	port uint16
}

// ParseAddress reads host:port; a host is an IP address or a name. field names the value in
// the request, for the error, which is ErrInvalid.
func ParseAddress(field, text string) (Address, error) {
	host, portText, err := net.SplitHostPort(text)
	port, portErr := strconv.ParseUint(portText, 10, 16)
	if err != nil || host == "" || portErr != nil || port == 0 || strings.ContainsAny(host, " \t\r\n") {
		return Address{}, invalid(field, "%s: %q is no address; give host:port such as 10.0.0.2:2685", field, text)
	}
	a := Address{text: text, host: host, port: uint16(port)}
	if ip, err := netip.ParseAddr(host); err == nil {
		a.ip = ip.Unmap()
		if ip.IsUnspecified() {
			return Address{}, invalid(field, "%s: nobody can dial %s; start the daemon with --advertise HOST:PORT", field, text)
		}
		a.host = a.ip.String()
		a.text = net.JoinHostPort(a.host, portText)
	}
	return a, nil
}

// String is host:port.
func (a Address) String() string { return a.text }

// Compare orders addresses: IP addresses by number, then host names by letter, each by port.
// As text, 10.0.0.10 would come before 10.0.0.9.
func (a Address) Compare(b Address) int {
	if a.ip.IsValid() != b.ip.IsValid() {
		if a.ip.IsValid() {
			return -1
		}
		return 1
	}
	return cmp.Or(a.ip.Compare(b.ip), strings.Compare(a.host, b.host), cmp.Compare(a.port, b.port))
}

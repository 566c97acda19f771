package httpkit

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// A browser lets any web page send requests to this machine and its network. Two rules keep
// pages out that are not ours: who listens on loopback answers for the names of loopback
// alone, since a page's own name can be made to lead here (DNS rebinding); and nobody
// changes anything for a page from elsewhere. Programs that are no browsers send no Origin.

type listenerKey struct{}

// withListener notes which listener a request came by.
func withListener(ctx context.Context, l net.Listener) context.Context {
	return context.WithValue(ctx, listenerKey{}, l)
}

// named is a listener that was asked for by a name, under which it answers.
type named struct {
	net.Listener
	host string
}

// AllowHosts checks and reads the values of --allow-host.
func AllowHosts(given []string) ([]string, error) {
	var names []string
	for _, name := range given {
		_, err := netip.ParseAddr(strings.Trim(name, "[]"))
		if err != nil && !hostName.MatchString(name) {
			return nil, fmt.Errorf("--allow-host %q: give a host name, as clients call this daemon, without scheme and port", name)
		}
		names = append(names, canonicalHost(name))
	}
	return names, nil
}

// guard finds what only a web page from elsewhere makes a browser send.
type guard struct {
	daemon string   // its name, for messages
	hosts  []string // for which it answers, too, in one spelling
}

// protect keeps out what the guard does not let in.
func (d *Daemon) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := d.guard.check(r); err != nil {
			w.Header().Set("Connection", "close") // its body, if it has one, stays unread
			d.Render(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// check is the error to refuse a request with, if it is to be refused.
func (g *guard) check(r *http.Request) error {
	if !g.answersFor(r) {
		return Errorf(http.StatusForbidden, "the %s listens on loopback and does not answer for the host %q: "+
			"call it localhost, or name the host with --allow-host", g.daemon, hostOf(r.Host)).WithField("Host")
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	// The browser has judged; "same-site" is another program of the same domain or machine.
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return foreign("Sec-Fetch-Site", site)
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		if !g.own(origin, r.Host) {
			return foreign("Origin", origin)
		}
	}
	return nil
}

func foreign(field, value string) error {
	return Errorf(http.StatusForbidden, "%s: %s: web pages from elsewhere may not change anything here; "+
		"for a page behind a reverse proxy, name its host with --allow-host", field, value).WithField(field)
}

// answersFor says whether a request means this daemon: on loopback, its Host must be a name
// of loopback, the one that the daemon was told to listen by, or one that was allowed.
// HTTP/1.0 knows no Host, and no browser speaks it.
func (g *guard) answersFor(r *http.Request) bool {
	l, ok := r.Context().Value(listenerKey{}).(net.Listener)
	if !ok {
		return true
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return true
	}
	host := hostOf(r.Host)
	if n, ok := l.(*named); ok && n.host == host {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return host == "" || host == "localhost" || err == nil && ip.IsLoopback() || slices.Contains(g.hosts, host)
}

// own says whether an Origin is the request's own host, or that of a reverse proxy that puts
// another Host in place of it.
func (g *guard) own(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false // also "null", which is any page that hides where it is from
	}
	port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	same := strings.EqualFold(strings.TrimSuffix(u.Host, port), strings.TrimSuffix(host, port))
	return same || slices.Contains(g.hosts, canonicalHost(u.Hostname()))
}

// hostOf is the host of a Host header, in one spelling.
func hostOf(header string) string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		return canonicalHost(host)
	}
	return canonicalHost(header)
}

func canonicalHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	if ip, err := netip.ParseAddr(host); err == nil {
		return plainAddr(ip).String()
	}
	return strings.TrimSuffix(host, ".")
}

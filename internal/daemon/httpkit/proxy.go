package httpkit

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// LocalClient is an HTTP client for a daemon on this machine: no proxy is asked, for the
// proxy's machine would look for the daemon there or not at all.
func LocalClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}}
}

// Proxy is what http.Transport takes: the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY
// name, but none for a host that is this machine, by whichever of its addresses or names.
func Proxy() func(*http.Request) (*url.URL, error) {
	l := &localHosts{seen: map[string]seenHost{}, locate: locate, now: time.Now}
	return func(r *http.Request) (*url.URL, error) { return l.proxy(r, http.ProxyFromEnvironment) }
}

// rememberFor is how long it is remembered where a host is: each request asks.
const rememberFor = time.Minute

// localHosts remembers which hosts are this machine.
type localHosts struct {
	locate func(context.Context, string) place
	now    func() time.Time

	mu   sync.Mutex
	seen map[string]seenHost // only those that the program asks: few
}

type seenHost struct {
	local bool
	at    time.Time
}

func (l *localHosts) proxy(r *http.Request, environment func(*http.Request) (*url.URL, error)) (*url.URL, error) {
	proxy, err := environment(r)
	if proxy == nil && err == nil || l.local(r.Context(), r.URL.Hostname()) {
		return nil, nil
	}
	return proxy, err
}

func (l *localHosts) local(ctx context.Context, host string) bool {
	l.mu.Lock()
	s, ok := l.seen[host]
	l.mu.Unlock()
	if ok && l.now().Sub(s.at) < rememberFor {
		return s.local
	}
	s = seenHost{local: l.locate(ctx, host) != elsewhere, at: l.now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[host] = s
	return s.local
}

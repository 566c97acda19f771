package httpkit

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// This machine is never asked through a proxy, and is not looked up for every request.
func TestProxy(t *testing.T) {
	proxy, errProxy := &url.URL{Host: "proxy:3128"}, errors.New("HTTP_PROXY is no URL")
	for _, c := range []struct {
		what   string
		place  place
		proxy  *url.URL
		err    error
		want   *url.URL
		asks   int // where the host is
		failed bool
	}{
		{"no proxy", elsewhere, nil, nil, nil, 0, false},
		{"another machine", elsewhere, proxy, nil, proxy, 1, false},
		{"loopback", thisLoopback, proxy, nil, nil, 1, false},
		{"an address of this machine", thisMachine, proxy, nil, nil, 1, false},
		{"a variable that is wrong", elsewhere, nil, errProxy, nil, 1, true},
		{"a variable that is wrong, this machine", thisMachine, nil, errProxy, nil, 1, false},
	} {
		asks, now := 0, time.Now()
		l := &localHosts{
			seen: map[string]seenHost{}, now: func() time.Time { return now },
			locate: func(context.Context, string) place { asks++; return c.place },
		}
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://some.host:2680/v1/files", nil)
		for range 3 {
			got, err := l.proxy(r, func(*http.Request) (*url.URL, error) { return c.proxy, c.err })
			if got != c.want || (err != nil) != c.failed {
				t.Errorf("%s: %v, %v", c.what, got, err)
			}
		}
		if asks != c.asks {
			t.Errorf("%s: looked %d times where the host is", c.what, asks)
		}
		now = now.Add(rememberFor)
		if _, _ = l.proxy(r, func(*http.Request) (*url.URL, error) { return c.proxy, c.err }); c.asks > 0 && asks != 2 {
			t.Errorf("%s: remembered for ever", c.what)
		}
	}
}

package inproc_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"fanout/internal/daemon/trackerclient"
	origin "fanout/origin/server"
)

// proxy stands between an origin and the tracker, and refuses to pass on what the function
// says, in HTML as proxies do.
func (r *rig) proxy(refuse func(*http.Request) int) *trackerclient.Client {
	r.Helper()
	tracker, err := url.Parse(r.tracker.http)
	if err != nil {
		r.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(tracker)
	pass.ErrorLog = log.New(io.Discard, "", 0) // of clients that have gone
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		status := refuse(q)
		if status == 0 {
			pass.ServeHTTP(w, q)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprint(w, "<html><h1>no</h1></html>")
	}))
	r.Cleanup(func() { http.DefaultTransport.(*http.Transport).CloseIdleConnections() })
	r.Cleanup(srv.Close)
	c, err := trackerclient.New(srv.URL)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(c.Close)
	return c
}

// A refusal that cannot mend itself is not tried again: the origin says which file it is about
// and why, and goes on with the others.
func TestOneFileRefused(t *testing.T) {
	r := newRig(t)
	r.write("small", chunkSize)
	r.write("large", 100*chunkSize)
	var refused atomic.Int32
	cfg := r.configOrigin("large", "small")
	cfg.Tracker = r.proxy(func(q *http.Request) int {
		if q.Method == http.MethodPut && q.ContentLength > 4096 {
			refused.Add(1)
			return http.StatusRequestEntityTooLarge
		}
		return 0
	})
	o, err := origin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d := r.run(cfg.HTTP, o.Run)
	r.await("the small file", func() bool { return r.file("small") != nil })
	r.await("the reason", func() bool {
		ready := r.get(d.http + "/readyz")
		return strings.HasPrefix(ready, "503 ") && strings.Contains(ready, "large is not published: ") &&
			strings.Contains(ready, "answered 413 Request Entity Too Large") && strings.Contains(ready, "--chunk-size")
	})
	published := r.file("small").PublishedAt
	r.await("renewals of the small file", func() bool {
		f := r.file("small")
		return f != nil && len(f.Origins) == 1 && refused.Load() == 1 && f.PublishedAt.Equal(published)
	})
	d.stop()
	if n := refused.Load(); n != 1 {
		t.Errorf("refused %d times", n)
	}
}

// A proxy that lets the publication pass, but no announce, refuses for good, too.
func TestAnnounceRefused(t *testing.T) {
	for _, push := range []bool{true, false} {
		t.Run(fmt.Sprint(push), func(t *testing.T) {
			r := newRig(t)
			r.write("f", chunkSize)
			cfg := r.configOrigin("f")
			cfg.EndIfRefused = push
			cfg.Tracker = r.proxy(func(q *http.Request) int {
				if strings.HasSuffix(q.URL.Path, "/announce") {
					return http.StatusForbidden
				}
				return 0
			})
			o, err := origin.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "answered 403 Forbidden") {
				t.Error(err)
			}
		})
	}
}

// Where every file is refused, whoever does so, the origin has nothing to do and ends with
// the reason; with EndIfRefused one is enough.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		status int
		files  []string
		end    bool // if one is refused
		says   string
	}{
		{401, []string{"f"}, false, `publish "f": `},
		{403, []string{"f", "g"}, false, "answered 403 Forbidden, but not as a tracker does"},
		{404, []string{"f"}, false, "answered 404 Not Found"},
		{407, []string{"f"}, false, "answered 407 Proxy Authentication Required"},
		{413, []string{"f", "g"}, true, "its 1 chunks make a publication of"},
		{302, []string{"f"}, false, "answered 302 "},
	} {
		t.Run(fmt.Sprint(c.status, c.files, c.end), func(t *testing.T) {
			r := newRig(t)
			for _, name := range c.files {
				r.write(name, chunkSize)
			}
			cfg := r.configOrigin(c.files...)
			cfg.EndIfRefused = c.end
			cfg.Tracker = r.proxy(func(q *http.Request) int {
				if c.end && !strings.HasSuffix(q.URL.Path, "/g") {
					return 0 // the announces of f, too, which may come before g is published
				}
				return c.status
			})
			o, err := origin.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := o.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// An outage is not a refusal, and what was published once is offered again whatever the
// answer: it may mend itself.
func TestRefusedForAWhile(t *testing.T) {
	r := newRig(t)
	r.write("f", chunkSize)
	cfg := r.configOrigin("f")
	var status atomic.Int32
	var asked atomic.Int32
	status.Store(http.StatusServiceUnavailable)
	cfg.Tracker = r.proxy(func(*http.Request) int { asked.Add(1); return int(status.Load()) })
	o, err := origin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d := r.run(cfg.HTTP, o.Run)
	trouble := func(text string) func() bool {
		return func() bool { return strings.Contains(r.get(d.http+"/readyz"), text) }
	}
	r.await("the outage", trouble("answered 503"))
	status.Store(0)
	r.await("the file", trouble("200 ok"))
	status.Store(http.StatusForbidden)
	r.await("the refusal", trouble("answered 403"))
	before := asked.Load()
	r.await("more attempts", func() bool { return asked.Load() > before+1 })
	status.Store(0)
	r.await("the file again", trouble("200 ok"))
}

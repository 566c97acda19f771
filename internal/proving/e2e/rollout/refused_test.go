package rollout

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"fanout/internal/proving/fleet/fleettest"
)

// What has too many chunks is refused before a byte of it is read, with the chunk size to use.
func TestTooManyChunks(t *testing.T) {
	r := start(t)
	r.followers(1)
	path := filepath.Join(r.Dir(), "image.bin")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 6<<30); err != nil { // takes no room
		t.Fatal(err)
	}
	const want = "origin: image.bin (6 GiB) would have 1,572,864 chunks of 4 KiB, more than 1,048,576: give --chunk-size 8KiB\n"
	r.push("--chunk-size", "4KiB", "image.bin").ends(1, want)
	r.command(r.binaries.Origin, "serve", []string{"--chunk-size", "4KiB", "image.bin"}).ends(1, want)
	r.push("--chunk-size", "6143", "image.bin").ends(1, "origin: image.bin (6 GiB) would have 1,048,747 chunks of 6,143 bytes, more than 1,048,576: give --chunk-size 8KiB\n")
	r.push("--chunk-size", "128MiB", "image.bin").ends(1, "origin: --chunk-size: chunk size not allowed: 134217728 bytes: it must be from 4096 (4KiB) to 67108864 (64MiB)\n")
}

// A push that is refused, by the tracker or by a proxy on the way to it, ends with the reason.
func TestPushRefused(t *testing.T) {
	r := start(t)
	r.followers(1)
	source := fleettest.File(t, r.Dir(), "a.bin", mib, 1)
	for _, status := range []int{401, 403, 407, 409, 413, 414, 422, 431, 451, 501, 511, 301} {
		proxy := r.proxy(func(q *http.Request) int {
			if q.Method == http.MethodPut {
				return status
			}
			return 0
		})
		push := r.push("--tracker", proxy, source)
		push.ends(1, fmt.Sprintf(`origin: publish "a.bin": %s answered %d `, proxy, status))
		if push.stdout.Len() > 0 {
			t.Error("it prints", &push.stdout)
		}
	}
}

// So does one that is refused later: its announces, its rollout, or the look at it.
func TestPushRefusedLater(t *testing.T) {
	r := start(t)
	r.followers(1)
	source := fleettest.File(t, r.Dir(), "a.bin", mib, 1)
	for _, route := range []string{"POST /announce", "PUT /rollout", "GET /rollout"} {
		for _, status := range []int{403, 409, 501} {
			method, end, _ := strings.Cut(route, " ")
			proxy := r.proxy(func(q *http.Request) int {
				if q.Method == method && strings.HasSuffix(q.URL.Path, end) {
					return status
				}
				return 0
			})
			r.push("--tracker", proxy, source).ends(1, fmt.Sprintf("%s answered %d ", proxy, status))
		}
	}
}

// What may mend itself is waited for, and said.
func TestPushSaysWhatItWaitsFor(t *testing.T) {
	r := start(t)
	r.followers(1)
	source := fleettest.File(t, r.Dir(), "a.bin", mib, 1)
	for _, route := range []string{"PUT /a.bin", "PUT /rollout"} {
		var mended atomic.Bool
		method, end, _ := strings.Cut(route, " ")
		proxy := r.proxy(func(q *http.Request) int {
			if q.Method == method && strings.HasSuffix(q.URL.Path, end) && !mended.Load() {
				return 503
			}
			return 0
		})
		push := r.prepare(r.binaries.Origin, "push", []string{"--tracker", proxy, source})
		said := make(chan string, 1)
		push.Stderr = lines(said)
		push.start()
		select {
		case line := <-said:
			if !strings.Contains(line, "origin: waiting: ") || !strings.Contains(line, "answered 503") {
				t.Error(line)
			}
		case <-r.ctx.Done():
			t.Fatal("it says nothing")
		}
		mended.Store(true)
		push.ends(0, "")
	}
}

// lines passes on what is written first.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

// proxy is one before the tracker that answers some calls with a status of its own; 0 is none.
func (r *rig) proxy(refuse func(*http.Request) int) (address string) {
	r.t.Helper()
	tracker, err := url.Parse(r.tracker.URL())
	if err != nil {
		r.t.Fatal(err)
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		status := refuse(q)
		if status == 0 {
			httputil.NewSingleHostReverseProxy(tracker).ServeHTTP(w, q)
			return
		}
		w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		w.WriteHeader(status)
		fmt.Fprint(w, "<html><h1>no</h1></html>")
	}))
	r.t.Cleanup(func() {
		proxy.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return proxy.URL
}

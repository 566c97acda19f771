package rollout

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"fanout/internal/fleet/fleettest"
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
	r.push("--chunk-size", "128MiB", "image.bin").ends(1, "origin: --chunk-size: chunk size not allowed: 134217728 bytes: it must be a power of two from 4096 (4KiB) to 67108864 (64MiB)\n")
}

// A push that is refused, by the tracker or by a proxy on the way to it, ends with the reason.
func TestPushRefused(t *testing.T) {
	r := start(t)
	r.followers(1)
	source := fleettest.File(t, r.Dir(), "a.bin", mib, 1)
	tracker, err := url.Parse(r.tracker.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{401, 403, 407, 409, 413, 414, 422, 431, 451, 301} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.Method != http.MethodPut {
				httputil.NewSingleHostReverseProxy(tracker).ServeHTTP(w, q)
				return
			}
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
			w.WriteHeader(status)
			fmt.Fprint(w, "<html><h1>no</h1></html>")
		}))
		push := r.push("--tracker", proxy.URL, source)
		push.ends(1, fmt.Sprintf(`origin: publish "a.bin": %s answered %d `, proxy.URL, status))
		proxy.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if push.stdout.Len() > 0 {
			t.Error("it prints", &push.stdout)
		}
	}
}

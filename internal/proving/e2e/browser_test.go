package e2e

import (
	"net/http"
	"strings"
	"testing"

	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

// What a web page from elsewhere makes a browser send to a machine is answered by no daemon,
// and what curl sends still is.
func TestWebPagesFromElsewhere(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", mib, 1)
	allow := []string{"--allow-host", "fanout.example,other.example"}
	r := start(t, plan{build: fleettest.Race, files: []string{source}, tracker: allow, origin: allow, peers: 1, peer: allow})
	const form, download = "application/x-www-form-urlencoded", `{"file":"image.bin"}`
	type headers map[string]string
	for _, c := range []struct {
		what         string
		daemon       *fleet.Daemon
		method, path string
		body, host   string
		headers      headers
		status       int
	}{
		{"a page's form", r.peers[0].Daemon, "POST", "/v1/downloads", download, "", headers{"Content-Type": "text/plain", "Origin": "http://evil.example"}, 403},
		{"a form of a form's type", r.peers[0].Daemon, "POST", "/v1/downloads", download, "", headers{"Content-Type": form, "Origin": "http://evil.example"}, 403},
		{"a page without an origin", r.peers[0].Daemon, "POST", "/v1/downloads", download, "", headers{"Content-Type": form, "Sec-Fetch-Site": "cross-site"}, 403},
		{"a page that withdraws", r.tracker.Daemon, "DELETE", "/v1/files/image.bin", "", "", headers{"Origin": "http://evil.example"}, 403},
		{"a page that registers", r.tracker.Daemon, "PUT", "/v1/peers/x", `{"address":"a:1"}`, "", headers{"Origin": "null"}, 403},
		{"a name that leads here, tracker", r.tracker.Daemon, "GET", "/v1/files", "", "evil.example", nil, 403},
		{"the page of the tracker", r.tracker.Daemon, "GET", "/", "", "evil.example", nil, 403},
		{"events", r.tracker.Daemon, "GET", "/v1/events", "", "evil.example", nil, 403},
		{"a name that leads here, origin", r.origin.Daemon, "GET", "/metrics", "", "evil.example:2694", nil, 403},
		{"a name that leads here, peer", r.peers[0].Daemon, "GET", "/v1/downloads", "", "evil.example", nil, 403},
		{"readiness", r.peers[0].Daemon, "GET", "/readyz", "", "evil.example", nil, 403},
		{"a reverse proxy's name", r.tracker.Daemon, "GET", "/v1/files", "", "fanout.example", nil, 200},
		{"the other one", r.origin.Daemon, "GET", "/readyz", "", "other.example", nil, 200},
		{"a page behind it", r.tracker.Daemon, "PUT", "/v1/peers/x", `{"address":"a:1"}`, "fanout.example",
			headers{"Content-Type": form, "Origin": "https://fanout.example", "Sec-Fetch-Site": "same-origin"}, 200},
		{"curl -d", r.peers[0].Daemon, "POST", "/v1/downloads", download, "", headers{"Content-Type": form}, 202},
		{"localhost", r.peers[0].Daemon, "GET", "/v1/downloads", "", "localhost:2695", nil, 200},
	} {
		t.Run(c.what, func(t *testing.T) {
			q, err := http.NewRequestWithContext(r.ctx, c.method, c.daemon.URL()+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			q.Host = c.host
			for k, v := range c.headers {
				q.Header.Set(k, v)
			}
			got, err := http.DefaultClient.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			got.Body.Close()
			problem := got.Header.Get("Content-Type") == "application/problem+json"
			if got.StatusCode != c.status && !(c.status == 202 && got.StatusCode == 200) || problem != (c.status >= 400) {
				t.Errorf("%s, %s, want %d", got.Status, got.Header.Get("Content-Type"), c.status)
			}
		})
	}
}

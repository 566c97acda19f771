package e2e

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

// A body made to hurt costs a daemon neither memory nor a log file.
func TestHostileBodies(t *testing.T) {
	const long = 60 << 20
	source := fleettest.File(t, t.TempDir(), "image.bin", mib, 1)
	r := start(t, plan{build: fleettest.Plain, files: []string{source}, peers: 1})
	tracker, peer := r.tracker.Daemon, r.peers[0].Daemon
	evil := func(inside string) string { return `{"file":"x","evil":[` + strings.Repeat(inside, long/len(inside)) }
	for what, c := range map[string]struct {
		daemon       *fleet.Daemon
		method, path string
		body         string
		status       int
	}{
		"numbers to a peer":       {peer, "POST", "/v1/downloads", evil("0,"), 413},
		"numbers to the tracker":  {tracker, "PUT", "/v1/files/x", evil("0,"), 400},
		"brackets to the tracker": {tracker, "PUT", "/v1/files/x", evil("["), 400},
		"objects to the tracker":  {tracker, "PUT", "/v1/files/x", evil(`{"a":0},`), 400},
		"a string to the tracker": {tracker, "PUT", "/v1/files/x", `{"file":"` + strings.Repeat("x", long) + `"}`, 400},
		"a rollout":               {tracker, "PUT", "/v1/files/x/rollout", evil("0,"), 413},
	} {
		for _, stated := range []bool{true, false} {
			var body io.Reader = strings.NewReader(c.body)
			if !stated {
				body = struct{ io.Reader }{body}
			}
			q, err := http.NewRequestWithContext(r.ctx, c.method, c.daemon.URL()+c.path, body)
			r.must(err)
			q.Header.Set("Content-Type", "application/json")
			got, err := http.DefaultClient.Do(q)
			if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
				continue // refused before all was sent, and the answer missed
			}
			r.must(err)
			text, err := io.ReadAll(got.Body)
			r.must(err)
			got.Body.Close()
			dense := !stated && got.StatusCode == 400 // it was not read as far as its limit
			if got.StatusCode != c.status && !dense || len(text) > 4<<10 {
				t.Errorf("%s, length stated: %v: %s, %d bytes: %.300q, want %d", what, stated, got.Status, len(text), text, c.status)
			}
		}
	}
	for _, d := range []*fleet.Daemon{tracker, peer} {
		if rss, err := d.PeakRSS(); err != nil || rss > 300*mib {
			t.Errorf("%s had %d MiB resident (%v)", d.Name(), rss/mib, err)
		}
		if n := int64(len(d.Log())); n > mib {
			t.Errorf("the log of %s has %d bytes", d.Name(), n)
		}
	}
}

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fanout/api/peerapi"
	"fanout/internal/fleet"
	"fanout/internal/fleet/fleettest"
)

// answer is what a daemon answered to something wrong.
type answer struct {
	fleet.Problem
	contentType string
}

// call sends a request as curl would, with a body that no client of ours would send.
func (r *rig) call(method, url, body string) answer {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.ctx, method, url, strings.NewReader(body))
	r.must(err)
	got, err := http.DefaultClient.Do(q)
	r.must(err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	r.must(err)
	a := answer{contentType: got.Header.Get("Content-Type")}
	if err := json.Unmarshal(text, &a.Problem); err != nil {
		r.t.Fatalf("%s %s: %s, no JSON: %q", method, url, got.Status, text)
	}
	if a.Status != got.StatusCode {
		r.t.Errorf("%s %s: %s, but the problem says %d", method, url, got.Status, a.Status)
	}
	return a
}

// wants fails the test unless an answer is a problem with that status and field, whose
// detail names everything of says.
func (a answer) wants(t *testing.T, status int, field string, says ...string) {
	t.Helper()
	if a.contentType != "application/problem+json" || a.Status != status || a.Field != field {
		t.Errorf("%s %d, field %q, want %d, field %q: %s", a.contentType, a.Status, a.Field, status, field, a.Detail)
	}
	for _, s := range says {
		if !strings.Contains(a.Detail, s) {
			t.Errorf("it says %q, which does not name %q", a.Detail, s)
		}
	}
}

// What a peer refuses to download, or refuses to believe.
func TestRefusedDownloads(t *testing.T) {
	source := fleettest.File(t, t.TempDir(), "image.bin", mib, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, peers: 1})
	p := r.peers[0]
	outside := t.TempDir()
	r.must(os.Symlink(outside, p.Path("elsewhere")))
	r.must(os.Symlink(filepath.Join(outside, "new.bin"), p.Path("link.bin")))
	r.must(os.Symlink("/", p.Path("root")))
	r.must(os.Mkdir(p.Path("directory"), 0o755))
	to := func(output string) string {
		body, err := json.Marshal(peerapi.DownloadRequest{File: "image.bin", Output: &output})
		r.must(err)
		return string(body)
	}
	for name, c := range map[string]struct {
		body   string
		status int
		field  string
		says   []string
	}{
		"unknown file":            {`{"file":"no such.bin"}`, 404, "file", []string{`"no such.bin"`, "image.bin"}},
		"unknown manifest":        {`{"file":"` + strings.Repeat("0", 64) + `"}`, 404, "file", []string{strings.Repeat("0", 64)}},
		"above the data dir":      {to("../image.bin"), 400, "output", []string{"../image.bin", p.DataDir()}},
		"absolute elsewhere":      {to("/tmp/image.bin"), 400, "output", []string{"/tmp/image.bin", p.DataDir()}},
		"sneaking out":            {to("a/../../image.bin"), 400, "output", []string{"a/../../image.bin"}},
		"through a directory":     {to("elsewhere/image.bin"), 400, "output", []string{"elsewhere/image.bin", p.DataDir()}},
		"through a link":          {to("link.bin"), 400, "output", []string{"link.bin", p.DataDir()}},
		"through a link to /":     {to("root/tmp/image.bin"), 400, "output", []string{"root/tmp/image.bin"}},
		"onto a directory":        {to("directory"), 400, "output", []string{"directory"}},
		"onto the data dir":       {to("."), 400, "output", []string{p.DataDir()}},
		"into peerd's own":        {to(".fanout/image.bin"), 400, "output", []string{".fanout"}},
		"no JSON":                 {`{"file": image.bin}`, 400, "", []string{"not JSON", "byte 10"}},
		"half of it":              {`{"file": "image.bin"`, 400, "", []string{"ends too early"}},
		"nothing":                 {``, 400, "", []string{"no body"}},
		"no file":                 {`{}`, 400, "file", []string{"file"}},
		"a number for a name":     {`{"file": 7}`, 400, "file", []string{"file"}},
		"an unknown strategy":     {`{"file":"image.bin","strategy":"fast"}`, 400, "strategy", []string{"strategy", "swarm"}},
		"half a digest":           {`{"file":"image.bin","sha256":"abc"}`, 400, "sha256", []string{"sha256"}},
		"a field with a mistake":  {`{"file":"image.bin","ouput":"x"}`, 400, "body", []string{`"ouput"`}},
		"a list where one is due": {`[{"file":"image.bin"}]`, 400, "body", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := *r
			r.t = t
			r.call("POST", p.URL()+"/v1/downloads", c.body).wants(t, c.status, c.field, c.says...)
		})
	}
	list, err := p.API().ListDownloadsWithResponse(r.ctx)
	r.must(err)
	if n := len(list.JSON200.Downloads); n != 0 {
		t.Errorf("%d downloads on the list after nothing but refusals", n)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("outside the data directory there is %v, %v", entries, err)
	}
}

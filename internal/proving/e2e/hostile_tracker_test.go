package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fanout/internal/proving/fleet/fleettest"
)

// A tracker cannot choose where `peerd get` writes, nor what a terminal does.
func TestGetFromAHostileTracker(t *testing.T) {
	t.Parallel()
	r := bare(t, fleettest.Race)
	peerd := fleettest.Binaries(t, fleettest.Race).Peerd
	for what, c := range map[string]struct{ answer, says string }{
		"a path":            {file("../evil"), `"../evil"`},
		"an absolute path":  {file("/tmp/evil"), `"/tmp/evil"`},
		"a directory":       {file(".."), `".."`},
		"control":           {file(`a\u001b[2J`), `"a\x1b[2J"`},
		"escape in a text":  {`{"title":"x","status":500,"detail":"\u001b[2J\u001b]0;owned\u0007 no"}`, "]0;owned"},
		"lines in a text":   {`{"title":"x","status":500,"detail":"no\npeerd: all is well"}`, "no peerd: all is well"},
		"a text as a novel": {`{"title":"x","status":500,"detail":"` + strings.Repeat("x", 1<<20) + `"}`, "xxx…"},
	} {
		t.Run(what, func(t *testing.T) {
			r := *r
			r.t = t
			tracker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if strings.Contains(c.answer, `"status"`) {
					w.Header().Set("Content-Type", "application/problem+json")
					w.WriteHeader(http.StatusInternalServerError)
				}
				fmt.Fprint(w, c.answer)
			}))
			defer tracker.Close()
			dir := t.TempDir()
			inside := filepath.Join(dir, "inside")
			r.must(os.Mkdir(inside, 0o755))
			before := entries(t, dir)
			code, stderr := r.attempt(peerd, "get", "image.bin", "--tracker", tracker.URL, "-o", inside)
			if code != 1 || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "\x1b") || len(stderr) > 4<<10 {
				t.Errorf("exit code %d: %.300q, want %q", code, stderr, c.says)
			}
			if after := entries(t, dir); !slices.Equal(before, after) {
				t.Errorf("in the directory were %q, are %q", before, after)
			}
		})
	}
}

// file is a tracker's answer about a file of that name.
func file(name string) string {
	return `{"name":"` + name + `","manifest_id":"` + strings.Repeat("0", 64) + `","current":true,"size":1,"chunk_size":4096,` +
		`"chunks_total":1,"published_at":"2026-01-01T00:00:00Z","origins":[],"peers":0,"peers_complete":0}`
}

// Package page is the tracker's page for people: files, swarms and finished distributions,
// live. It is embedded in the binary, needs no build step and nothing from elsewhere: the
// browser asks this tracker only, for the page and for GET /v1/events.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"

	"github.com/go-chi/chi/v5"
)

//go:embed assets
var assets embed.FS

// policy lets the page do what it does and nothing else; in particular no script or style
// runs that is not a file of ours, whatever a file or a peer is named.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// Mount serves the page at / and what belongs to it below /page/.
func Mount(r chi.Router) error {
	files, err := fs.ReadDir(assets, "assets")
	if err != nil {
		return err
	}
	for _, f := range files {
		content, err := assets.ReadFile("assets/" + f.Name())
		if err != nil {
			return err
		}
		route := "/page/" + f.Name()
		if f.Name() == "index.html" {
			route = "/"
		}
		r.Get(route, serve(f.Name(), content))
	}
	return nil
}

func serve(name string, content []byte) http.HandlerFunc {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", types[path.Ext(name)])
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache") // ask again: another version may answer by then
		h.Set("ETag", tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	}
}

// Package page is the tracker's page for people: files, swarms and finished distributions,
// live. It is embedded in the binary, needs no build step and nothing from elsewhere: the
// browser asks this tracker only, for the page and for GET /v1/events.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"path"

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

// serveContent is httpkit.Daemon.ServeContent.
type serveContent func(http.ResponseWriter, *http.Request, http.Header, io.ReadSeeker)

// file is one of the page's.
type file struct {
	header  http.Header
	content []byte
}

// Mount serves the page at / and what belongs to it below /page/, each file through serve.
func Mount(r chi.Router, serve serveContent, notFound http.HandlerFunc) error {
	entries, err := fs.ReadDir(assets, "assets")
	if err != nil {
		return err
	}
	files := map[string]file{}
	for _, e := range entries {
		content, err := assets.ReadFile("assets/" + e.Name())
		if err != nil {
			return err
		}
		files[e.Name()] = file{headerOf(e.Name(), content), content}
	}
	index := files["index.html"]
	delete(files, "index.html")
	r.Get("/", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, index.header, bytes.NewReader(index.content))
	})
	r.Get("/page/{file}", func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[chi.URLParam(r, "file")]
		if !ok {
			notFound(w, r)
			return
		}
		serve(w, r, f.header, bytes.NewReader(f.content))
	})
	return nil
}

func headerOf(name string, content []byte) http.Header {
	sum := sha256.Sum256(content)
	h := http.Header{}
	h.Set("Content-Type", types[path.Ext(name)])
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache") // ask again: another version may answer by then
	h.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	return h
}

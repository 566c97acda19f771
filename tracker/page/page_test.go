package page_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"fanout/tracker/page"
)

// What the page asks for is there, is ours, and may run nothing that is not a file of ours.
func TestAssets(t *testing.T) {
	r := chi.NewRouter()
	if err := page.Mount(r, serveContent, http.NotFound); err != nil {
		t.Fatal(err)
	}
	get := func(path string, header ...string) *httptest.ResponseRecorder {
		w, req := httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)
		if len(header) == 2 {
			req.Header.Set(header[0], header[1])
		}
		r.ServeHTTP(w, req)
		return w
	}
	elsewhere := regexp.MustCompile(`https?://[^P$]`)
	imports := regexp.MustCompile(`(?:from '\./|(?:src|href)="page/)([\w.]+)`)
	seen := map[string]bool{}
	for todo := []string{"/"}; len(todo) > 0; todo = todo[1:] {
		path := todo[0]
		w := get(path)
		body := strings.ReplaceAll(w.Body.String(), "http://www.w3.org/2000/svg", "")
		if w.Code != http.StatusOK || len(body) == 0 {
			t.Fatal(path, w.Code)
		}
		if m := elsewhere.FindString(body); m != "" {
			t.Errorf("%s refers to elsewhere: %s", path, m)
		}
		if strings.Contains(body, " style=") || strings.Contains(body, "innerHTML") || strings.Contains(body, "onclick") {
			t.Errorf("%s has what the policy forbids", path)
		}
		csp := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; script-src 'self';") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %s", path, csp)
		}
		if got := get(path, "If-None-Match", w.Header().Get("ETag")); got.Code != http.StatusNotModified {
			t.Errorf("%s is sent again: %d", path, got.Code)
		}
		for _, m := range imports.FindAllStringSubmatch(body, -1) {
			if next := "/page/" + m[1]; !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	if len(seen) < 10 {
		t.Error("only", len(seen), "files were found:", seen)
	}
}

package httpkit_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fanout/api/trackerapi"
)

// Ranges and preconditions are answered as RFC 9110 says, and refused with a problem.
func TestServeContent(t *testing.T) {
	d, _ := newDaemon(t, nil)
	const tag = `"0123"`
	serve := func(path, content string) {
		d.Router().Get(path, func(w http.ResponseWriter, r *http.Request) {
			d.ServeContent(w, r, http.Header{"Content-Type": {"text/plain"}, "Etag": {tag}}, strings.NewReader(content))
		})
	}
	serve("/ten", "0123456789")
	serve("/none", "")
	srv := httptest.NewServer(d)
	defer srv.Close()
	for _, c := range []struct {
		request string // method, path, and headers
		status  int
		is      string // Content-Range, or the body of what has none
	}{
		{"GET /ten", 200, "0123456789"},
		{"GET /ten|Range: bytes=2-4", 206, "bytes 2-4/10"},
		{"GET /ten|Range: bytes=2-", 206, "bytes 2-9/10"},
		{"GET /ten|Range: bytes=-3", 206, "bytes 7-9/10"},
		{"GET /ten|Range: bytes=-300", 206, "bytes 0-9/10"},
		{"GET /ten|Range: BYTES=2-4", 206, "bytes 2-4/10"},
		{"GET /ten|Range: bytes=2-4,", 206, "bytes 2-4/10"},
		{"GET /ten|Range: bytes=9-99999999999999999999", 206, "bytes 9-9/10"},
		{"GET /ten|Range: bytes=-99999999999999999999", 206, "bytes 0-9/10"},
		{"GET /ten|Range: bytes=0-0,2-3", 200, "0123456789"},
		{"GET /ten|Range: bytes=0-,0-,0-,0-", 200, "0123456789"},
		{"GET /ten|Range: chunks=0-0", 200, "0123456789"},
		{"GET /ten|Range:", 200, "0123456789"},
		{"HEAD /ten|Range: bytes=2-4", 200, ""},
		{"HEAD /ten|Range: bytes=20-", 200, ""},
		{"GET /ten|Range: bytes=10-", 416, "bytes */10"},
		{"GET /ten|Range: bytes=99999999999999999999-", 416, "bytes */10"},
		{"GET /ten|Range: bytes=-0", 416, "bytes */10"},
		{"GET /ten|Range: bytes=4-2", 416, "bytes */10"},
		{"GET /ten|Range: bytes=+1-2", 416, "bytes */10"},
		{"GET /ten|Range: bytes=-", 416, "bytes */10"},
		{"GET /ten|Range: bytes=--1", 416, "bytes */10"},
		{"GET /ten|Range: bytes=x", 416, "bytes */10"},
		{"GET /ten|Range: bytes=", 416, "bytes */10"},
		{"GET /none|Range: bytes=0-", 200, ""},
		{"GET /none|Range: bytes=-1", 200, ""},
		{"GET /ten|Range: bytes=2-4|If-Range: " + tag, 206, "bytes 2-4/10"},
		{"GET /ten|Range: bytes=2-4|If-Range: \"other\"", 200, "0123456789"},
		{"GET /ten|Range: bytes=20-|If-Range: \"other\"", 200, "0123456789"},
		{"GET /ten|If-None-Match: " + tag, 304, ""},
		{"HEAD /ten|If-None-Match: \"other\", W/" + tag, 304, ""},
		{"GET /ten|If-None-Match: \"other\"", 200, "0123456789"},
		{"GET /ten|If-Match: " + tag, 200, "0123456789"},
		{"GET /ten|If-Match: \"other\"", 412, ""},
		{"GET /ten|If-Match: \"other\"|Range: bytes=20-", 412, ""},
		{"HEAD /ten|If-Match: \"other\"", 412, ""},
	} {
		t.Run(c.request, func(t *testing.T) {
			answer, body := ask(t, srv, c.request)
			is := answer.Header.Get("Content-Range")
			if is == "" && c.status < 400 {
				is = body
			}
			if answer.StatusCode != c.status || is != c.is || answer.Header.Get("ETag") != tag {
				t.Errorf("%s %v %q", answer.Status, answer.Header, body)
			}
			if c.status < 400 || answer.Request.Method == http.MethodHead {
				return
			}
			var p trackerapi.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || answer.Header.Get("Content-Type") != "application/problem+json" ||
				p.Status != c.status || deref(p.Detail) == "" || answer.Header.Get("Accept-Ranges") != "" {
				t.Errorf("not a problem: %v %s", answer.Header, body)
			}
		})
	}
}

// ask makes a request that is written on one line: method, path, and headers after a |.
func ask(t *testing.T, srv *httptest.Server, line string) (*http.Response, string) {
	t.Helper()
	parts := strings.Split(line, "|")
	method, path, _ := strings.Cut(parts[0], " ")
	request, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range parts[1:] {
		name, value, _ := strings.Cut(h, ":")
		request.Header.Add(name, strings.TrimSpace(value))
	}
	answer, err := srv.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// The headers of content go out before its bytes, which may have to be waited for.
func TestContentHeadersComeFirst(t *testing.T) {
	d, _ := newDaemon(t, nil)
	come := make(chan struct{})
	d.Router().Get("/later", func(w http.ResponseWriter, r *http.Request) {
		d.ServeContent(w, r, http.Header{"Content-Type": {"text/plain"}}, &later{strings.NewReader("late"), come})
	})
	srv := httptest.NewServer(d)
	defer srv.Close()
	answer := do(t, srv, "GET", "/later", "", "")
	close(come)
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "late" {
		t.Errorf("%q, %v", body, err)
	}
}

type later struct {
	*strings.Reader
	come chan struct{}
}

func (l *later) Read(p []byte) (int, error) {
	<-l.come
	return l.Reader.Read(p)
}

// WriteTo is not the strings.Reader's, which would not wait.
func (l *later) WriteTo(w io.Writer) (int64, error) {
	<-l.come
	return l.Reader.WriteTo(w)
}

package httpkit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"fanout"
	"fanout/api/trackerapi"
	"fanout/internal/daemon/httpkit"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

// Every name comes back exactly as the generated client sent it.
func TestNamesSurviveTheRoundTrip(t *testing.T) {
	srv, _ := start(t, nil)
	client, err := trackerapi.NewClientWithResponses(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"plain", "a b", "ü ß 漢", "100%", "a+b", "q?x#y", "%41", "%2F", "a&b=c", "semi;colon", "a:b", "it's", "..x", "'\"<>", "a,b", "~",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := client.GetFileWithResponse(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if got.JSON200 == nil || got.JSON200.Name != name {
				t.Fatalf("asked for %q: %s %s", name, got.Status(), got.Body)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	srv, _ := start(t, nil)
	const goodAnnounce = `{"id":"p1","role":"peer","address":"127.0.0.1:1"}`
	for _, c := range []struct {
		what, method, path, contentType, body string
		status                                int
		field, detail                         string // detail: a part of it
	}{
		{"unknown path", "GET", "/v1/nothing", "", "", 404, "", "/openapi.yaml"},
		{"call of another daemon", "GET", "/v1/downloads", "", "", 404, "", "tracker"},
		{"wrong method", "POST", "/v1/files/a", "", "", 405, "", "only GET, HEAD, PUT, DELETE"},
		{"wrong type", "POST", "/v1/files/a/announce", "text/xml", goodAnnounce, 415, "Content-Type", "application/json"},
		{"truncated JSON", "POST", "/v1/files/a/announce", "application/json", `{"id":`, 400, "", "ends too early"},
		{"space alone", "POST", "/v1/files/a/announce", "application/json", " \n", 400, "", "no body"},
		{"malformed query", "GET", "/v1/files/a/chunks?limit=%zz", "", "", 400, "", "cannot be read"},
		{"a semicolon", "GET", "/v1/files/a/chunks?limit=1;x=2", "", "", 400, "", "cannot be read"},
		{"broken JSON", "POST", "/v1/files/a/announce", "application/json", `{"id":}`, 400, "", "byte 7"},
		{"no body", "POST", "/v1/files/a/announce", "application/json", ``, 400, "", "no body"},
		{"not an object", "POST", "/v1/files/a/announce", "application/json", `[]`, 400, "body", "object"},
		{"wrong kind", "POST", "/v1/files/a/announce", "application/json", `{"id":7,"role":"peer","address":"a:1"}`, 400, "id", "string"},
		{"missing field", "POST", "/v1/files/a/announce", "application/json", `{"id":"p","role":"peer"}`, 400, "address", "missing"},
		{"not in the list", "POST", "/v1/files/a/announce", "application/json", `{"id":"p","role":"king","address":"a:1"}`, 400, "role", "origin"},
		{"bad address", "POST", "/v1/files/a/announce", "application/json", `{"id":"p","role":"peer","address":"a"}`, 400, "address", "for example 10.0.0.2:2685"},
		{"bad bitmap", "POST", "/v1/files/a/announce", "application/json", `{"id":"p","role":"peer","address":"a:1","held":"***"}`, 400, "held", ""},
		{"nested field", "PUT", "/v1/files/a", "application/json", `{"manifest":{"name":"a","size":-1,"chunk_size":4096,"digests":[]},"origin":{"id":"o","address":"a:1"}}`, 400, "manifest.size", ""},
		{"bad path parameter", "PUT", "/v1/peers/a%20b", "application/json", `{"address":"a:1"}`, 400, "id", "identity"},
		{"bad query", "GET", "/v1/files/a/chunks?limit=many", "", "", 400, "limit", ""},
		{"query out of range", "GET", "/v1/files/a/chunks?limit=0", "", "", 400, "limit", "1"},
		{"domain error", "DELETE", "/v1/files/gone", "", "", 410, "", "gone is gone"},
		{"unexpected error", "DELETE", "/v1/files/broken", "", "", 500, "", "log of the tracker"},
		{"panic", "DELETE", "/v1/files/panic", "", "", 500, "", "log of the tracker"},
		{"too long", "PUT", "/v1/files/a/chunks", "", strings.Repeat("x", httpkit.SmallBody+1), 413, "", "65536"},
	} {
		t.Run(c.what, func(t *testing.T) {
			resp := do(t, srv, c.method, c.path, c.contentType, c.body)
			body, _ := io.ReadAll(resp.Body)
			var p trackerapi.Problem
			if err := json.Unmarshal(body, &p); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("not a problem: %s %s", resp.Status, body)
			}
			t.Logf("%s", body)
			if resp.StatusCode != c.status || p.Status != c.status || deref(p.Field) != c.field || !strings.Contains(deref(p.Detail), c.detail) {
				t.Errorf("want status %d field %q detail …%s…", c.status, c.field, c.detail)
			}
			if strings.Contains(deref(p.Detail), "\n") {
				t.Error("the detail has more than one line")
			}
		})
	}
}

// What curl sends without being told a Content-Type is understood.
func TestCurlContentTypes(t *testing.T) {
	srv, _ := start(t, nil)
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct{ what, method, path, contentType, body string }{
		{"curl -T table", "PUT", "/v1/files/a/chunks", "", "0\tp1:1\n"},
		{"curl -T of an empty file", "PUT", "/v1/files/a/chunks", "", ""},
		{"curl --data-binary @table", "PUT", "/v1/files/a/chunks", form, "0\tp1:1\n"},
		{"with its own type", "PUT", "/v1/files/a/chunks", "text/tab-separated-values; charset=utf-8", "0\tp1:1\n"},
		{"curl -d JSON", "PUT", "/v1/peers/p1", form, `{"address":"a:1"}`},
		{"JSON with a charset", "PUT", "/v1/peers/p1", "application/json; charset=utf-8", `{"address":"a:1"}`},
	} {
		t.Run(c.what, func(t *testing.T) {
			resp := do(t, srv, c.method, c.path, c.contentType, c.body)
			if got, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 || resp.Header.Get("X-Body") != url.QueryEscape(c.body) {
				t.Errorf("%s %s, handler read %q", resp.Status, got, resp.Header.Get("X-Body"))
			}
		})
	}
}

func TestOperations(t *testing.T) {
	reason := errors.New("tracker http://t unreachable since 12:00: connection refused")
	srv, log := start(t, func() error { return reason })
	if got := get(t, srv, "/livez"); got != "200 ok\n" {
		t.Error(got)
	}
	if got := get(t, srv, "/readyz"); !strings.HasPrefix(got, "503 ") || !strings.Contains(got, reason.Error()) {
		t.Error(got)
	}
	if got := get(t, srv, "/openapi.yaml"); got != "200 "+string(fanout.OpenAPI) {
		t.Error("another contract")
	}
	do(t, srv, "BREW", "/v1/files/secret-name", "", "")
	get(t, srv, "/v1/files/secret-name")
	metrics := get(t, srv, "/metrics")
	for _, want := range []string{
		"fanout_build_info{", "go_goroutines", "process_resident_memory_bytes",
		`fanout_http_request_duration_seconds_count{code="200",handler="/v1/files/{name}",method="GET"} 1`,
		`handler="other",method="other"`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(metrics, "secret-name") {
		t.Error("a raw path became a label")
	}
	if resp := do(t, srv, "HEAD", "/v1/files/a", "", ""); resp.StatusCode != 200 {
		t.Error("HEAD", resp.Status)
	}
	do(t, srv, "DELETE", "/v1/files/broken", "", "")
	if !strings.Contains(log.String(), `"level":"warn"`) || !strings.Contains(log.String(), "disk on fire") {
		t.Error("the cause of a 500 is not in the log:", log)
	}
}

// An event must arrive while the handler is still running.
func TestNothingBuffersAStream(t *testing.T) {
	d, _ := newDaemon(t, nil)
	proceed := make(chan struct{})
	d.Router().Get("/stream", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "data: 1\n\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-proceed
	})
	srv := httptest.NewServer(d)
	defer srv.Close()
	defer close(proceed)
	resp, err := srv.Client().Get(srv.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	event := make([]byte, 9)
	if _, err := io.ReadFull(resp.Body, event); err != nil || string(event) != "data: 1\n\n" {
		t.Errorf("%q %v", event, err)
	}
}

// A body that fails half-way must not look whole.
func TestBrokenStreamIsBrokenOff(t *testing.T) {
	d, _ := newDaemon(t, nil)
	d.Router().Get("/half", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "half")
		d.Render(w, r, errors.New("disk on fire"))
	})
	srv := httptest.NewServer(d)
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "/half")
	if err != nil {
		return // broken off before the first byte was flushed
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("read %q without an error", body)
	}
}

// stub implements the calls that the tests use.
type stub struct {
	trackerapi.StrictServerInterface
}

var errGone = errors.New("gone")

func (stub) GetFile(_ context.Context, r trackerapi.GetFileRequestObject) (trackerapi.GetFileResponseObject, error) {
	return trackerapi.GetFile200JSONResponse{Name: r.Name, Origins: []trackerapi.Origin{}}, nil
}

func (stub) GetChunks(_ context.Context, r trackerapi.GetChunksRequestObject) (trackerapi.GetChunksResponseObject, error) {
	return trackerapi.GetChunks200JSONResponse{Name: r.Name}, nil
}

func (stub) DeleteFile(_ context.Context, r trackerapi.DeleteFileRequestObject) (trackerapi.DeleteFileResponseObject, error) {
	switch r.Name {
	case "gone":
		return nil, fmt.Errorf("%s is %w", r.Name, errGone)
	case "panic":
		panic("at the disco")
	}
	return nil, errors.New("disk on fire")
}

type echo struct{ body string }

func (e echo) VisitPutChunksResponse(w http.ResponseWriter) error {
	w.Header().Set("X-Body", url.QueryEscape(e.body))
	w.WriteHeader(204)
	return nil
}
func (e echo) VisitRegisterPeerResponse(w http.ResponseWriter) error {
	return e.VisitPutChunksResponse(w)
}

func (stub) PutChunks(_ context.Context, r trackerapi.PutChunksRequestObject) (trackerapi.PutChunksResponseObject, error) {
	body, err := io.ReadAll(r.Body)
	return echo{string(body)}, err
}

func (stub) RegisterPeer(_ context.Context, r trackerapi.RegisterPeerRequestObject) (trackerapi.RegisterPeerResponseObject, error) {
	body, err := json.Marshal(r.Body)
	return echo{string(body)}, err
}

func newDaemon(t *testing.T, change func(*httpkit.Options)) (*httpkit.Daemon, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	o := httpkit.Options{
		Name: "tracker", Logger: zerolog.New(zerolog.SyncWriter(log)), Registry: prometheus.NewRegistry(),
		Contract: fanout.OpenAPI,
		Map: func(err error) *httpkit.Error {
			if errors.Is(err, errGone) {
				return httpkit.Errorf(http.StatusGone, "%w", err)
			}
			return nil
		},
	}
	if change != nil {
		change(&o)
	}
	d, err := httpkit.New(o)
	if err != nil {
		t.Fatal(err)
	}
	strict := trackerapi.NewStrictHandlerWithOptions(stub{}, nil, trackerapi.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: d.RenderRequest, ResponseErrorHandlerFunc: d.Render,
	})
	trackerapi.HandlerWithOptions(strict, trackerapi.ChiServerOptions{BaseRouter: d.API(), ErrorHandlerFunc: d.RenderRequest})
	return d, log
}

func start(t *testing.T, ready func() error) (*httptest.Server, *bytes.Buffer) {
	t.Helper()
	d, log := newDaemon(t, func(o *httpkit.Options) { o.Ready = ready })
	srv := httptest.NewServer(d)
	t.Cleanup(srv.Close)
	return srv, log
}

func do(t *testing.T, srv *httptest.Server, method, path, contentType, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func get(t *testing.T, srv *httptest.Server, path string) string {
	t.Helper()
	resp := do(t, srv, "GET", path, "", "")
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

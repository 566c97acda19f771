package httpkit_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"fanout"
	"fanout/internal/daemon/httpkit"
)

// Whatever reaches the router is refused with a problem; what net/http does not take for HTTP
// never reaches it, as openapi.yaml says.
func TestOddRequestLines(t *testing.T) {
	d, _ := newDaemon(t, nil)
	addr := serve(t, d)
	const problem, plain = "application/problem+json", "text/plain; charset=utf-8"
	for name, c := range map[string]struct {
		request     string // without the empty line at its end
		status      int
		contentType string
		allow       string
	}{
		"all of the server":        {"OPTIONS * HTTP/1.1\r\nHost: localhost", 404, problem, ""},
		"options of a call":        {"OPTIONS /livez HTTP/1.1\r\nHost: localhost", 405, problem, "GET, HEAD"},
		"trace":                    {"TRACE /v1/files HTTP/1.1\r\nHost: localhost", 405, problem, "GET, HEAD"},
		"a tunnel":                 {"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1", 404, problem, ""},
		"unknown method":           {"BREW /livez HTTP/1.1\r\nHost: localhost", 405, problem, "GET, HEAD"},
		"unknown method and path":  {"BREW /nothing HTTP/1.1\r\nHost: localhost", 404, problem, ""},
		"several methods":          {"POST /v1/files/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0", 405, problem, "GET, HEAD, PUT, DELETE"},
		"two slashes":              {"GET //livez HTTP/1.1\r\nHost: localhost", 404, problem, ""},
		"slash at the end":         {"GET /livez/ HTTP/1.1\r\nHost: localhost", 404, problem, ""},
		"another spelling":         {"GET /%6Civez HTTP/1.1\r\nHost: localhost", 404, problem, ""},
		"long path":                {"GET /" + strings.Repeat("x", 30_000) + " HTTP/1.1\r\nHost: localhost", 404, problem, ""},
		"accept nothing":           {"GET /livez HTTP/1.1\r\nHost: localhost\r\nAccept: image/png, */*;q=0", 200, plain, ""},
		"body of a GET":            {"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 200, plain, ""},
		"HTTP/1.0":                 {"GET /livez HTTP/1.0", 200, plain, ""},
		"absolute form":            {"GET http://localhost/livez HTTP/1.1\r\nHost: localhost", 200, plain, ""},
		"net/http: bad escape":     {"GET /%zz HTTP/1.1\r\nHost: localhost", 400, plain, ""},
		"net/http: no HTTP":        {"hello", 400, plain, ""},
		"net/http: no host":        {"GET /livez HTTP/1.1", 400, plain, ""},
		"net/http: version":        {"GET /livez HTTP/3.0\r\nHost: localhost", 505, plain, ""},
		"net/http: expectation":    {"GET /livez HTTP/1.1\r\nHost: localhost\r\nExpect: tea", 417, "", ""},
		"net/http: long headers":   {"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 80_000), 431, plain, ""},
		"net/http: other encoding": {"POST /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: tea", 501, plain, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer := speak(t, addr, c.request+"\r\n\r\n")
			if answer.StatusCode != c.status || answer.Header.Get("Content-Type") != c.contentType || answer.Header.Get("Allow") != c.allow {
				t.Errorf("%s %v", answer.Status, answer.Header)
			}
		})
	}
}

// serve runs a handler as daemons do, and returns its address.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- httpkit.Serve(ctx, ln, handler, httpkit.DefaultShutdownTimeout) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// speak sends a request as it is written.
func speak(t *testing.T, addr, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer
}

// A header that a call knows may come in several lines, or empty.
func TestHeaderLines(t *testing.T) {
	srv, _ := start(t, nil)
	for _, lines := range []string{"", "|Accept:", "|Accept: text/html|Accept: */*", "|Accept:|Accept:"} {
		if answer, body := ask(t, srv, "GET /v1/files/a/chunks"+lines); answer.StatusCode != http.StatusOK {
			t.Errorf("%q: %s %s", lines, answer.Status, body)
		}
	}
}

// A detail that quotes the request stays on its line.
func TestDetailsAreOneLine(t *testing.T) {
	srv, _ := start(t, nil)
	_, body := ask(t, srv, "GET /a%0D%0Ab%1B[2J%C2%9Bc")
	if !strings.Contains(body, "/a  b\ufffd[2J\ufffdc") {
		t.Error(body)
	}
}

// What promhttp would say in plain text is a problem too.
func TestMetricsThatCannotBeGathered(t *testing.T) {
	registry := prometheus.NewRegistry()
	d, err := httpkit.New(httpkit.Options{Name: "tracker", Logger: zerolog.Nop(), Registry: registry, Contract: fanout.OpenAPI})
	if err != nil {
		t.Fatal(err)
	}
	registry.MustRegister(broken{})
	answer := speak(t, serve(t, d), "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if answer.StatusCode != 500 || answer.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %v", answer.Status, answer.Header)
	}
}

// broken is a collector that fails.
type broken struct{}

func (broken) Describe(chan<- *prometheus.Desc) {}
func (broken) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(errors.New("broken")), errors.New("broken"))
}

package httpkit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"fanout/internal/daemon/httpkit"
)

// Whom a daemon answers, by where it listens, what it was told to allow, and what a browser
// or a program sends.
func TestGuard(t *testing.T) {
	loopback := serveOn(t, "127.0.0.1:0", []string{"Fanout.Example", "192.0.2.7"})
	byName := serveOn(t, "localhost:0", nil)
	everywhere := serveOn(t, "0.0.0.0:0", nil)
	const read, write = "GET", "PUT"
	type headers map[string]string
	for _, c := range []struct {
		what, at, method, host string
		headers                headers
		status                 int
		says                   string // with 403
	}{
		{"loopback by its address", loopback, read, "", nil, 200, ""},
		{"loopback by its name", loopback, read, "localhost", nil, 200, ""},
		{"with another port, of a tunnel", loopback, read, "localhost:8080", nil, 200, ""},
		{"in capitals, with a dot", loopback, read, "LocalHost.:8080", nil, 200, ""},
		{"another loopback address", loopback, read, "127.8.9.10:2680", nil, 200, ""},
		{"IPv6 loopback", loopback, read, "[::1]:2680", nil, 200, ""},
		{"an allowed name", loopback, read, "fanout.example", nil, 200, ""},
		{"an allowed name with port", loopback, write, "FANOUT.example:443", nil, 200, ""},
		{"an allowed address", loopback, read, "192.0.2.7", nil, 200, ""},
		{"somebody else's name", loopback, read, "evil.example", nil, 403, "--allow-host"},
		{"with a port", loopback, read, "evil.example:2680", nil, 403, "evil.example"},
		{"a name that looks like loopback", loopback, read, "127.0.0.1.evil.example", nil, 403, "--allow-host"},
		{"a name below localhost", loopback, read, "evil.localhost", nil, 403, "--allow-host"},
		{"nobody's address", loopback, read, "0.0.0.0", nil, 403, "--allow-host"},
		{"somebody else's address", loopback, read, "192.0.2.8", nil, 403, "--allow-host"},
		{"the name to listen by", byName, read, "localhost", nil, 200, ""},
		{"any name where all may ask", everywhere, read, "evil.example", nil, 200, ""},
		{"and write", everywhere, write, "evil.example", nil, 200, ""},

		{"our page", loopback, write, "localhost:2680", headers{"Origin": "http://localhost:2680", "Sec-Fetch-Site": "same-origin"}, 200, ""},
		{"our page on port 80", everywhere, write, "fanout.example", headers{"Origin": "http://fanout.example"}, 200, ""},
		{"with the port spelt out", everywhere, write, "fanout.example:80", headers{"Origin": "http://fanout.example"}, 200, ""},
		{"our page behind TLS", everywhere, write, "fanout.example", headers{"Origin": "https://fanout.example"}, 200, ""},
		{"behind a proxy that hides its host", loopback, write, "127.0.0.1:2680", headers{"Origin": "https://fanout.example"}, 200, ""},
		{"typed into the browser", loopback, write, "", headers{"Sec-Fetch-Site": "none"}, 200, ""},
		{"a page from elsewhere", loopback, write, "", headers{"Origin": "http://evil.example"}, 403, "evil.example"},
		{"where all may ask", everywhere, write, "fanout.example", headers{"Origin": "http://evil.example"}, 403, "Origin"},
		{"another program of the same host", loopback, write, "localhost:2680", headers{"Origin": "http://localhost:8000"}, 403, "Origin"},
		{"a page that hides where it is from", loopback, write, "", headers{"Origin": "null"}, 403, "null"},
		{"an origin that is none", loopback, write, "", headers{"Origin": "%"}, 403, "Origin"},
		{"a local file", loopback, write, "", headers{"Origin": "file://"}, 403, "Origin"},
		{"cross-site without an origin", everywhere, write, "", headers{"Sec-Fetch-Site": "cross-site"}, 403, "cross-site"},
		{"same-site", loopback, write, "", headers{"Sec-Fetch-Site": "same-site"}, 403, "same-site"},
		{"cross-site in a second line", loopback, write, "", headers{"Sec-Fetch-Site": "none|cross-site"}, 403, "cross-site"},
		{"a foreign origin in a second line", loopback, write, "localhost:2680", headers{"Origin": "http://localhost:2680|http://evil.example"}, 403, "Origin"},
		{"reading is not changing", loopback, read, "", headers{"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}, 200, ""},
		{"an unknown method", loopback, "BREW", "", headers{"Origin": "http://evil.example"}, 403, "Origin"},
		{"no such path", loopback, "POST", "evil.example", nil, 403, "--allow-host"},
	} {
		t.Run(c.what, func(t *testing.T) {
			path, body := "/v1/files/a", ""
			if c.method == write {
				path, body = "/v1/peers/p1", `{"address":"a:1"}`
			}
			r, err := http.NewRequestWithContext(t.Context(), c.method, c.at+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = c.host
			if body != "" { // as curl -d
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			for k, v := range c.headers {
				for line := range strings.SplitSeq(v, "|") {
					r.Header.Add(k, line)
				}
			}
			resp, err := httpkit.LocalClient().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			if c.status == 200 && resp.StatusCode < 300 {
				return
			}
			var p struct {
				Status int
				Detail string
			}
			if err := json.Unmarshal(text, &p); err != nil || resp.StatusCode != c.status || p.Status != c.status || !strings.Contains(p.Detail, c.says) {
				t.Errorf("%s %s, want %d with %q", resp.Status, text, c.status, c.says)
			}
		})
	}
}

// Health checkers speak HTTP/1.0 without a Host; browsers do not.
func TestGuardOldHTTP(t *testing.T) {
	at := strings.TrimPrefix(serveOn(t, "127.0.0.1:0", nil), "http://")
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /livez HTTP/1.0\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), " 200 OK") {
		t.Errorf("%s, %v", answer, err)
	}
}

// Metrics and health are read by pages, too, once a name leads here.
func TestGuardCoversEveryPath(t *testing.T) {
	at := serveOn(t, "127.0.0.1:0", nil)
	for _, path := range []string{"/", "/livez", "/readyz", "/metrics", "/openapi.yaml", "/v1/files", "/nothing"} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", at+path, nil)
		r.Host = "evil.example"
		resp, err := httpkit.LocalClient().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 403 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

func TestAllowHosts(t *testing.T) {
	for _, bad := range []string{"http://a", "a/b", "*", "a b", "a:80", ""} {
		if got, err := httpkit.AllowHosts([]string{bad}); err == nil || !strings.Contains(err.Error(), "--allow-host") {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
	got, err := httpkit.AllowHosts([]string{"A.example.", "[::1]", "10.0.0.7"})
	if fmt.Sprint(got) != "[a.example ::1 10.0.0.7]" || err != nil {
		t.Error(got, err)
	}
}

// serveOn serves a daemon as the programs do, and returns its URL on loopback.
func serveOn(t *testing.T, listen string, allow []string) string {
	t.Helper()
	hosts, err := httpkit.AllowHosts(allow)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := newDaemon(t, func(o *httpkit.Options) { o.AllowHosts = hosts })
	return serveAt(t, listen, d)
}

func serveDaemon(t *testing.T, d http.Handler) string { return serveAt(t, "127.0.0.1:0", d) }

func serveAt(t *testing.T, listen string, d http.Handler) string {
	t.Helper()
	ln, err := httpkit.Listen("--listen", listen, true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- httpkit.Serve(ctx, ln, d, httpkit.DefaultShutdownTimeout) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return fmt.Sprint("http://127.0.0.1:", ln.Addr().(*net.TCPAddr).Port)
}

package httpkit_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/httpkit"
)

const mib, most = 1 << 20, 256 << 10

// How much a call reads, and what it says of more.
func TestBodies(t *testing.T) {
	d, log := newDaemon(t, func(o *httpkit.Options) {
		o.Bodies = map[string]int64{"PUT /v1/files/{name}/chunks": most, "PUT /v1/files/{name}/rollout": most}
	})
	at := serveDaemon(t, d)
	const announce, rollout, chunks = "/v1/files/a/announce", "/v1/files/a/rollout", "/v1/files/a/chunks"
	filled := func(n int) string { return `{"x":"` + strings.Repeat("x", n-8) + `"}` }
	for _, c := range []struct {
		what, method, path, body string
		status                   int
		says                     string
	}{
		{"as long as may be", "POST", announce, filled(httpkit.SmallBody), 400, "missing"},
		{"a byte longer", "POST", announce, filled(httpkit.SmallBody + 1), 413, "65536"},
		{"60 MiB", "POST", announce, filled(60 * mib), 413, "65536"},
		{"60 MiB of space", "PUT", "/v1/files/a", strings.Repeat(" ", 60*mib), 413, "65536"},
		{"60 MiB of space behind it", "POST", announce, "{}" + strings.Repeat(" ", 60*mib), 413, "65536"},
		{"a call that takes more", "PUT", rollout, filled(most), 400, "unsupported"},
		{"and a byte longer", "PUT", rollout, filled(most + 1), 413, "262144"},
		{"many values where few come", "PUT", rollout, `{"x":[` + strings.Repeat("0,", most/2-10) + "0]}", 400, "more JSON values"},
		{"many lists", "PUT", rollout, `{"x":[` + strings.Repeat("[],", most/3-10) + "0]}", 400, "more JSON values"},
		{"brackets in a string are none", "PUT", rollout, `{"x":"` + strings.Repeat(`[,\"`, most/4-10) + `"}`, 400, "unsupported"},
		{"no JSON", "PUT", chunks, strings.Repeat(",", most), 204, ""},
		{"too much of it", "PUT", chunks, strings.Repeat(",", most+1), 413, "262144"},
		{"a body that no call takes", "DELETE", "/v1/files/gone", filled(mib), 413, "65536"},
		{"a short one", "DELETE", "/v1/files/gone", "{}", 410, "gone"},
	} {
		for _, stated := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, length stated: %v", c.what, stated), func(t *testing.T) {
				if !stated && c.method == "DELETE" {
					t.Skip("such a handler does not read")
				}
				var body io.Reader = strings.NewReader(c.body)
				if !stated {
					body = struct{ io.Reader }{body} // sent in chunks
				}
				r, err := http.NewRequestWithContext(t.Context(), c.method, at+c.path, body)
				if err != nil {
					t.Fatal(err)
				}
				p, size := problemOf(t, r)
				if p.Status != c.status || !strings.Contains(deref(p.Detail), c.says) || size > 4<<10 {
					t.Errorf("%d %q in %d bytes, want %d with %q", p.Status, deref(p.Detail), size, c.status, c.says)
				}
			})
		}
	}
	if n := longestLine(log.Bytes()); n > 4<<10 {
		t.Errorf("a log line has %d bytes", n)
	}
}

// A document is what was sent: nothing follows it, and no byte of it becomes another one.
func TestDocuments(t *testing.T) {
	d, _ := newDaemon(t, func(o *httpkit.Options) {
		o.Bodies = map[string]int64{"PUT /v1/files/{name}/rollout": 64 * mib}
	})
	at := serveDaemon(t, d)
	for _, c := range []struct {
		what, body string
		says       string // empty for one that is taken for JSON
	}{
		{"an object", `{"x":"y"}`, ""},
		{"with space around it", " \n{\"x\": [ 1 ] }\r\n\t ", ""},
		{"text after it", `{"x":1} trailing`, "follows"},
		{"another one after it", `{"x":1}{"x":1}`, "follows"},
		{"a bracket too many", `{"x":[]}]`, "follows"},
		{"a byte that is not UTF-8", "{\"x\":\"b\xff\"}", "UTF-8"},
		{"half a character", "{\"x\":\"b\xe2\x82\"}", "UTF-8"},
		{"a character of the surrogates", "{\"x\":\"\xed\xa0\x80\"}", "UTF-8"},
		{"in a key", "{\"\xff\":1}", "UTF-8"},
		{"characters", `{"x":"\u00e4 ä € 😀 \ud83d\ude00 \\ud800 \" \n \ufffd �"}`, ""},
		{"the first of a pair alone", `{"x":"a\ud800b"}`, "surrogate"},
		{"the first of a pair at the end", `{"x":"a\ud800"}`, "surrogate"},
		{"the first of a pair before another escape", `{"x":"a\ud800\n"}`, "surrogate"},
		{"the first of a pair twice", `{"x":"a\uD800\uD800"}`, "surrogate"},
		{"the second of a pair alone", `{"x":"a\uDC00"}`, "surrogate"},
		{"a value of 60 MiB", `{"x":"` + strings.Repeat("x", 60*mib) + `"}`, "longer value"},
		{"60 MiB of space", strings.Repeat(" ", 60*mib), "longer value"},
		{"two members of a name", `{"x":1,"x":2}`, "duplicate"},
	} {
		t.Run(c.what, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), "PUT", at+"/v1/files/a/rollout", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			p, _ := problemOf(t, r)
			says := c.says
			if says == "" {
				says = "is unsupported" // the property
			}
			if p.Status != 400 || !strings.Contains(deref(p.Detail), says) {
				t.Errorf("%d %q, want %q", p.Status, deref(p.Detail), says)
			}
		})
	}
}

// What is too long is refused before it is sent, to a client that asks.
func TestNothingIsReadOfWhatIsTooLong(t *testing.T) {
	d, _ := newDaemon(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(serveDaemon(t, d), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/files/a/announce HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", 1<<40)
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || r.StatusCode != http.StatusRequestEntityTooLarge || !r.Close {
		t.Errorf("%v, %v", r, err)
	}
}

// Nothing that a client has chosen is told or logged at length.
func TestEchoesAreCut(t *testing.T) {
	d, log := newDaemon(t, nil)
	at := serveDaemon(t, d)
	long := strings.Repeat("y", 60_000)
	for what, r := range map[string]struct{ method, path, contentType, body string }{
		"path":         {"GET", "/" + long, "", ""},
		"name":         {"GET", "/v1/files/" + long, "", ""},
		"query":        {"GET", "/v1/files/a/chunks?limit=" + long, "", ""},
		"method":       {strings.Repeat("M", 60_000), "/v1/files/a", "", ""},
		"content type": {"POST", "/v1/files/a/announce", long, "{}"},
		"property":     {"PUT", "/v1/files/a/rollout", "application/json", `{"` + long + `":1}`},
		"value":        {"POST", "/v1/files/a/announce", "application/json", `{"id":"` + long + `","role":"peer","address":"a:1"}`},
		"enum":         {"POST", "/v1/files/a/announce", "application/json", `{"id":"a","role":"` + long + `","address":"a:1"}`},
		"nesting":      {"PUT", "/v1/files/a/rollout", "application/json", `{"peers":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}"},
		"control":      {"GET", "/v1/files/%1b%5b31m%0a" + long, "", ""},
	} {
		t.Run(what, func(t *testing.T) {
			q, err := http.NewRequestWithContext(t.Context(), r.method, at+r.path, strings.NewReader(r.body))
			if err != nil {
				t.Fatal(err)
			}
			if r.contentType != "" {
				q.Header.Set("Content-Type", r.contentType)
			}
			p, size := problemOf(t, q)
			if p.Status < 400 || size > 4<<10 || strings.ContainsAny(deref(p.Detail), "\x1b\n") {
				t.Errorf("%d in %d bytes: %.200q", p.Status, size, deref(p.Detail))
			}
		})
	}
	if n := longestLine(log.Bytes()); n > 4<<10 {
		t.Errorf("a log line has %d bytes", n)
	}
}

// problemOf sends a request and reads the answer, a problem or nothing, and its length.
func problemOf(t *testing.T, r *http.Request) (p trackerapi.Problem, size int) {
	t.Helper()
	resp, err := httpkit.LocalClient().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	p.Status = resp.StatusCode
	if len(text) > 0 {
		if err := json.Unmarshal(text, &p); err != nil {
			t.Fatalf("%s: %.200q", resp.Status, text)
		}
	}
	return p, len(text)
}

func longestLine(log []byte) (n int) {
	for line := range bytes.Lines(log) {
		n = max(n, len(line))
	}
	return n
}

// A client that sends half of a body does not keep a daemon from its end.
func TestHalfABodyIsNotWaitedFor(t *testing.T) {
	d, _ := newDaemon(t, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- httpkit.Serve(ctx, ln, d, time.Hour) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /v1/files/a/announce HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, "100 Continue") { // it is being read
		t.Fatal(line, err)
	}
	fmt.Fprint(conn, "{")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What is called all the time, and refused all the time, is logged once.
func TestRefusalsAreLoggedOnce(t *testing.T) {
	d, log := newDaemon(t, func(o *httpkit.Options) { o.Quiet = []string{"DELETE /v1/files/{name}"} })
	at := serveDaemon(t, d)
	for range 3 {
		r, err := http.NewRequestWithContext(t.Context(), "DELETE", at+"/v1/files/gone", nil)
		if err != nil {
			t.Fatal(err)
		}
		if p, _ := problemOf(t, r); p.Status != 410 {
			t.Fatal(p)
		}
	}
	if n := strings.Count(log.String(), `"level":"info"`); n != 1 {
		t.Errorf("it is told %d times:\n%s", n, log)
	}
}

// A body in a coding is not read as what it is not.
func TestCodedBodies(t *testing.T) {
	d, _ := newDaemon(t, nil)
	at := serveDaemon(t, d)
	for coding, want := range map[string]int{"gzip": 415, "identity": 400, "Identity": 400, "": 400, "br, gzip": 415} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", at+"/v1/files/a/announce", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Encoding", coding)
		if p, _ := problemOf(t, r); p.Status != want {
			t.Errorf("%q: %d %q", coding, p.Status, deref(p.Detail))
		}
	}
}

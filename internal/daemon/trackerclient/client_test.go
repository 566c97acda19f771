package trackerclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/trackerfile"
	"fanout/internal/daemon/manifestjson"
	"fanout/internal/daemon/trackerclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The calls against a real tracker are tested in tracker/server; here is what a tracker, or
// something else at its address, can answer instead.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		what      string
		status    int
		kind      string
		body      string
		want      error
		temporary bool
		text      string
	}{
		{"unknown", 404, "application/problem+json", `{"title":"Not Found","status":404,"detail":"no file named a"}`, trackerclient.ErrNotFound, false, "no file named a"},
		{"withdrawn", 410, "application/problem+json", `{"title":"Gone","status":410}`, trackerclient.ErrGone, false, "410 Gone"},
		{"failing", 500, "application/problem+json", `{"title":"Oops","status":500,"detail":"disk"}`, nil, true, "disk"},
		{"made for a terminal", 500, "application/problem+json", `{"title":"Oops","status":500,"detail":"\u001b[31mred\nfile: complete"}`, nil, true, "\uFFFD[31mred file: complete"},
		{"made to fill a screen", 500, "application/problem+json", `{"title":"Oops","status":500,"detail":"` + strings.Repeat("x", 1<<20) + `"}`, nil, true, "x…"},
		{"a proxy's error", 502, "text/html", `<html>`, nil, true, "502 Bad Gateway"},
		{"a proxy in a hurry", 408, "text/html", `<html>`, nil, true, "408 Request Timeout"},
		{"slow down", 429, "application/problem+json", `{"title":"x","status":429,"detail":"slowly"}`, nil, true, "slowly"},
		{"a refusal", 409, "application/problem+json", `{"title":"x","status":409,"detail":"not now"}`, nil, false, "not now"},
		{"a proxy's limit", 413, "text/html", `<html>`, trackerclient.ErrForeign, false, "answered 413 Request Entity Too Large, but not as a tracker does"},
		{"a proxy's password", 407, "text/html", `<html>`, trackerclient.ErrForeign, false, "407 Proxy Authentication Required"},
		{"a proxy's prohibition", 403, "text/plain", `no`, trackerclient.ErrForeign, false, "403 Forbidden"},
		{"a proxy without a way", 404, "text/html", `<html>`, trackerclient.ErrForeign, false, "404 Not Found"},
		{"a proxy that knows no PUT", 501, "text/html", `no`, trackerclient.ErrForeign, false, "501 Not Implemented"},
		{"a page to log in by", 511, "text/html", `no`, trackerclient.ErrForeign, false, "511 Network Authentication Required"},
		{"some web server", 200, "text/html", `<html>`, trackerclient.ErrUnreachable, false, "check the address"},
		{"a proxy's error in JSON of its own", 502, "application/json", `["no"]`, nil, true, "502 Bad Gateway"},
		{"a proxy's limit in JSON of its own", 413, "application/json", `"no"`, trackerclient.ErrForeign, false, "413 Request Entity Too Large"},
		{"cut off", 200, "application/json", `{`, trackerclient.ErrUnreachable, true, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			client := against(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			_, err := client.File(t.Context(), "a")
			if err == nil || c.want != nil && !errors.Is(err, c.want) || trackerclient.Temporary(err) != c.temporary || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v (temporary %v)", err, trackerclient.Temporary(err))
			}
			if errors.Is(err, trackerclient.ErrNotFound) != (c.want == trackerclient.ErrNotFound) {
				t.Errorf("%v: is it about the file?", err)
			}
			if c.status >= 400 {
				_, err = client.Table(t.Context(), "a", 1)
				var e *trackerclient.Error
				if !errors.As(err, &e) || e.Status != c.status {
					t.Errorf("table: %v", err)
				}
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	client, err := trackerclient.New("127.0.0.1:1") // nobody listens on tcpmux
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Announce(t.Context(), "a", trackerapi.Announce{})
	want := `announce "a": tracker unreachable at http://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused`
	if !errors.Is(err, trackerclient.ErrUnreachable) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// What something else than a tracker answers is not read to its end.
func TestEndlessAnswer(t *testing.T) {
	client := against(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		spaces := bytes.Repeat([]byte{' '}, 1<<20)
		for {
			if _, err := w.Write(spaces); err != nil {
				return
			}
		}
	})
	if _, _, err := client.Manifest(t.Context(), "a"); err == nil || trackerclient.Temporary(err) || !strings.Contains(err.Error(), "answered more than 75497472 bytes") {
		t.Errorf("%v (temporary %v)", err, trackerclient.Temporary(err))
	}
}

// JSON of something else than a tracker, such as a page to log in by, will not change.
func TestForeignJSON(t *testing.T) {
	for _, body := range []string{`[]`, `"x"`, `{"lease_seconds":"x"}`, `<html>`} {
		client := against(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, body)
		})
		_, err := client.Register(t.Context(), "p", trackerapi.Registration{Address: "127.0.0.1:1"})
		if !errors.Is(err, trackerclient.ErrForeign) || trackerclient.Temporary(err) || !strings.Contains(err.Error(), "check the address") {
			t.Errorf("%q: %v (temporary %v)", body, err, trackerclient.Temporary(err))
		}
	}
}

// A manifest that nobody can use is not asked for again: there is no other.
func TestManifestThatIsNone(t *testing.T) {
	client := against(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"name":"a","size":%d,"chunk_size":4096,"digests":[]}`, int64(4096*(manifest.MaxChunks+1)))
	})
	_, _, err := client.Manifest(t.Context(), "a")
	if !errors.Is(err, manifest.ErrSize) || !errors.Is(err, trackerclient.ErrForeign) || trackerclient.Temporary(err) {
		t.Errorf("%v (temporary %v)", err, trackerclient.Temporary(err))
	}
}

// A redirect is refused: followed, a PUT would become a GET, and its answer be taken for that
// of the PUT.
func TestRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		client := against(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/elsewhere" {
				http.Redirect(w, r, "/v1/elsewhere", status)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"lease_seconds":15,"interval_seconds":5}`)
		})
		_, err := client.Register(t.Context(), "p", trackerapi.Registration{Address: "127.0.0.1:1"})
		if err == nil || trackerclient.Temporary(err) || !strings.Contains(err.Error(), fmt.Sprint("answered ", status)) ||
			!strings.Contains(err.Error(), "give the tracker's own address") {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A proxy that will not connect to a tracker behind TLS does not change its mind; a tracker
// whose certificate is not trusted, or that speaks no TLS, does not either.
func TestRefusedOnTheWay(t *testing.T) {
	refuse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	t.Cleanup(refuse.Close)
	secret := httptest.NewUnstartedServer(http.NotFoundHandler())
	secret.Config.ErrorLog = log.New(io.Discard, "", 0)
	secret.StartTLS()
	t.Cleanup(secret.Close)
	for _, c := range []struct{ what, url, proxy, text string }{
		{"proxy", "https://tracker.test:2680", refuse.URL, "answered 407 Proxy Authentication Required"},
		{"certificate", secret.URL, "", "certificate"},
		{"no TLS", "https" + strings.TrimPrefix(refuse.URL, "http"), "", "HTTP response to HTTPS client"},
		{"TLS", "http" + strings.TrimPrefix(secret.URL, "https"), "", "answered 400 Bad Request"},
	} {
		t.Run(c.what, func(t *testing.T) {
			client, err := trackerclient.New(c.url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			if c.proxy != "" {
				trackerclient.UseProxy(client, c.proxy)
			}
			if _, err := client.File(t.Context(), "a"); err == nil || trackerclient.Temporary(err) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v (temporary %v)", err, trackerclient.Temporary(err))
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, address := range []string{"", "ftp://x", "http://", "http://a b"} {
		if _, err := trackerclient.New(address); err == nil || !strings.Contains(err.Error(), "give a URL") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// A tracker cannot hand out another manifest than the one asked for.
func TestManifestIsVerified(t *testing.T) {
	m := &manifest.Manifest{Name: "a", Size: 5, ChunkSize: 32768, Digests: []manifest.Digest{{1}}}
	client := against(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = trackerapi.GetManifest200JSONResponse(manifestjson.From(m, m.ID())).VisitGetManifestResponse(w)
	})
	if _, id, err := client.Manifest(t.Context(), m.ID().String()); err != nil || id != m.ID() {
		t.Error(err)
	}
	if _, _, err := client.Manifest(t.Context(), strings.Repeat("0", 64)); !errors.Is(err, manifestjson.ErrID) {
		t.Error(err)
	}
}

func TestTable(t *testing.T) {
	client := against(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "0\ta:1\n1\tb:2\n")
	})
	if got, err := client.Table(t.Context(), "a", 2); err != nil || fmt.Sprint(got) != "[a:1 b:2]" {
		t.Error(got, err)
	}
	if _, err := client.Table(t.Context(), "a", 3); !errors.Is(err, trackerfile.ErrMalformed) {
		t.Error(err)
	}
}

func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		down := errors.New("down")
		var successes, failures []time.Duration
		trackerclient.Keep(ctx, func(context.Context) (time.Duration, error) {
			if at := time.Since(start); at < time.Minute {
				return 0, down
			}
			return 5 * time.Second, nil
		}, func(err error) {
			if errors.Is(err, down) {
				failures = append(failures, time.Since(start))
			} else {
				successes = append(successes, time.Since(start))
			}
		})
		if failures[0] != 0 || failures[1] > trackerclient.MinBackoff {
			t.Error("the first attempts were at", failures[:2])
		}
		for i := range failures[1:] {
			if gap := failures[i+1] - failures[i]; gap > trackerclient.MaxBackoff {
				t.Error("a gap of", gap)
			}
		}
		if n := len(failures); n < 15 || n > 40 {
			t.Error(n, "attempts in the minute of the outage")
		}
		if n := len(successes); n < 11 || n > 12 {
			t.Error(n, "renewals in the minute after it")
		}
	})
}

// A peer that stops leaves the fleet, if it was in.
func TestKeepRegistered(t *testing.T) {
	calls := make(chan string, 10)
	client := against(t, func(w http.ResponseWriter, r *http.Request) {
		calls <- r.Method + " " + r.URL.Path
		if r.Method == "DELETE" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"lease_seconds":15,"interval_seconds":5}`)
	})
	ctx, cancel := context.WithCancel(t.Context())
	reg := func() trackerapi.Registration { return trackerapi.Registration{Address: "127.0.0.1:2685"} }
	client.KeepRegistered(ctx, "p1", reg, func(err error) {
		if err != nil {
			t.Error(err)
		}
		cancel()
	})
	if got := []string{<-calls, <-calls}; fmt.Sprint(got) != "[PUT /v1/peers/p1 DELETE /v1/peers/p1]" {
		t.Error(got)
	}
}

func against(t *testing.T, h http.HandlerFunc) *trackerclient.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	client, err := trackerclient.New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// Whatever number a tracker gives, a duration is one that can be waited for.
func TestSeconds(t *testing.T) {
	for s, want := range map[float64]time.Duration{
		1.5: 1500 * time.Millisecond, 0: 0, -3: 0, 1e300: 24 * time.Hour, math.Inf(1): 24 * time.Hour, math.Inf(-1): 0,
	} {
		if got := trackerclient.Seconds(s); got != want {
			t.Errorf("%v s: %v, want %v", s, got, want)
		}
	}
	if got := trackerclient.Seconds(math.NaN()); got != 0 {
		t.Errorf("not a number: %v", got)
	}
}

// Package inproc_test runs the tracker, origins and peerds in one process on loopback, and
// tests peerd/node and origin/server through what they show to the outside. It stands here
// since no daemon may import another.
package inproc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"fanout/api/peerapi"
	"fanout/internal/daemon/trackerclient"
	"fanout/internal/proving/patience"
	"fanout/internal/proving/valve"
	origin "fanout/origin/server"
	"fanout/peerd/node"
	tracker "fanout/tracker/server"
	"fanout/tracker/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lease of what daemons tell the tracker, who renew it three times as often.
const lease = 1500 * time.Millisecond

// chunkSize of all files here.
const chunkSize = 32 << 10

// rig is a tracker, and whom a test adds.
type rig struct {
	*testing.T
	ctx     context.Context // ends when the test must give up
	log     zerolog.Logger
	tracker *daemon
	client  *trackerclient.Client
	dir     string // of the origin's files
}

// daemon is one that runs.
type daemon struct {
	http string
	stop func()
	done chan error
}

func newRig(t *testing.T) *rig {
	t.Helper()
	t.Parallel()
	var log bytes.Buffer
	r := &rig{T: t, ctx: patience.Context(t), log: zerolog.New(zerolog.SyncWriter(&log)), dir: t.TempDir()}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	r.tracker = r.startTracker("127.0.0.1:0")
	r.client = r.newClient()
	return r
}

// startTracker starts one that knows nothing.
func (r *rig) startTracker(addr string) *daemon {
	r.Helper()
	ln := r.listen(addr)
	return r.run(ln, func(ctx context.Context) error {
		return tracker.Run(ctx, tracker.Config{
			Listener: ln, Store: store.NewMemory(), Lease: lease,
			Logger: r.log, Registry: prometheus.NewRegistry(), Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2)),
		})
	})
}

func (r *rig) newClient() *trackerclient.Client {
	r.Helper()
	c, err := trackerclient.New(r.tracker.http)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(c.Close)
	return c
}

func (r *rig) listen(addr string) net.Listener {
	r.Helper()
	var ln net.Listener
	r.await("the address "+addr, func() (free bool) { // a connection of others may have its port
		var err error
		if ln, err = net.Listen("tcp", addr); err != nil && !errors.Is(err, syscall.EADDRINUSE) {
			r.Fatal(err)
		}
		return err == nil
	})
	return ln
}

// run runs a daemon until the test ends or stops it.
func (r *rig) run(httpListener net.Listener, f func(context.Context) error) *daemon {
	ctx, cancel := context.WithCancel(context.Background())
	d := &daemon{http: "http://" + httpListener.Addr().String(), done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		d.done <- f(ctx)
		close(ended)
	}()
	d.stop = func() { cancel(); <-ended }
	r.Cleanup(func() {
		d.stop()
		if err := <-d.done; err != nil {
			r.Error(err)
		}
	})
	return d
}

// write makes a file of random bytes for the origin.
func (r *rig) write(name string, size int) []byte {
	r.Helper()
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(rand.Uint32())}).Read(data)
	if err := os.WriteFile(filepath.Join(r.dir, name), data, 0o644); err != nil {
		r.Fatal(err)
	}
	return data
}

// configOrigin is an origin of these files in the rig's directory.
func (r *rig) configOrigin(names ...string) origin.Config {
	r.Helper()
	chunks, web := r.listen("127.0.0.1:0"), r.listen("127.0.0.1:0")
	cfg := origin.Config{
		ID: "origin", Address: chunks.Addr().String(), HTTPAddress: web.Addr().String(), ChunkSize: chunkSize,
		Tracker: r.newClient(), Chunks: chunks, HTTP: web, Logger: r.log, Registry: prometheus.NewRegistry(),
	}
	for _, name := range names {
		cfg.Paths = append(cfg.Paths, filepath.Join(r.dir, name))
	}
	return cfg
}

// origin starts an origin and waits until it has published its files.
func (r *rig) origin(names ...string) *daemon {
	r.Helper()
	return r.startOrigin(r.configOrigin(names...))
}

func (r *rig) startOrigin(cfg origin.Config) *daemon {
	r.Helper()
	o, err := origin.New(cfg)
	if err != nil {
		r.Fatal(err)
	}
	d := r.run(cfg.HTTP, o.Run)
	r.await("the origin to be ready", func() bool { return r.get(d.http+"/readyz") == "200 ok\n" })
	return d
}

// shut is an origin behind a valve.
type shut struct {
	*daemon
	*valve.Valve
}

// originBehind starts an origin of which so many chunks pass to each peer. Its ID is not that of
// rig.origin's, beside which the tracker would refuse it.
func (r *rig) originBehind(chunks int, names ...string) shut {
	r.Helper()
	v := valve.New(r.T, int64(chunks)*chunkSize+overhead)
	cfg := r.configOrigin(names...)
	v.To(cfg.Address)
	cfg.ID, cfg.Address = "behind", v.Address()
	return shut{r.startOrigin(cfg), v}
}

// overhead is more than the handshake and the lines of a few chunks, and less than a chunk.
const overhead = chunkSize / 2

// peer is a peerd.
type peer struct {
	*rig
	*daemon
	dir string
}

// peer starts a peerd and waits until it is registered. The directory may be empty.
func (r *rig) peer(dir string, change ...func(*node.Config)) *peer {
	r.Helper()
	if dir == "" {
		dir = r.TempDir()
	}
	chunks, web := r.listen("127.0.0.1:0"), r.listen("127.0.0.1:0")
	cfg := node.Config{
		DataDir: dir, Address: chunks.Addr().String(), HTTPAddress: web.Addr().String(),
		Tracker: r.newClient(), Chunks: chunks, HTTP: web, Logger: r.log, Registry: prometheus.NewRegistry(),
	}
	for _, f := range change {
		f(&cfg)
	}
	n, err := node.New(cfg)
	if err != nil {
		r.Fatal(err)
	}
	p := &peer{rig: r, daemon: r.run(web, n.Run), dir: dir}
	r.await("the peer to be ready", func() bool { return r.get(p.http+"/readyz") == "200 ok\n" })
	return p
}

// slowly limits a peer, so that there is time to do something.
func slowly(bytesPerSecond int64) func(*node.Config) {
	return func(c *node.Config) { c.MaxDownload = bytesPerSecond }
}

func (r *rig) await(what string, ok func() bool) {
	r.Helper()
	patience.Await(r.T, what, ok)
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// call makes a request and returns status and body.
func (r *rig) call(method, url, body string, headers ...string) (int, string) {
	r.Helper()
	status, text, err := r.try(method, url, body, headers...)
	if err != nil {
		r.Fatal(err)
	}
	return status, text
}

func (r *rig) try(method, url, body string, headers ...string) (int, string, error) {
	req, err := http.NewRequestWithContext(r.ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// get is status and body of a GET in one, or the error.
func (r *rig) get(url string) string {
	status, text, err := r.try("GET", url, "")
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(status, " ", text)
}

// start asks for a download; request is JSON.
func (p *peer) start(request string, headers ...string) (status int, d peerapi.Download) {
	p.Helper()
	status, text := p.call("POST", p.http+"/v1/downloads", request, headers...)
	p.parse(text, &d)
	return status, d
}

// finish asks for a download and waits for its end.
func (p *peer) finish(request string) peerapi.Download {
	p.Helper()
	for {
		status, d := p.start(request, "Prefer", "wait=20")
		if status == 200 {
			return d
		}
		if status != 202 {
			p.Fatalf("%d: %+v", status, d)
		}
	}
}

// refused asks for what must not be, and returns the problem.
func (p *peer) refused(want int, method, path, body string) peerapi.Problem {
	p.Helper()
	status, text := p.call(method, p.http+path, body)
	var problem peerapi.Problem
	p.parse(text, &problem)
	if status != want || problem.Status != want || problem.Detail == nil {
		p.Errorf("%s %s %s: %d %s, want %d with a reason", method, path, body, status, text, want)
		return peerapi.Problem{Detail: new(string), Field: new(string)}
	}
	if problem.Field == nil {
		problem.Field = new(string)
	}
	return problem
}

func (r *rig) parse(text string, into any) {
	r.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		r.Fatalf("%v: %s", err, text)
	}
}

// open reads a download's content.
func (p *peer) open(id string) *http.Response {
	p.Helper()
	req, err := http.NewRequestWithContext(p.ctx, "GET", p.http+"/v1/downloads/"+id+"/content", nil)
	if err != nil {
		p.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	return resp
}

// look is a download now.
func (p *peer) look(id string) (d peerapi.Download) {
	p.Helper()
	status, text := p.call("GET", p.http+"/v1/downloads/"+id, "")
	if status != 200 {
		p.Fatalf("%d %s", status, text)
	}
	p.parse(text, &d)
	return d
}

// state waits until a download is in a state.
func (p *peer) state(id string, want peerapi.DownloadState) (d peerapi.Download) {
	p.Helper()
	p.await("state "+string(want), func() bool { d = p.look(id); return d.State == want })
	return d
}

// some waits until a download has some chunks.
func (p *peer) some(id string, chunks int) {
	p.Helper()
	p.await("some chunks", func() bool { return p.look(id).ChunksDone >= chunks })
}

// do makes a call without a body that must succeed.
func (p *peer) do(method, path string) {
	p.Helper()
	if status, text := p.call(method, p.http+path, ""); status/100 != 2 {
		p.Fatalf("%s %s: %d %s", method, path, status, text)
	}
}

// files are the names below the data directory, but for peerd's own.
func (p *peer) files() (names []string) {
	p.Helper()
	err := filepath.WalkDir(p.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Name() == ".fanout" {
			return filepath.SkipDir
		}
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(p.dir, path)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		p.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// begun checks that a download has a part.
func (p *peer) begun(id string) {
	p.Helper()
	for _, suffix := range []string{".part", ".part.state"} {
		if _, err := os.Stat(filepath.Join(p.dir, ".fanout", id+suffix)); err != nil {
			p.Error(err)
		}
	}
}

// has checks that exactly these files are there, and the content of the first, if given.
func (p *peer) has(data []byte, names ...string) {
	p.Helper()
	if got := p.files(); !slices.Equal(got, names) {
		p.Errorf("files %q, want %q", got, names)
		return
	}
	if data != nil {
		if got, err := os.ReadFile(filepath.Join(p.dir, names[0])); err != nil || !bytes.Equal(got, data) {
			p.Errorf("%s: %d bytes, differs (%v)", names[0], len(got), err)
		}
	}
}

func complete(t testing.TB, d peerapi.Download) {
	t.Helper()
	if d.State != peerapi.DownloadStateComplete || d.ChunksDone != d.ChunksTotal || d.BytesDone != d.Size || d.Error != nil || d.FinishedAt == nil || d.DurationSeconds == nil {
		reason := ""
		if d.Error != nil {
			reason = *d.Error
		}
		t.Errorf("not complete: %+v %s", d, reason)
	}
}

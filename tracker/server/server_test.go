package server_test

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
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/trackerclient"
	"fanout/tracker/server"
	"fanout/tracker/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The life of a file: published, looked up, renewed, republished, withdrawn.
func TestFiles(t *testing.T) {
	tr := start(t, store.NewMemory())
	ctx := t.Context()
	m := makeManifest("ü ß 漢 100%.bin", 3, 1)
	id := m.ID()
	for range 2 {
		p, err := tr.client.Publish(ctx, m, id, origin)
		if err != nil || p.ManifestId != id.String() || p.LeaseSeconds != 15 {
			t.Fatalf("%+v %v", p, err)
		}
	}
	for _, name := range []string{m.Name, id.String()} {
		f, err := tr.client.File(ctx, name)
		if err != nil || f.Name != m.Name || !f.Current || f.ChunksTotal != 3 || len(f.Origins) != 1 || *f.Origins[0].HttpAddress != *origin.HttpAddress {
			t.Errorf("%+v %v", f, err)
		}
		got, gotID, err := tr.client.Manifest(ctx, name)
		if err != nil || gotID != id || got.ID() != id {
			t.Errorf("%v %v", got, err)
		}
	}
	if r, err := tr.client.Announce(ctx, id.String(), announce("o1", "origin")); err != nil || r.IntervalSeconds != 5 || len(r.Origins) != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if got := tr.call("DELETE", "/v1/files/"+id.String(), "", ""); got != "204 " {
		t.Error(got)
	}
	if _, err := tr.client.Announce(ctx, id.String(), announce("o1", "origin")); !errors.Is(err, trackerclient.ErrGone) {
		t.Error(err)
	}
	if _, err := tr.client.File(ctx, "other"); !errors.Is(err, trackerclient.ErrNotFound) {
		t.Error(err)
	}
	if _, err := tr.client.Publish(ctx, m, id, origin); err != nil {
		t.Error("a withdrawn file cannot be published again:", err)
	}
}

func TestStatusOfPublishing(t *testing.T) {
	tr := start(t, store.NewMemory())
	body := func(content byte) string {
		m := makeManifest("a", 1, content)
		return fmt.Sprintf(`{"manifest":{"name":"a","size":5,"chunk_size":32768,"digests":[%q]},"origin":{"id":"o","address":"127.0.0.1:1"}}`, m.Digests[0])
	}
	for i, c := range []struct {
		content byte
		want    string
	}{{1, "201"}, {1, "200"}, {2, "201"}, {2, "200"}, {1, "201"}} {
		if got := tr.call("PUT", "/v1/files/a", "", body(c.content)); !strings.HasPrefix(got, c.want) {
			t.Errorf("publication %d: %s, want %s", i, got, c.want)
		}
	}
}

// Each bad input gets an answer that names the thing and the remedy.
func TestBadInput(t *testing.T) {
	tr := start(t, store.NewMemory())
	tr.publish(makeManifest("a", 2, 1))
	tr.register("p1", "127.0.0.1:2685")
	digest := strings.Repeat("0", 64)
	publication := func(manifest string) string {
		return `{"manifest":{` + manifest + `},"origin":{"id":"o","address":"127.0.0.1:1"}}`
	}
	for _, c := range []struct{ what, method, path, body, want string }{
		{"unknown file", "GET", "/v1/files/b", "", `404 … no file named "b" is published; published are: a`},
		{"unknown ID", "GET", "/v1/files/" + digest, "", "404 … GET /v1/files lists the files"},
		{"unknown file's manifest", "GET", "/v1/files/b/manifest", "", "404 … published are: a"},
		{"unknown file's table", "GET", "/v1/files/b/chunks", "", "404 … published are: a"},
		{"withdraw an unknown file", "DELETE", "/v1/files/b", "", "404 … published are: a"},
		{"announce to an unknown file", "POST", "/v1/files/b/announce", `{"id":"p","role":"peer","address":"127.0.0.1:1"}`, "404 … published are: a"},
		{"table for an unknown file", "PUT", "/v1/files/b/chunks", "0\tx:1\n", "404 … published are: a"},
		{"unknown peer", "DELETE", "/v1/peers/p9", "", "404 … GET /v1/peers lists them"},
		{"malformed JSON", "PUT", "/v1/files/c", `{"manifest":}`, "400 … at byte 13"},
		{"no manifest", "PUT", "/v1/files/c", `{"origin":{"id":"o","address":"127.0.0.1:1"}}`, "400 manifest …"},
		{"name beside the path", "PUT", "/v1/files/c", publication(`"name":"d","size":0,"chunk_size":32768,"digests":[]`), `422 manifest.name … named "d"`},
		{"name not allowed", "PUT", "/v1/files/" + strings.Repeat("f", 64), publication(`"name":"` + strings.Repeat("f", 64) + `","size":0,"chunk_size":32768,"digests":[]`), "422 manifest.name … 64 hex digits are a manifest ID"},
		{"digest no hex", "PUT", "/v1/files/c", publication(`"name":"c","size":1,"chunk_size":32768,"digests":["xyz"]`), "422 manifest.digests … digest of chunk 0"},
		{"digests missing", "PUT", "/v1/files/c", publication(`"name":"c","size":1,"chunk_size":32768,"digests":[]`), "422 manifest.digests … 0 digests for 1 chunks"},
		{"chunk size", "PUT", "/v1/files/c", publication(`"name":"c","size":1,"chunk_size":5,"digests":["` + digest + `"]`), "422 manifest.chunk_size … from 4096 (4KiB) to 67108864 (64MiB)"},
		{"another ID", "PUT", "/v1/files/c", publication(`"name":"c","size":0,"chunk_size":32768,"digests":[],"manifest_id":"` + digest + `"`), "422 manifest.manifest_id …"},
		{"nobody can dial it", "PUT", "/v1/peers/p", `{"address":"0.0.0.0:1"}`, "422 address … --advertise"},
		{"port", "PUT", "/v1/peers/p", `{"address":"127.0.0.1:99999"}`, "422 address … such as 10.0.0.2:2685"},
		{"origin's HTTP port", "PUT", "/v1/files/c", `{"manifest":{"name":"c","size":0,"chunk_size":32768,"digests":[]},"origin":{"id":"o","address":"127.0.0.1:1","http_address":"x:0"}}`, "422 origin.http_address …"},
		{"bitmap", "POST", "/v1/files/a/announce", `{"id":"p","role":"peer","address":"127.0.0.1:1","held":"AAAA"}`, "422 held … 2 chunks need 1"},
		{"unknown chunk", "PUT", "/v1/files/a/chunks", "0\t127.0.0.1\n2\t127.0.0.1\n", "422 … line 2, \"2\\t127.0.0.1\": there is no chunk 2, the chunks are 0 to 1"},
		{"missing chunk", "PUT", "/v1/files/a/chunks", "0\t127.0.0.1\n", "422 … 1 of 2 chunks have no line: 1"},
		{"rollout of an unknown file", "PUT", "/v1/files/b/rollout", "", `404 … no file named "b" is published; published are: a`},
		{"rollout to an unknown peer", "PUT", "/v1/files/a/rollout", `{"peers":["p9"]}`, "422 peers … peer p9 has never been registered here; GET /v1/peers lists the peers"},
		{"rollout to a peer that does not follow", "PUT", "/v1/files/a/rollout", `{"peers":["p1"]}`, "409 peers … peer p1 does not follow rollouts; start it with peerd --follow"},
		{"rollout to nobody", "PUT", "/v1/files/a/rollout", `{"peers":[]}`, "400 peers …"},
		{"rollout by no strategy", "PUT", "/v1/files/a/rollout", `{"strategy":"magic"}`, "400 strategy …"},
		{"rollout with a mistyped field", "PUT", "/v1/files/a/rollout", `{"peer":["p1"]}`, `400 body … "peer" is unsupported`},
		{"no rollout", "GET", "/v1/files/a/rollout", "", `404 … there is no rollout of "a"; begin one with PUT /v1/files/a/rollout`},
		{"end no rollout", "DELETE", "/v1/files/a/rollout", "", `404 … there is no rollout of "a"`},
		{"rollouts for an unknown peer", "GET", "/v1/peers/p9/rollouts", "", "404 … peer p9 has never been registered here"},
		{"rollouts for one that does not follow", "GET", "/v1/peers/p1/rollouts", "", "409 … start it with peerd --follow"},
		{"forget an unknown peer", "DELETE", "/v1/peers/p9?forget=true", "", "404 … GET /v1/peers lists them"},
		{"no peer", "PUT", "/v1/files/a/chunks", "0\t127.0.0.1\n1\t10.0.0.1\n", `422 … line 2: chunk 1: "10.0.0.1" is no registered peer`},
	} {
		t.Run(c.what, func(t *testing.T) {
			status, body, _ := strings.Cut(tr.call(c.method, c.path, "", c.body), " ")
			var p trackerapi.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil {
				t.Fatalf("%s %s: %v", status, body, err)
			}
			t.Log(status, body)
			head, part, _ := strings.Cut(c.want, "…")
			got := status + " "
			if p.Field != nil {
				got += *p.Field + " "
			}
			if got != head || p.Detail == nil || !strings.Contains(*p.Detail, strings.TrimSpace(part)) {
				t.Errorf("want %s", c.want)
			}
		})
	}
}

// The tracker file that the tracker shows can be uploaded again, and a client reads it.
func TestTrackerFile(t *testing.T) {
	tr := start(t, store.NewMemory())
	tr.publish(makeManifest("a", 5000, 1))
	tr.publish(makeManifest("empty", 0, 0))
	const path = "/v1/files/a/chunks"
	if got := tr.call("GET", path, "text/tab-separated-values", ""); !strings.HasPrefix(got, "409 ") || !strings.Contains(got, "start peers first") {
		t.Error(got)
	}
	tr.register("p10", "127.0.0.10:2685")
	tr.register("p9", "127.0.0.9:2685")
	shown := tr.call("GET", path, "text/tab-separated-values", "")
	if !strings.HasPrefix(shown, "200 0\t127.0.0.9:2685\n1\t127.0.0.10:2685\n2\t127.0.0.9:2685\n") || strings.Count(shown, "\n") != 5000 {
		t.Errorf("%.100s", shown)
	}
	if got := tr.call("PUT", path, "", shown[4:]); got != "204 " {
		t.Error(got)
	}
	owners, err := tr.client.Table(t.Context(), "a", 5000)
	if err != nil || owners[4999] != "127.0.0.10:2685" {
		t.Error(err)
	}
	if got := tr.call("DELETE", path, "", ""); got != "204 " {
		t.Error(got)
	}
	if got := tr.call("GET", "/v1/files/empty/chunks", "text/tab-separated-values", ""); got != "200 " {
		t.Error(got)
	}
}

func TestChunkPages(t *testing.T) {
	tr := start(t, store.NewMemory())
	tr.publish(makeManifest("a", 2500, 1))
	held := make([]byte, 313)
	held[0] = 0x80
	state := trackerapi.DownloadStateDownloading
	a := announce("p1", "peer")
	a.Held, a.Owned, a.State = &held, &held, &state
	if _, err := tr.client.Announce(t.Context(), "a", a); err != nil {
		t.Fatal(err)
	}
	var chunks []trackerapi.Chunk
	for offset := 0; ; {
		var page trackerapi.ChunkTable
		body := tr.call("GET", fmt.Sprintf("/v1/files/a/chunks?offset=%d", offset), "", "")[4:]
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(body, "null") {
			t.Error("null in", body)
		}
		chunks = append(chunks, page.Chunks...)
		if page.NextOffset == nil {
			break
		}
		offset = *page.NextOffset
	}
	if len(chunks) != 2500 || chunks[2499].Chunk != 2499 {
		t.Fatal(len(chunks), "chunks")
	}
	if c := chunks[0]; c.Owner == nil || *c.Owner != a.Address || len(c.Holders) != 1 || chunks[1].Owner != nil {
		t.Errorf("%+v", c)
	}
}

func TestServiceDiscovery(t *testing.T) {
	tr := start(t, store.NewMemory())
	if got, want := tr.call("GET", "/v1/sd", "", ""), fmt.Sprintf("200 [{\"labels\":{\"id\":\"tracker\",\"role\":\"tracker\"},\"targets\":[%q]}]\n", tr.host); got != want {
		t.Errorf("got %swant %s", got, want)
	}
	tr.publish(makeManifest("a", 1, 1))
	tr.register("p1", "127.0.0.1:2685")
	got := tr.call("GET", "/v1/sd", "", "")
	for _, want := range []string{`{"id":"o1","role":"origin"},"targets":["127.0.0.1:2694"]`, `{"id":"p1","role":"peer"},"targets":["127.0.0.1:2695"]`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}

func TestEmptyListsAreLists(t *testing.T) {
	tr := start(t, store.NewMemory())
	for path, want := range map[string]string{"/v1/files": "200 {\"files\":[]}\n", "/v1/peers": "200 {\"peers\":[]}\n"} {
		if got := tr.call("GET", path, "", ""); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestMetrics(t *testing.T) {
	tr := start(t, store.NewMemory())
	tr.publish(makeManifest("a", 1, 1))
	tr.register("p1", "127.0.0.1:2685")
	if _, err := tr.client.Announce(t.Context(), "a", announce("p1", "peer")); err != nil {
		t.Fatal(err)
	}
	metrics := tr.call("GET", "/metrics", "", "")
	for _, want := range []string{
		"fanout_tracker_files 1\n", `fanout_tracker_peers{state="downloading"} 1`, `fanout_tracker_peers{state="complete"} 0`,
		"fanout_tracker_registered_peers 1\n", `fanout_tracker_announces_total{role="peer"} 1`, `fanout_tracker_announces_total{role="origin"} 0`,
		`fanout_http_request_duration_seconds_count{code="200",handler="/v1/files/{name}/announce",method="POST"} 1`, "fanout_build_info{",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
}

// Files and uploaded tables are there after a restart; leases refill.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	open := func() store.Store {
		s, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := start(t, open())
	m := makeManifest("a", 2, 1)
	first.publish(m)
	first.register("p1", "127.0.0.1:2685")
	first.call("PUT", "/v1/files/a/chunks", "", "0\t127.0.0.1\n1\t127.0.0.1\n")
	first.stop()

	second := start(t, open())
	f, err := second.client.File(t.Context(), "a")
	if err != nil || f.ManifestId != m.ID().String() || len(f.Origins) != 0 {
		t.Fatalf("%+v %v", f, err)
	}
	owners, err := second.client.Table(t.Context(), "a", 2)
	if err != nil || owners[1] != "127.0.0.1:2685" {
		t.Error(owners, err)
	}
	if r, err := second.client.Announce(t.Context(), f.ManifestId, announce("o1", "origin")); err != nil || len(r.Origins) != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

var httpAddress = "127.0.0.1:2694"
var origin = trackerapi.Origin{Id: "o1", Address: "127.0.0.1:2684", HttpAddress: &httpAddress}

func announce(id string, role trackerapi.AnnounceRole) trackerapi.Announce {
	return trackerapi.Announce{Id: id, Role: role, Address: "127.0.0.1:2684"}
}

func makeManifest(name string, chunks int, content byte) *manifest.Manifest {
	m := &manifest.Manifest{Name: name, ChunkSize: 32768, Digests: make([]manifest.Digest, chunks)}
	if chunks > 0 {
		m.Size = int64(chunks-1)*32768 + 5
		m.Digests[0][0] = content
	}
	return m
}

// tracker is a running one.
type tracker struct {
	t      *testing.T
	host   string
	client *trackerclient.Client
	stop   func()
}

func start(t *testing.T, s store.Store) *tracker {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	var log bytes.Buffer
	go func() {
		done <- server.Run(ctx, server.Config{
			Listener: ln, Store: s, Logger: zerolog.New(zerolog.SyncWriter(&log)), Registry: prometheus.NewRegistry(),
			Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2)),
		})
	}()
	tr := &tracker{t: t, host: ln.Addr().String()}
	if tr.client, err = trackerclient.New(tr.host); err != nil {
		t.Fatal(err)
	}
	stopped := false
	tr.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		tr.client.Close()
		http.DefaultClient.CloseIdleConnections()
		if t.Failed() {
			t.Log(log.String())
		}
	}
	t.Cleanup(tr.stop)
	return tr
}

func (tr *tracker) publish(m *manifest.Manifest) {
	tr.t.Helper()
	if _, err := tr.client.Publish(tr.t.Context(), m, m.ID(), origin); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tracker) register(id, address string) {
	tr.t.Helper()
	h := strings.Replace(address, "2685", "2695", 1)
	if _, err := tr.client.Register(tr.t.Context(), id, trackerapi.Registration{Address: address, HttpAddress: &h}); err != nil {
		tr.t.Fatal(err)
	}
}

// call gives the status and the body of an answer, separated by a space.
func (tr *tracker) call(method, path, accept, body string) string {
	tr.t.Helper()
	req, err := http.NewRequestWithContext(tr.t.Context(), method, "http://"+tr.host+path, strings.NewReader(body))
	if err != nil {
		tr.t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tr.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		tr.t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(got))
}

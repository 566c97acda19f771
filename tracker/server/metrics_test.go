package server

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fanout/internal/chunks/manifest"
	"fanout/tracker/store"
	"fanout/tracker/table"
)

// What a distribution leaves in the metrics, and that they are as Prometheus likes them.
func TestMetricsOfADistribution(t *testing.T) {
	w := newWorld(t)
	w.publish("image.iso", 1)
	for i := range 3 {
		w.announce("image.iso", i, table.Downloading, 0, 0)
	}
	if got := w.scrape(); !strings.Contains(got, "fanout_tracker_distributions_running 1\n") {
		t.Error("none is running")
	}
	w.now = w.now.Add(5 * time.Second)
	w.announce("image.iso", 0, table.Complete, 2, 2)
	w.announce("image.iso", 1, table.Complete, 1, 3)
	w.announce("image.iso", 2, table.Failed, 1, 1)
	got := w.scrape()
	for _, want := range []string{
		`fanout_tracker_peers{state="complete"} 2`, `fanout_tracker_peers{state="failed"} 1`, `fanout_tracker_peers{state="lost"} 0`,
		`fanout_tracker_received_bytes_total{source="origin"} 131072`, `fanout_tracker_received_bytes_total{source="peer"} 196608`,
		`fanout_tracker_handouts_total 4`, `fanout_tracker_distributions_running 0`,
		`fanout_tracker_distribution_duration_seconds_sum{outcome="incomplete",peers="4",strategy="swarm"} 5`,
		`fanout_tracker_distribution_egress_ratio_sum{outcome="incomplete",peers="4",strategy="swarm"} 1`,
		`fanout_tracker_file_distribution_duration_seconds{file="image.iso"} 5`, `fanout_tracker_file_size_bytes{file="image.iso"} 131072`,
		`fanout_tracker_file_distribution_bytes{file="image.iso",source="origin"} 131072`, `fanout_tracker_file_distribution_egress_ratio{file="image.iso"} 1`,
		`fanout_tracker_file_peers{file="image.iso",state="failed"} 1`, `fanout_tracker_file_distribution_origin_sent_bytes{file="image.iso"} 131072`,
		`fanout_tracker_origin_sent_bytes_total 0`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool: run scripts/setup.sh test")
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(got)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// A client can publish, withdraw, announce and ask for what it likes: the series stay few.
func TestLabelsAreBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 3 * maxFileLabels {
		name := fmt.Sprint("file-", i)
		w.publish(name, byte(i))
		for peers := range 3 {
			w.announce(name, 3*i+peers, table.Downloading, 0, 0)
			w.announce(name, 3*i+peers, table.Complete, 1, 1)
		}
		w.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("WEIRD", "/"+name, nil))
		if i%2 == 0 {
			if err := w.table.Origins.Withdraw(name); err != nil {
				t.Fatal(err)
			}
		}
		if i%50 == 0 {
			w.scrape()
		}
	}
	got := w.scrape()
	files := map[string]bool{}
	for line := range strings.Lines(got) {
		if _, rest, ok := strings.Cut(line, `file="`); ok {
			name, _, _ := strings.Cut(rest, `"`)
			files[name] = true
		}
	}
	if len(files) == 0 || len(files) > maxFileLabels {
		t.Errorf("%d files have series of their own", len(files))
	}
	if n := strings.Count(got, "\n"); n > 20*maxFileLabels {
		t.Errorf("%d lines of metrics", n)
	}
	if !strings.Contains(got, "fanout_tracker_files 150\n") {
		t.Error("the sums leave files out")
	}
}

func TestLabelPlaces(t *testing.T) {
	now := time.Unix(0, 0)
	p := newLabelPlaces(func() time.Time { return now })
	for i := range maxFileLabels {
		if !p.has(fmt.Sprint(i)) {
			t.Fatal(i, "has no place")
		}
	}
	if p.has("more") {
		t.Error("there is no bound")
	}
	now = now.Add(keepFileLabel / 2)
	p.has("0")
	now = now.Add(keepFileLabel / 2)
	if !p.has("more") || !p.has("0") {
		t.Error("the places of those that are gone are not given to others")
	}
	for n, want := range map[int]string{1: "1", 2: "2", 3: "4", 4: "4", 5: "8", 1000: "1024", 1024: "1024", 1025: "more", 1e9: "more"} {
		if got := peersLabel(n); got != want {
			t.Errorf("%d peers: %s, want %s", n, got, want)
		}
	}
}

type world struct {
	t        *testing.T
	now      time.Time
	table    *table.Table
	registry *prometheus.Registry
	handler  http.Handler
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Unix(1e9, 0), registry: prometheus.NewRegistry()}
	var err error
	w.table, err = table.New(table.Options{Store: store.NewMemory(), Now: func() time.Time { return w.now }, Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	if w.handler, err = NewHandler(w.table, Config{Registry: w.registry}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) scrape() string {
	w.t.Helper()
	r := httptest.NewRecorder()
	w.handler.ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil || r.Code != 200 {
		w.t.Fatal(err, r.Code, b.String())
	}
	return b.String()
}

func (w *world) publish(name string, content byte) {
	w.t.Helper()
	m := &manifest.Manifest{Name: name, Size: 4 * 32768, ChunkSize: 32768, Digests: make([]manifest.Digest, 4)}
	m.Digests[0][0] = content
	if _, err := w.table.Origins.Publish(name, m, m.ID(), table.Origin{ID: "o", Address: w.address(0)}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) address(n int) table.Address {
	a, err := table.ParseAddress("", fmt.Sprintf("10.0.%d.%d:2685", n/256, n%256))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// announce reports a peer with so many chunks from each source.
func (w *world) announce(name string, peer int, s table.State, origin, peers int64) {
	w.t.Helper()
	_, err := w.table.Swarms.Announce(name, table.Report{
		ID: fmt.Sprint("p", peer), Address: w.address(peer), State: s,
		Held: table.Bitmap{byte(0xf0 << (4 - origin - peers))}, Owned: table.Bitmap{byte(0xf0 << (4 - origin))},
		BytesFromOrigin: origin * 32768, BytesFromPeers: peers * 32768,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

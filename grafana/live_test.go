//go:build linux

package grafana_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"fanout/api/peerapi"
	"fanout/grafana"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
	"fanout/internal/proving/patience"
	"fanout/internal/proving/valve"
)

func TestMain(m *testing.M) { fleettest.Main(m) }

// stage is real daemons that a real Prometheus scrapes.
type stage struct {
	t       *testing.T
	fleet   *fleet.Fleet
	tracker *fleet.Tracker
	origin  *fleet.Origin
	valve   *valve.Valve // in front of the origin
	peers   []*fleet.Peer
	lab     lab
	prom    *prometheus
	from    time.Time
}

// rate of every daemon, so that a distribution takes seconds.
const rate = "5MB"

const fileSize = 12 << 20

func newStage(t *testing.T) *stage {
	t.Helper()
	tool(t, "prometheus")
	s := &stage{t: t, fleet: fleettest.New(t, fleettest.Plain), lab: startLab(t)}
	dir := s.fleet.Dir()
	var files []string
	for i, name := range []string{"image.iso", "model.bin", "build.tar", "data.set"} {
		files = append(files, fleettest.File(t, dir, name, fileSize, uint64(i)))
	}
	s.tracker = s.fleet.Tracker("--lease", "2s")
	s.valve = valve.New(t, math.MaxInt64)
	s.origin = s.fleet.Origin("origin", files, "--max-upload", rate, "--advertise", s.valve.Address())
	fleettest.Start(t, s.tracker, s.origin)
	s.valve.To(s.origin.ChunkAddress())
	for i := range 4 {
		p := s.fleet.Peer(fmt.Sprintf("peer-%d", i+1), "--max-upload", rate, "--max-download", rate)
		fleettest.Start(t, p)
		s.peers = append(s.peers, p)
	}
	s.prom = startPrometheus(t, s.tracker.URL(), s.lab.Address)
	await(t, "everything to be scraped", func() error {
		up, err := s.prom.at(`up == 1`, time.Now())
		if err == nil && len(up) < 7 {
			err = fmt.Errorf("%d of 7 targets are up", len(up))
		}
		return err
	})
	s.from = time.Now()
	return s
}

// lab is the exporter of the lab's driver.
type lab struct {
	Address string
	Metrics []string
}

func startLab(t *testing.T) (l lab) {
	t.Helper()
	repo, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := fleettest.Command(context.Background(), "/usr/bin/python3", "testdata/lab.py", repo, t.TempDir())
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = logged(t, "the lab's exporter")
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // which ends it
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &l)
	}
	if err != nil {
		t.Fatal("the lab's exporter: ", err)
	}
	return l
}

// logged keeps what a process prints, and shows it if the test fails.
func logged(t *testing.T, who string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if text, _ := os.ReadFile(f.Name()); t.Failed() {
			t.Logf("--- log of %s:\n%s", who, text)
		}
		f.Close()
	})
	return f
}

// start begins a download at peers.
func (s *stage) start(strategy peerapi.Strategy, file string, peers ...*fleet.Peer) (ids []string) {
	s.t.Helper()
	for _, p := range peers {
		d, err := p.Download(s.t.Context(), peerapi.DownloadRequest{File: file, Strategy: &strategy})
		if err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, d.Id)
	}
	return ids
}

// distribute puts a file on peers and waits until all have it.
func (s *stage) distribute(strategy peerapi.Strategy, file string, peers ...*fleet.Peer) {
	s.t.Helper()
	for i, id := range s.start(strategy, file, peers...) {
		if _, err := peers[i].Complete(patience.Context(s.t), id); err != nil {
			s.t.Error(err)
		}
	}
}

func TestEveryQueryReturnsData(t *testing.T) {
	s := newStage(t)
	s.distribute(peerapi.StrategySwarm, "image.iso", s.peers...)
	s.prom.settle(t)
	distributed := time.Now()
	promtoolCheckMetrics(s)
	histogramsAreBoth(s)
	boundedLabels(s)
	s.trouble()
	for name, d := range dashboards(t) {
		t.Run(name, func(t *testing.T) {
			v := viewer{t: t, prom: s.prom, from: s.from, to: distributed, over: time.Now()}
			v.variables(d)
			for _, choice := range []map[string]string{
				{"file": ".*", "instance": ".*", "system": ".*"},
				{"file": `image\.iso`, "instance": regexp.QuoteMeta(s.peers[0].HTTPAddress()), "system": "swarm"},
			} {
				for _, p := range d.Panels {
					v.panel(p, choice)
				}
			}
			t.Logf("%d queries of %d panels", v.queries, len(d.Panels))
		})
	}
	t.Run("rules", func(t *testing.T) { rulesReturnData(t, s.prom, s.from, time.Now()) })
}

// viewer looks at a dashboard as Grafana would.
type viewer struct {
	t        *testing.T
	prom     *prometheus
	from, to time.Time // of the undisturbed distribution
	over     time.Time // after the trouble, which is when there are alerts
	queries  int
}

func (v *viewer) variables(d grafana.Dashboard) {
	for _, x := range d.Templating.List[1:] {
		m := labelValues.FindStringSubmatch(x.Definition)
		if q, ok := x.Query.(grafana.Object); m == nil || !ok || q["query"] != x.Definition {
			v.t.Errorf("variable %s: query %v, definition %s", x.Name, x.Query, x.Definition)
			continue
		}
		values, err := v.prom.labelValues(m[1], m[2], v.from, v.to)
		if err != nil || len(values) == 0 {
			v.t.Errorf("variable %s: %s has no values: %v", x.Name, x.Definition, err)
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

func (v *viewer) panel(p *grafana.Panel, choice map[string]string) {
	for _, q := range p.Targets {
		v.queries++
		expr := macros.Replace(q.Expr)
		for name, value := range choice {
			expr = strings.ReplaceAll(expr, "$"+name, strings.ReplaceAll(value, `\`, `\\`))
		}
		from, to := v.from, v.to
		if strings.Contains(expr, "ALERTS") {
			to = v.over
		}
		got, err := v.prom.during(expr, from, to)
		if err != nil || len(got) == 0 {
			v.t.Errorf("panel %q, query %s: no data (%v): %s", p.Title, q.RefID, err, expr)
			continue
		}
		v.labels(p, q, got)
	}
}

// macros are what Grafana fills in: here, more than a scrape is ever late on a busy machine.
var macros = strings.NewReplacer("$__rate_interval", "1m", "$__range", "1m")

// labels checks that what a panel does with labels is possible.
func (v *viewer) labels(p *grafana.Panel, q grafana.Target, got []series) {
	wanted := legendLabels(q)
	for _, t := range p.Transformations {
		options := t["options"].(grafana.Object)
		switch t["id"] {
		case "organize":
			for name := range options["renameByName"].(grafana.Object) {
				wanted = append(wanted, name)
			}
		case "groupingToMatrix":
			wanted = append(wanted, options["columnField"].(string), options["rowField"].(string))
			if x := got[0].labels[options["rowField"].(string)]; !isNumber(x) {
				v.t.Errorf("panel %q: %q is no number to draw against", p.Title, x)
			}
		}
	}
	for _, label := range wanted {
		if some := got[0].labels; label != "Value" && some[label] == "" && !(label == "file" && p.Type == "table") && !(label == "id" && some["alertname"] != "") {
			v.t.Errorf("panel %q, query %s: the series %v have no label %s", p.Title, q.RefID, some, label)
		}
	}
}

func legendLabels(q grafana.Target) (labels []string) {
	for _, m := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.LegendFormat, -1) {
		labels = append(labels, m[1])
	}
	return labels
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// trouble makes happen what the alerts are about, for real.
func (s *stage) trouble() {
	t, ctx := s.t, s.t.Context()
	s.liar("data.set")
	s.distribute(peerapi.StrategyDirect, "model.bin", s.peers...) // the origin sends it four times

	wrong := strings.Repeat("0", 64) // no file has this digest
	d, err := s.peers[0].Download(ctx, peerapi.DownloadRequest{File: "data.set", Sha256: &wrong})
	if err != nil {
		t.Fatal(err)
	}
	if d, err = s.peers[0].Wait(ctx, d.Id); err != nil || d.State != peerapi.DownloadStateFailed {
		t.Fatalf("a download of other bytes: %s, %v", d.State, err)
	}

	s.valve.Let(fileSize / 8) // to each of four: the origin is killed before it has sent it once
	ids := s.start(peerapi.StrategySwarm, "build.tar", s.peers...)
	for i, p := range s.peers { // each is in the swarm by then, and so can be missed
		if _, err := p.Await(patience.Context(t), ids[i], func(d peerapi.Download) bool { return d.BytesDone > 0 }); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []interface{ Kill() error }{s.peers[3], s.origin} { // in the middle
		if err := k.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the tracker to miss a peer, and the others the origin", func() error {
		lost, err := s.tracker.Metric(ctx, "fanout_tracker_peers", "state", "lost")
		stalled, err2 := s.peers[0].Metric(ctx, "fanout_downloads_stalled")
		if err := errors.Join(err, err2); err != nil || lost == 0 || stalled == 0 {
			return fmt.Errorf("%v lost, %v stalled, %v", lost, stalled, err)
		}
		return nil
	})
	s.prom.settle(t)
	if err := s.tracker.Stop(); err != nil {
		t.Error(err)
	}
	s.prom.settle(t)
}

// liar adds a peer to a swarm that sends wrong bytes.
func (s *stage) liar(file string) {
	cmd := fleettest.Command(context.Background(), fleettest.Program(s.t, "fanout/internal/proving/liar"), "--tracker", s.tracker.URL(), "--listen", "127.0.0.1:0", file)
	cmd.Stderr = logged(s.t, "the liar")
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	await(s.t, "the liar to be listed", func() error {
		n, err := s.tracker.Metric(s.t.Context(), "fanout_tracker_file_peers", "file", file, "state", "complete")
		if err == nil && n == 0 {
			err = errors.New("it is not")
		}
		return err
	})
}

// ruleFile is a file of rules.
type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Record, Alert, Expr string
			Annotations         map[string]string
		}
	}
}

func readRules(t *testing.T) (f ruleFile) {
	t.Helper()
	data, err := os.ReadFile("../deploy/prometheus/rules/fanout.yml")
	if err == nil {
		err = yaml.Unmarshal(data, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// unstaged are the alerts whose cause the test cannot bring about; what they compare must
// have data all the same.
var unstaged = map[string]string{
	"FanoutTrackerErrors":  "instance:fanout_tracker_request_errors:ratio5m",
	"FanoutDiskNearlyFull": "instance:fanout_data_dir_free:ratio",
}

// rulesReturnData evaluates every rule over the whole test: every record has data, and
// every alert's expression was true at some time, for its cause was made to happen.
func rulesReturnData(t *testing.T, prom *prometheus, from, to time.Time) {
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			expr := r.Expr
			if compared, ok := unstaged[r.Alert]; ok {
				if !strings.HasPrefix(expr, compared+" ") {
					t.Errorf("alert %s does not compare %s any more", r.Alert, compared)
				}
				expr = compared
			}
			if r.Record != "" {
				expr = r.Record // it was evaluated
			}
			if got, err := prom.during(expr, from, to); err != nil || len(got) == 0 {
				t.Errorf("rule %s%s: no data (%v): %s", r.Record, r.Alert, err, expr)
			}
		}
	}
}

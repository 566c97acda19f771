//go:build linux

package grafana_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"fanout/internal/proving/fleet/fleettest"
	"fanout/internal/proving/patience"
)

const scrapeEvery = 500 * time.Millisecond

// tool finds a program of Debian's prometheus package.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && testing.Short() {
		t.Skip(name, " is not installed")
	}
	if err != nil {
		t.Fatal(err, ": install the package prometheus (scripts/setup.sh test), or test with -short")
	}
	return path
}

// prometheus is a real one, with the configuration and the rules of deploy/prometheus.
type prometheus struct{ url string }

// startPrometheus runs one that finds the daemons at a tracker, and scrapes the lab's driver.
func startPrometheus(t *testing.T, tracker, lab string) *prometheus {
	t.Helper()
	dir, program := t.TempDir(), tool(t, "prometheus")
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, configuration(t, tracker, lab), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 5 { // somebody else may have taken the port meanwhile
		p, ended := launch(t, program, "--config.file="+config, "--storage.tsdb.path="+dir, "--log.level=warn")
		ready := false
		patience.Await(t, "Prometheus to be ready", func() bool {
			select {
			case <-ended:
				return true
			default:
			}
			r, err := http.Get(p.url + "/-/ready")
			if err == nil {
				r.Body.Close()
				ready = r.StatusCode == http.StatusOK
			}
			return ready
		})
		if ready {
			return p
		}
	}
	t.Fatal("Prometheus does not start")
	return nil
}

// launch starts Prometheus at an address that is free. It is killed when the test ends.
func launch(t *testing.T, program string, flags ...string) (p *prometheus, ended <-chan struct{}) {
	t.Helper()
	log := logged(t, "Prometheus")
	address := freeAddress(t)
	cmd := fleettest.Command(context.Background(), program, append(flags, "--web.listen-address="+address)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		cmd.Wait()
		close(over)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-over
	})
	return &prometheus{"http://" + address}, over
}

// settle waits until Prometheus has seen, three times, what has happened: all targets were
// scraped since, and all rules evaluated.
func (p *prometheus) settle(t *testing.T) {
	t.Helper()
	for range 3 {
		since := time.Now()
		patience.Await(t, "Prometheus to scrape all targets", func() bool { return p.scraped(t).After(since) })
		since = time.Now()
		patience.Await(t, "Prometheus to evaluate all rules", func() bool { return p.evaluated(t).After(since) })
	}
}

// scraped is when the last scrape was of the target that has waited for longest.
func (p *prometheus) scraped(t *testing.T) (oldest time.Time) {
	t.Helper()
	var found struct {
		ActiveTargets []struct{ LastScrape time.Time }
	}
	if err := p.get("/api/v1/targets", &found, nil); err != nil || len(found.ActiveTargets) == 0 {
		t.Fatal("targets: ", len(found.ActiveTargets), err)
	}
	oldest = time.Now()
	for _, x := range found.ActiveTargets {
		if x.LastScrape.Before(oldest) {
			oldest = x.LastScrape
		}
	}
	return oldest
}

// evaluated is the same of the groups of rules.
func (p *prometheus) evaluated(t *testing.T) (oldest time.Time) {
	t.Helper()
	var found struct {
		Groups []struct{ LastEvaluation time.Time }
	}
	if err := p.get("/api/v1/rules", &found, nil); err != nil || len(found.Groups) == 0 {
		t.Fatal("rules: ", len(found.Groups), err)
	}
	oldest = time.Now()
	for _, x := range found.Groups {
		if x.LastEvaluation.Before(oldest) {
			oldest = x.LastEvaluation
		}
	}
	return oldest
}

// configuration is the repository's with other addresses and shorter intervals.
func configuration(t *testing.T, tracker, lab string) []byte {
	t.Helper()
	data, err := os.ReadFile("../deploy/prometheus/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := yaml.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	every := scrapeEvery.String()
	c["global"] = map[string]any{"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
	rules, err := filepath.Abs("../deploy/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range c["rule_files"].([]any) {
		c["rule_files"].([]any)[i] = filepath.Join(rules, f.(string))
	}
	job := c["scrape_configs"].([]any)[0].(map[string]any)
	sd := job["http_sd_configs"].([]any)[0].(map[string]any)
	sd["url"] = strings.Replace(sd["url"].(string), "http://tracker:2680", tracker, 1)
	sd["refresh_interval"] = every
	c["scrape_configs"] = append(c["scrape_configs"].([]any), map[string]any{
		"job_name": "lab", "static_configs": []any{map[string]any{"targets": []string{lab}}},
	})
	if data, err = yaml.Marshal(c); err != nil {
		t.Fatal(err)
	}
	return data
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// await waits until a check passes, and says why it does not, should it never.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	ctx := patience.Context(t)
	for err := check(); err != nil; err = check() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s: %v", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// series is one of an answer, without the values that are none.
type series struct {
	labels map[string]string
	values []float64
}

// during evaluates an expression at every scrape of a period.
func (p *prometheus) during(expr string, from, to time.Time) ([]series, error) {
	var list []struct {
		Metric map[string]string
		Values [][2]any
	}
	err := p.get("/api/v1/query_range", &list, url.Values{
		"query": {expr}, "start": {stamp(from)}, "end": {stamp(to)}, "step": {scrapeEvery.String()},
	})
	var all []series
	for _, s := range list {
		one := series{labels: s.Metric}
		for _, v := range s.Values {
			if f, err := strconv.ParseFloat(fmt.Sprint(v[1]), 64); err == nil && !math.IsNaN(f) {
				one.values = append(one.values, f)
			}
		}
		if len(one.values) > 0 {
			all = append(all, one)
		}
	}
	return all, err
}

// at evaluates an expression at one time.
func (p *prometheus) at(expr string, now time.Time) ([]series, error) {
	return p.during(expr, now, now)
}

// labelValues are those of a label of a metric, as Grafana asks for them.
func (p *prometheus) labelValues(metric, label string, from, to time.Time) (values []string, err error) {
	err = p.get("/api/v1/label/"+label+"/values", &values, url.Values{
		"match[]": {metric}, "start": {stamp(from)}, "end": {stamp(to)},
	})
	return values, err
}

func stamp(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

// get fills into from the result of a call.
func (p *prometheus) get(path string, into any, parameters url.Values) error {
	r, err := http.Get(p.url + path + "?" + parameters.Encode())
	if err != nil {
		return err
	}
	defer r.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	if path == "/api/v1/query_range" {
		result := struct{ Result any }{into}
		return json.Unmarshal(answer.Data, &result)
	}
	return json.Unmarshal(answer.Data, into)
}

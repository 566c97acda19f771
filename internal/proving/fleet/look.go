package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// fetch asks for a URL; anything but 200 is an error with what the daemon said.
func fetch(ctx context.Context, client *http.Client, url string) (body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(answer.Body); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, problem(answer.StatusCode, body)
	}
	return body, nil
}

// Problem is a daemon's answer that is an error (RFC 9457).
type Problem struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Field  string `json:"field"`
}

func (p *Problem) Error() string { return fmt.Sprintf("%d: %s", p.Status, p.Detail) }

func problem(status int, body []byte) error {
	p := &Problem{Status: status}
	if json.Unmarshal(body, p) != nil || p.Detail == "" {
		p.Detail = http.StatusText(status)
	}
	return p
}

// Log is all that the daemon has printed, over its restarts.
func (d *Daemon) Log() string {
	data, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// PeakRSS is the most memory, in bytes, that the process has had resident so far (VmHWM),
// the pages of mapped files included. It must be running; only Linux tells.
func (d *Daemon) PeakRSS() (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.PID()))
	if err != nil {
		return 0, fmt.Errorf("peak memory of %s: %w", d.name, err)
	}
	for line := range strings.Lines(string(data)) {
		value, ok := strings.CutPrefix(line, "VmHWM:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		return kib << 10, err
	}
	return 0, fmt.Errorf("peak memory of %s: it has ended", d.name)
}

// Metric is the sum of the samples of a counter or gauge that have the labels, given as
// name, value pairs: Metric(ctx, "fanout_received_bytes_total", "source", "origin"). Of a
// histogram, it is the number of observations. A name that the daemon does not export is an
// error; labels that match nothing are 0.
func (d *Daemon) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	body, err := fetch(ctx, d.client, d.URL()+"/metrics")
	if err != nil {
		return 0, fmt.Errorf("metrics of %s: %w", d.name, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	if err != nil {
		return 0, fmt.Errorf("metrics of %s: %w", d.name, err)
	}
	family, ok := families[name]
	if !ok {
		return 0, fmt.Errorf("metrics of %s: there is no %s", d.name, name)
	}
	sum := 0.0
	for _, m := range family.Metric {
		if matches(m, labels) {
			sum += value(m)
		}
	}
	return sum, nil
}

func matches(m *dto.Metric, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		found := false
		for _, l := range m.Label {
			found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}

func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount())
	}
	return m.Untyped.GetValue()
}

//go:build linux

package grafana_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// promtoolCheckMetrics has promtool look at what every kind of daemon exports once it has
// worked: names, units, help texts, suffixes.
func promtoolCheckMetrics(s *stage) {
	for name, url := range map[string]string{
		"tracker": s.tracker.URL(), "origin": s.origin.URL(), "peerd": s.peers[0].URL(), "the lab": "http://" + s.lab.Address,
	} {
		body := s.scrape(url)
		cmd := exec.Command(tool(s.t, "promtool"), "check", "metrics")
		cmd.Stdin = bytes.NewReader(body)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			s.t.Errorf("promtool check metrics, %s: %v\n%s", name, err, out)
		}
		if name != "the lab" && !bytes.Contains(body, []byte("fanout_build_info{")) {
			s.t.Errorf("%s does not say what is running", name)
		}
	}
}

// histogramsAreBoth checks that every histogram of ours is exported as a native one beside
// the classic one, and that the native one is bounded.
func histogramsAreBoth(s *stage) {
	for name, url := range map[string]string{"tracker": s.tracker.URL(), "origin": s.origin.URL(), "peerd": s.peers[0].URL()} {
		r, err := http.NewRequest("GET", url+"/metrics", nil)
		if err != nil {
			s.t.Fatal(err)
		}
		format := expfmt.NewFormat(expfmt.TypeProtoDelim)
		r.Header.Set("Accept", string(format))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			s.t.Fatal(err)
		}
		seen := 0
		for d := expfmt.NewDecoder(answer.Body, format); ; {
			var f dto.MetricFamily
			if err := d.Decode(&f); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				s.t.Fatal(err)
			}
			if f.GetType() != dto.MetricType_HISTOGRAM || !strings.HasPrefix(f.GetName(), "fanout_") {
				continue
			}
			seen++
			if h := f.Metric[0].Histogram; len(h.Bucket) == 0 || h.Schema == nil || h.GetZeroThreshold() == 0 {
				s.t.Errorf("%s: %s is not classic and native", name, f.GetName())
			}
		}
		answer.Body.Close()
		if seen == 0 {
			s.t.Errorf("%s exports no histogram", name)
		}
	}
}

func (s *stage) scrape(url string) []byte {
	s.t.Helper()
	r, err := http.Get(url + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		s.t.Fatal(url, r.Status, err)
	}
	return body
}

// boundedLabels has a client try to make series without end: other paths, names, methods
// and headers, and nonsense on the chunk port.
func boundedLabels(s *stage) {
	for _, d := range []struct{ name, url, chunks string }{
		{"tracker", s.tracker.URL(), ""},
		{"origin", s.origin.URL(), s.origin.ChunkAddress()},
		{"peerd", s.peers[0].URL(), s.peers[0].ChunkAddress()},
	} {
		molest(s, d.url, d.chunks, 0)
		before := fanoutSeries(s.scrape(d.url))
		for i := 1; i <= 50; i++ {
			molest(s, d.url, d.chunks, i)
		}
		after := fanoutSeries(s.scrape(d.url))
		if len(after) > len(before) {
			for name := range before {
				delete(after, name)
			}
			s.t.Errorf("%s: %d series more after 50 odd clients: %v", d.name, len(after), after)
		}
	}
}

func molest(s *stage, url, chunks string, i int) {
	for _, call := range [][2]string{
		{"GET", fmt.Sprintf("/no/such/path-%d", i)},
		{"GET", fmt.Sprintf("/v1/files/file-%d", i)},
		{"GET", fmt.Sprintf("/v1/downloads/%d", i)},
		{"DELETE", fmt.Sprintf("/v1/peers/stranger-%d", i)},
		{fmt.Sprintf("METHOD%d", i), "/v1/files"},
		{"POST", fmt.Sprintf("/v1/files/file-%d/announce", i)},
	} {
		r, err := http.NewRequest(call[0], url+call[1], strings.NewReader("{}"))
		if err != nil {
			s.t.Fatal(err)
		}
		r.Header.Set("User-Agent", fmt.Sprint("agent-", i))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			s.t.Fatal(err)
		}
		answer.Body.Close()
	}
	if chunks == "" {
		return
	}
	c, err := net.Dial("tcp", chunks)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "ERR code-%d nonsense\nHELLO %d\n", i, i)
	io.Copy(io.Discard, c)
}

// fanoutSeries are the names with labels of what we export.
func fanoutSeries(metrics []byte) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(string(metrics)) {
		if strings.HasPrefix(line, "fanout_") {
			all[line[:strings.LastIndexByte(line, ' ')]] = true
		}
	}
	return all
}

package server

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what an origin exports of its own. The files of the label are those that it
// was given, so bounded.
type metrics struct {
	handouts prometheus.Counter
	requests prometheus.Counter
	size     *prometheus.GaugeVec
	sent     *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		handouts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fanout_origin_handouts_total", Help: "Chunks handed out to swarms.",
		}),
		requests: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fanout_origin_requests_total", Help: "Chunks asked for by number.",
		}),
		size: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "fanout_origin_file_size_bytes", Help: "Size of a file that is served.",
		}, []string{"file"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fanout_origin_file_sent_bytes_total", Help: "Payload bytes of whole chunks sent, by file.",
		}, []string{"file"}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.handouts, m.requests, m.size, m.sent} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// of starts counting for a file, whose size it may tell anew.
func (m *metrics) of(file string, size int64) Events {
	m.size.WithLabelValues(file).Set(float64(size))
	return &fileEvents{m, m.sent.WithLabelValues(file)}
}

// fileEvents counts what the sessions about one file do. It implements Events.
type fileEvents struct {
	all  *metrics
	sent prometheus.Counter
}

func (e *fileEvents) HandedOut()      { e.all.handouts.Inc() }
func (e *fileEvents) Requested()      { e.all.requests.Inc() }
func (e *fileEvents) SentBytes(n int) { e.sent.Add(float64(n)) }

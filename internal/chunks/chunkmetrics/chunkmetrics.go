// Package chunkmetrics exports what a chunk server counts, for the origin and peerd alike.
// It must not know either of them.
package chunkmetrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"fanout/internal/chunks/wire"
)

// Metrics implements chunkserver.Observer.
type Metrics struct {
	sent     prometheus.Counter
	sessions prometheus.Gauge
	queue    prometheus.Gauge
	rejected *prometheus.CounterVec
}

// New makes the metrics and registers them.
func New(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fanout_sent_bytes_total", Help: "Payload bytes of chunks sent to peers.",
		}),
		sessions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fanout_sessions", Help: "Open sessions of the chunk protocol.",
		}),
		queue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fanout_upload_queue_chunks", Help: "Chunks waiting for an upload slot.",
		}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fanout_sessions_rejected_total",
			Help: "Sessions refused or closed for the other side's fault, by the protocol's error code.",
		}, []string{"code"}),
	}
	for _, code := range wire.Codes() { // from the start, so that rates begin at 0
		m.rejected.WithLabelValues(code)
	}
	for _, c := range []prometheus.Collector{m.sent, m.sessions, m.queue, m.rejected} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// SentBytes implements chunkserver.Observer.
func (m *Metrics) SentBytes(n int) { m.sent.Add(float64(n)) }

// Sessions implements chunkserver.Observer.
func (m *Metrics) Sessions(delta int) { m.sessions.Add(float64(delta)) }

// Queued implements chunkserver.Observer.
func (m *Metrics) Queued(delta int) { m.queue.Add(float64(delta)) }

// Rejected implements chunkserver.Observer. The codes are this side's own, so bounded.
func (m *Metrics) Rejected(code string) { m.rejected.WithLabelValues(code).Inc() }

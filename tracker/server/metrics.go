package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"fanout/tracker/table"
)

func newAnnounceCounter() *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fanout_tracker_announces_total",
		Help: "Announces that were accepted, by the role of the daemon.",
	}, []string{"role"})
	c.WithLabelValues("origin") // from the start, so that rates begin at 0
	c.WithLabelValues("peer")
	return c
}

var (
	filesDesc = prometheus.NewDesc("fanout_tracker_files", "Files that are listed, superseded ones in use included.", nil, nil)
	peersDesc = prometheus.NewDesc("fanout_tracker_peers", "Peers in swarms, by the state of the download.", []string{"state"}, nil)
	fleetDesc = prometheus.NewDesc("fanout_tracker_registered_peers", "Peers in the fleet, whether they download or not.", nil, nil)
)

// tableCollector counts what the table lists at the time of the scrape.
type tableCollector struct{ table *table.Table }

func (c tableCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- filesDesc
	ch <- peersDesc
	ch <- fleetDesc
}

func (c tableCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(filesDesc, len(c.table.Files()))
	gauge(fleetDesc, len(c.table.Fleet()))
	counts := c.table.PeerCounts()
	for _, s := range table.States() {
		gauge(peersDesc, counts[s], string(s))
	}
}

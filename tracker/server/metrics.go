package server

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fanout/tracker/table"
)

const (
	// maxFileLabels bounds the values of the label `file`, which clients choose: so many
	// files have series of their own, all count in the sums.
	maxFileLabels = 100
	// keepFileLabel is how long a file that is gone keeps its place, so that publishing and
	// withdrawing does not make new series without end.
	keepFileLabel = time.Hour
	// mostPeers bounds the label `peers`.
	mostPeers = 2048
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

// distributionMetrics observes the distributions that end.
type distributionMetrics struct {
	durations, ratios *prometheus.HistogramVec
}

func newDistributionMetrics() *distributionMetrics {
	labels := []string{"strategy", "outcome", "peers"}
	return &distributionMetrics{
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fanout_tracker_distribution_duration_seconds",
			Help: "Time from the start of a distribution until its last peer was complete. " +
				"The label peers is their number, rounded up to a power of two; the outcome is complete if all of them were.",
			Buckets: prometheus.ExponentialBuckets(0.1, 2, 16), NativeHistogramBucketFactor: 1.1,
			NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, labels),
		ratios: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "fanout_tracker_distribution_egress_ratio",
			Help:    "What the origins say that they sent for a distribution, in sizes of the file; labels as of the duration.",
			Buckets: []float64{.5, 1, 1.05, 1.1, 1.25, 1.5, 2, 4, 8, 16, 32, 64}, NativeHistogramBucketFactor: 1.1,
			NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, labels),
	}
}

// observe takes a finished distribution. One whose beginning was missed has no true duration.
func (m *distributionMetrics) observe(d table.Distribution) {
	outcome := "complete"
	if d.Complete < d.Peers {
		outcome = "incomplete"
	}
	labels := []string{string(d.Strategy()), outcome, peersLabel(d.Peers)}
	if d.Complete > 0 && !d.Partial {
		m.durations.WithLabelValues(labels...).Observe(d.Duration.Seconds())
	}
	if d.Size > 0 {
		m.ratios.WithLabelValues(labels...).Observe(d.EgressRatio())
	}
}

var (
	filesDesc    = desc("files", "Files that are listed, superseded ones in use included.")
	peersDesc    = desc("peers", "Peers in swarms, by the state of the download; lost are those whose lease ran out before they had ended.", "state")
	fleetDesc    = desc("registered_peers", "Peers in the fleet, whether they download or not.")
	receivedDesc = desc("received_bytes_total", "Bytes of verified chunks that the peers of all swarms report, by source.", "source")
	sentDesc     = desc("origin_sent_bytes_total", "Payload bytes that the origins of all files report to have sent.")
	handoutsDesc = desc("handouts_total", "Chunks that the peers of all swarms report to have brought from an origin.")
	runningDesc  = desc("distributions_running", "Distributions under way.")

	fileSizeDesc   = desc("file_size_bytes", "Size of a file. Up to 100 files have series of their own.", "file")
	filePeersDesc  = desc("file_peers", "Peers in a file's swarm, by the state of the download.", "file", "state")
	fileBytesDesc  = desc("file_distribution_bytes", "Bytes that the peers of a file's running or last distribution have received in it, by source.", "file", "source")
	fileSentDesc   = desc("file_distribution_origin_sent_bytes", "Bytes that the origins say that they have sent for a file's running or last distribution.", "file")
	fileRatioDesc  = desc("file_distribution_egress_ratio", "What the origins say that they have sent for a file's running or last distribution, in sizes of the file.", "file")
	fileActiveDesc = desc("file_distribution_running", "Whether a distribution of a file is under way: 1 or 0.", "file")
	fileTimeDesc   = desc("file_distribution_duration_seconds", "Time from the start of a file's last finished distribution until its last peer was complete.", "file")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("fanout_tracker_"+name, help, labels, nil)
}

// tableCollector counts what the table knows at the time of the scrape.
type tableCollector struct {
	files         *table.Files
	fleet         *table.Fleet
	distributions *table.Distributions
	labels        *labelPlaces
}

func (c tableCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		filesDesc, peersDesc, fleetDesc, receivedDesc, sentDesc, handoutsDesc, runningDesc,
		fileSizeDesc, filePeersDesc, fileBytesDesc, fileSentDesc, fileRatioDesc, fileActiveDesc, fileTimeDesc,
	} {
		ch <- d
	}
}

func (c tableCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge(filesDesc, float64(len(c.files.List())))
	gauge(fleetDesc, float64(len(c.fleet.List())))
	counts := c.distributions.PeerCounts()
	for _, s := range append(table.States(), table.Lost) {
		gauge(peersDesc, float64(counts[s]), string(s))
	}
	totals := c.distributions.Totals()
	counter(receivedDesc, totals.BytesFromOrigin, "origin")
	counter(receivedDesc, totals.BytesFromPeers, "peer")
	counter(sentDesc, totals.OriginSent)
	counter(handoutsDesc, totals.Handouts)
	running := 0
	for _, f := range c.distributions.CountFiles() {
		if f.Distribution != nil && f.Distribution.Running() {
			running++
		}
		if c.labels.has(f.Name) {
			collectFile(gauge, f)
		}
	}
	gauge(runningDesc, float64(running))
}

func collectFile(gauge func(*prometheus.Desc, float64, ...string), f table.FileCounts) {
	gauge(fileSizeDesc, float64(f.Size), f.Name)
	for _, s := range append(table.States(), table.Lost) {
		gauge(filePeersDesc, float64(f.Peers[s]), f.Name, string(s))
	}
	d := f.Distribution
	if d == nil {
		return
	}
	gauge(fileBytesDesc, float64(d.BytesFromOrigin), f.Name, "origin")
	gauge(fileBytesDesc, float64(d.BytesFromPeers), f.Name, "peer")
	gauge(fileSentDesc, float64(d.OriginSent), f.Name)
	gauge(fileRatioDesc, d.EgressRatio(), f.Name)
	if d.Running() {
		gauge(fileActiveDesc, 1, f.Name)
		return
	}
	gauge(fileActiveDesc, 0, f.Name)
	if d.Complete > 0 && !d.Partial {
		gauge(fileTimeDesc, d.Duration.Seconds(), f.Name)
	}
}

// labelPlaces gives label values to the first that ask, as many as there is room for.
type labelPlaces struct {
	mu    sync.Mutex
	now   func() time.Time
	asked map[string]time.Time // value -> when it was last asked for
}

func newLabelPlaces(now func() time.Time) *labelPlaces {
	return &labelPlaces{now: now, asked: map[string]time.Time{}}
}

func (p *labelPlaces) has(value string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if _, ok := p.asked[value]; !ok && len(p.asked) >= maxFileLabels {
		for v, at := range p.asked {
			if now.Sub(at) >= keepFileLabel {
				delete(p.asked, v)
			}
		}
		if len(p.asked) >= maxFileLabels {
			return false
		}
	}
	p.asked[value] = now
	return true
}

// peersLabel rounds a number of peers up to a power of two.
func peersLabel(n int) string {
	for p := 1; p < mostPeers; p *= 2 {
		if n <= p {
			return strconv.Itoa(p)
		}
	}
	return "more"
}

package node

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fanout/api/peerapi"
	"fanout/peerd/transfer"
)

// maxProgress bounds the downloads whose progress is exported: the newest.
const maxProgress = 32

// metrics is what peerd exports of its own.
type metrics struct {
	transfers  *prometheus.HistogramVec
	ends       *prometheus.CounterVec
	fetches    *prometheus.HistogramVec
	received   *prometheus.CounterVec
	duplicates prometheus.Counter
	failures   prometheus.Counter
}

func newMetrics(r prometheus.Registerer, n *Node) (*metrics, error) {
	m := &metrics{
		transfers: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "fanout_transfer_duration_seconds",
			Help:    "Time for which a download was under way until it ended, pauses and restarts left out.",
			Buckets: prometheus.ExponentialBuckets(0.1, 2, 16),

			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"strategy", "outcome"}),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fanout_transfers_total", Help: "Downloads that ended, by outcome.",
		}, []string{"outcome"}),
		fetches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "fanout_chunk_fetch_duration_seconds",
			Help:    "Time from the first byte of a chunk until it was verified and stored, by its source.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),

			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"source"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fanout_received_bytes_total", Help: "Payload bytes of verified chunks received, by source.",
		}, []string{"source"}),
		duplicates: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fanout_duplicate_bytes_total", Help: "Payload bytes of chunks that were here already.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fanout_chunk_verify_failures_total", Help: "Chunks received whose bytes were wrong.",
		}),
	}
	// What may happen is exported from the start, so that rates begin at 0. A daemon's first
	// transfer is often its only one.
	for _, s := range []peerapi.Strategy{peerapi.StrategyDirect, peerapi.StrategyStatic, peerapi.StrategySwarm} {
		m.transfers.WithLabelValues(string(s), string(peerapi.DownloadStateComplete))
	}
	for _, s := range []peerapi.DownloadState{peerapi.DownloadStateComplete, peerapi.DownloadStateFailed, peerapi.DownloadStateCancelled} {
		m.ends.WithLabelValues(string(s))
	}
	for _, source := range []transfer.Source{transfer.FromOrigin, transfer.FromPeer} {
		m.received.WithLabelValues(string(source))
		m.fetches.WithLabelValues(string(source))
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.transfers, m.ends, m.fetches, m.received, m.duplicates, m.failures, &listCollector{n}} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// ended counts a download that is over.
func (m *metrics) ended(r record) {
	m.ends.WithLabelValues(string(r.State)).Inc()
	m.transfers.WithLabelValues(string(r.Strategy), string(r.State)).Observe(r.Worked.Seconds())
}

// observer counts what arrives for a download. It implements transfer.Observer.
type observer struct{ d *download }

// Landed implements transfer.Observer.
func (o *observer) Landed(from transfer.Source, bytes int, took time.Duration, duplicate bool) {
	m := o.d.node.metrics
	m.received.WithLabelValues(string(from)).Add(float64(bytes))
	if duplicate {
		m.duplicates.Add(float64(bytes))
		return
	}
	m.fetches.WithLabelValues(string(from)).Observe(took.Seconds())
}

// VerifyFailed implements transfer.Observer.
func (o *observer) VerifyFailed(peer string, chunk int) {
	o.d.node.metrics.failures.Inc()
	o.d.node.cfg.Logger.Warn().Str("download", o.d.status.rec.ID).Str("peer", peer).Int("chunk", chunk).Msg("chunk rejected, peer dropped")
}

// listCollector exports the list of downloads as it is at the time of the scrape.
type listCollector struct{ n *Node }

var (
	progressDesc = prometheus.NewDesc("fanout_download_progress_ratio", "Verified part of a download, of the newest ones.", []string{"file", "download"}, nil)
	statesDesc   = prometheus.NewDesc("fanout_downloads", "Downloads on the list, by state.", []string{"state"}, nil)
	stalledDesc  = prometheus.NewDesc("fanout_downloads_stalled", "Downloads under way to which nothing has come for some seconds.", nil, nil)
	diskDesc     = prometheus.NewDesc("fanout_data_dir_size_bytes", "Size of the file system of the data directory.", nil, nil)
	roomDesc     = prometheus.NewDesc("fanout_data_dir_free_bytes", "Room in the file system of the data directory.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *listCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- progressDesc
	ch <- statesDesc
	ch <- stalledDesc
	ch <- diskDesc
	ch <- roomDesc
}

// Collect implements prometheus.Collector.
func (c *listCollector) Collect(ch chan<- prometheus.Metric) {
	states := map[peerapi.DownloadState]int{
		peerapi.DownloadStateQueued: 0, peerapi.DownloadStateDownloading: 0, peerapi.DownloadStatePaused: 0,
		peerapi.DownloadStateComplete: 0, peerapi.DownloadStateFailed: 0, peerapi.DownloadStateCancelled: 0,
	}
	stalled := 0
	all := c.n.downloads.all()
	for i, d := range all {
		v := d.view()
		states[v.State]++
		if v.State == peerapi.DownloadStateDownloading && v.Error != nil {
			stalled++
		}
		if i < len(all)-maxProgress {
			continue
		}
		ratio := 1.0
		if v.ChunksTotal > 0 {
			ratio = float64(v.ChunksDone) / float64(v.ChunksTotal)
		}
		ch <- prometheus.MustNewConstMetric(progressDesc, prometheus.GaugeValue, ratio, v.File, v.Id)
	}
	for s, n := range states {
		ch <- prometheus.MustNewConstMetric(statesDesc, prometheus.GaugeValue, float64(n), string(s))
	}
	ch <- prometheus.MustNewConstMetric(stalledDesc, prometheus.GaugeValue, float64(stalled))
	if size, free, err := disk(c.n.cfg.DataDir); err == nil { // else there is nothing to tell
		ch <- prometheus.MustNewConstMetric(diskDesc, prometheus.GaugeValue, size)
		ch <- prometheus.MustNewConstMetric(roomDesc, prometheus.GaugeValue, free)
	}
}

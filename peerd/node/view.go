package node

import (
	"path/filepath"

	"fanout/api/peerapi"
)

// view is the download as the control interface shows it.
func (d *download) view() peerapi.Download {
	p := d.progress.Snapshot()
	d.mu.Lock()
	defer d.mu.Unlock()
	v := peerapi.Download{
		Id: d.rec.ID, File: d.rec.File, ManifestId: d.id.String(), Strategy: d.rec.Strategy, State: d.rec.State,
		Size: d.manifest.Size, ChunkSize: d.manifest.ChunkSize, ChunksTotal: d.manifest.Chunks(),
		ChunksDone: d.rec.ChunksDone, BytesDone: d.rec.BytesDone,
		BytesFromOrigin: p.FromOrigin, BytesFromPeers: p.FromPeers,
		StartedAt: d.rec.Started, Path: filepath.Join(d.node.cfg.DataDir, d.rec.Output),
	}
	if d.store != nil {
		v.ChunksDone, v.BytesDone = d.store.Count(), d.store.Bytes()
	}
	if d.rec.State == peerapi.DownloadStateDownloading {
		v.RateBytesPerSecond = p.Rate
		if p.Rate >= 1 {
			eta := float64(v.Size-v.BytesDone) / p.Rate
			v.EtaSeconds = &eta
		}
	}
	trouble := d.rec.Error
	if trouble == "" && (v.State == peerapi.DownloadStateDownloading || v.State == peerapi.DownloadStateQueued) {
		trouble = p.Trouble
	}
	if trouble != "" {
		v.Error = &trouble
	}
	if !d.rec.Finished.IsZero() {
		finished, took := d.rec.Finished, d.worked.total(d.rec.Finished).Seconds()
		v.FinishedAt, v.DurationSeconds = &finished, &took
	}
	return v
}

// over says that a state is one that a download stays in by itself.
func over(s peerapi.DownloadState) bool {
	switch s {
	case peerapi.DownloadStateComplete, peerapi.DownloadStateFailed, peerapi.DownloadStateCancelled:
		return true
	}
	return false
}

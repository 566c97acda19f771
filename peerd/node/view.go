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
	s := &d.status
	v := peerapi.Download{
		Id: s.rec.ID, File: s.rec.File, ManifestId: d.id.String(), Strategy: s.rec.Strategy, State: s.rec.State,
		Size: d.manifest.Size, ChunkSize: d.manifest.ChunkSize, ChunksTotal: d.manifest.Chunks(),
		ChunksDone: s.rec.ChunksDone, BytesDone: s.rec.BytesDone,
		BytesFromOrigin: p.FromOrigin, BytesFromPeers: p.FromPeers,
		StartedAt: s.rec.Started, Path: filepath.Join(d.node.cfg.DataDir, s.rec.Output),
	}
	if s.store != nil {
		v.ChunksDone, v.BytesDone = s.store.Count(), s.store.Bytes()
	}
	if s.rec.State == peerapi.DownloadStateDownloading {
		v.RateBytesPerSecond = p.Rate
		if p.Rate >= 1 {
			eta := float64(v.Size-v.BytesDone) / p.Rate
			v.EtaSeconds = &eta
		}
	}
	trouble := s.rec.Error
	if trouble == "" && (v.State == peerapi.DownloadStateDownloading || v.State == peerapi.DownloadStateQueued) {
		trouble = p.Trouble
	}
	if trouble != "" {
		v.Error = &trouble
	}
	if !s.rec.Finished.IsZero() {
		finished, took := s.rec.Finished, s.worked.total(s.rec.Finished).Seconds()
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

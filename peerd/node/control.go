package node

import (
	"net/http"

	"fanout/api/peerapi"
	"fanout/internal/daemon/httpkit"
)

// pause stops a download that is under way.
func (d *download) pause() error {
	d.control.Lock()
	defer d.control.Unlock()
	if d.forgotten {
		return unknown(d.status.rec.ID)
	}
	d.mu.Lock()
	s := d.status.rec.State
	switch s {
	case peerapi.DownloadStatePaused:
	case peerapi.DownloadStateQueued, peerapi.DownloadStateDownloading:
		d.status.set(peerapi.DownloadStatePaused, nil)
	default:
		d.mu.Unlock()
		return httpkit.Errorf(http.StatusConflict, "download %s is %s: only one that is under way can be paused", d.status.rec.ID, s)
	}
	d.mu.Unlock()
	d.halt()
	return nil
}

// resume goes on with a download that was paused or has failed.
func (d *download) resume() error {
	d.control.Lock()
	defer d.control.Unlock()
	if d.forgotten {
		return unknown(d.status.rec.ID)
	}
	switch d.record().State {
	case peerapi.DownloadStateQueued, peerapi.DownloadStateDownloading, peerapi.DownloadStateComplete:
		return nil
	case peerapi.DownloadStateCancelled:
		return httpkit.Errorf(http.StatusConflict, "download %s was cancelled: start it again with POST /v1/downloads", d.status.rec.ID)
	}
	d.halt() // it has ended or is about to
	l := d.node.downloads
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.claim(d.record().Output, d); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.mend = true
	d.status.set(peerapi.DownloadStateQueued, nil)
	d.launch()
	return nil
}

// removeIf cancels a download that is under way, and forgets one that has ended, where it is
// as may says; why is nil for somebody's wish.
func (d *download) removeIf(may func(*record) bool, why error) {
	d.control.Lock()
	defer d.control.Unlock()
	d.mu.Lock()
	if d.forgotten || !may(&d.status.rec) {
		d.mu.Unlock()
		return
	}
	s := d.status.rec.State
	if active(s) {
		d.status.set(peerapi.DownloadStateCancelled, why)
	}
	d.mu.Unlock()
	d.halt()
	d.mu.Lock()
	if active(s) || s == peerapi.DownloadStateFailed {
		d.status.discard(d.id)
	}
	d.status.close()
	d.mu.Unlock()
	if !active(s) {
		d.forget()
		d.progress.Wake()
	}
}

// forget takes the download off the list; d.control is held.
func (d *download) forget() {
	d.forgotten = true
	d.mu.Lock()
	d.status.gone = true
	d.mu.Unlock()
	if err := d.node.downloads.remove(d); err != nil {
		d.node.cfg.Logger.Error().Err(err).Msg("download record not removed")
	}
}

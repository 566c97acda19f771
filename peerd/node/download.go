package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"

	"fanout/api/peerapi"
	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
	"fanout/peerd/transfer"
)

// download is one download, from the request to its removal: it says when there is work to do,
// and when that ends.
type download struct {
	node      *Node
	manifest  *manifest.Manifest
	id        manifest.ID
	progress  *transfer.Progress
	announcer *announcer

	// control is held by whoever starts, stops or removes the download, from the decision
	// until it has happened; taken before mu. The work under way does without.
	control   sync.Mutex
	forgotten bool // it is off the list; guarded by control

	mu     sync.Mutex
	status status
	work   *work // the last; none before the first

	stamp      chunkstore.Stamp // of the finished file, when it was last known to be right
	anew       bool             // begun while it was not on the list: a file that it had before is fetched again
	adopted    bool             // the file that is there, somebody else has put there
	superseded bool             // another download's file has taken the place of this one's
}

func newDownload(n *Node, rec record, m *manifest.Manifest) *download {
	progress := transfer.NewProgress(m.Chunks())
	progress.Restore(rec.FromOrigin, rec.FromPeers)
	d := &download{
		node: n, manifest: m, id: m.ID(), progress: progress, work: &work{},
		status: status{
			node: n, progress: progress, rec: rec, mend: true,
			worked: worktime{state: rec.State, before: rec.workedBefore()},
		},
	}
	d.announcer = &announcer{d}
	d.status.track()
	return d
}

// record is a copy of the record as it is now.
func (d *download) record() record {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status.rec
}

// target is what sessions of this download are about; nil while it does not run.
func (d *download) target() *chunkserver.Target {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.work.run == nil {
		return nil
	}
	return d.work.run.Target()
}

// restore goes on where the last run of the daemon stopped.
func (d *download) restore() {
	d.mu.Lock()
	d.status.convert(d.manifest, d.id)
	output := d.status.rec.Output
	d.mu.Unlock()
	l := d.node.downloads
	l.mu.Lock()
	taken := l.claim(output, d)
	l.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &d.status
	s.mend = taken == nil // else the file that is there is about to be replaced
	switch s.rec.State {
	case peerapi.DownloadStateQueued, peerapi.DownloadStateDownloading:
		s.rec.State = peerapi.DownloadStateQueued
		d.launch()
	case peerapi.DownloadStateComplete:
		last, _ := d.node.outputs.ledger.find(s.rec.Output)
		d.stamp = last.Stamp
		_, _, unseen := d.node.outputs.dir.Look(s.rec.Output)
		doubtful, err := d.node.outputs.compare(s.rec.Output, d.stamp)
		if unseen == nil && (d.stamp == chunkstore.Stamp{} || doubtful || errors.Is(err, errChanged)) {
			s.question()
		}
		d.launch()
	case peerapi.DownloadStateFailed:
		last, finished := d.node.outputs.ledger.find(s.rec.Output)
		switch {
		case s.rec.Moved && finished && last.Manifest == d.id:
			s.question()
			d.launch()
		case s.rec.Moved, s.rec.Changed && s.mend:
			s.begin()
			d.launch()
		}
	}
}

// launch begins the work; d.mu is held.
func (d *download) launch() {
	ctx, stop := context.WithCancel(d.node.ctx)
	w := &work{download: d, stop: stop, ended: make(chan struct{})}
	d.work = w
	d.status.track()
	d.node.wg.Go(func() { w.saveNowAndThen(ctx) })
	d.node.wg.Go(func() { w.do(ctx) })
}

// halt ends the work and waits until it has. It must not hold d.mu.
func (d *download) halt() {
	d.mu.Lock()
	w := d.work
	d.mu.Unlock()
	if w.ended != nil {
		w.stop()
		<-w.ended
	}
}

// failed ends a download that was under way, or complete; its part is kept. d.mu is held.
func (d *download) failed(err error) {
	if s := d.status.rec.State; active(s) || s == peerapi.DownloadStateComplete {
		if errors.Is(err, syscall.ENOSPC) {
			err = fmt.Errorf("%w: make room in %s and resume", err, filepath.Dir(d.node.outputs.name(d.status.rec.Output)))
		}
		d.status.set(peerapi.DownloadStateFailed, err)
		if d.work.stop != nil {
			d.work.stop()
		}
	}
}

func (d *download) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.rest()
	d.status.close()
}

// again answers a request for a file that there is a download of: it is the one, unless it
// has ended without the file, or the file has been removed or changed since; then it starts
// again. A request that names no output means the one there is.
func (d *download) again(rec record, anyOutput bool) error {
	d.look()
	d.control.Lock()
	defer d.control.Unlock()
	if d.forgotten {
		return errForgotten
	}
	d.mu.Lock()
	if anyOutput {
		rec.Output = d.status.rec.Output
	}
	was := d.status.rec.State
	if d.status.rec.Doubted { // it was complete; what is wrong is to be fetched
		d.status.mend = true
	}
	if active(was) || was == peerapi.DownloadStateComplete {
		defer d.mu.Unlock()
		return d.status.sameAs(rec)
	}
	d.mu.Unlock()
	if err := d.node.outputs.checkFree(rec.Output, d.manifest.Size); err != nil {
		return err
	}
	d.halt()
	l := d.node.downloads
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.claim(rec.Output, d); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if rec.Output != d.status.rec.Output && was == peerapi.DownloadStateFailed {
		d.status.discard(d.id)
	}
	r := &d.status.rec
	r.Strategy, r.Output, r.SHA256, r.Started = rec.Strategy, rec.Output, rec.SHA256, rec.Started
	d.status.mend = true
	d.status.begin()
	d.launch()
	return nil
}

// errForgotten is returned for a download that has been taken off the list meanwhile.
var errForgotten = errors.New("download forgotten")

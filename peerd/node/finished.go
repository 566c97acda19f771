package node

import (
	"context"
	"time"

	"fanout/api/peerapi"
)

// lookEvery is the pause between two looks at the finished files.
const lookEvery = 2 * time.Second

// watch looks at the finished files until ctx ends: a file that somebody has removed is
// neither called complete nor kept open, and one that was changed is not served.
func (n *Node) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, d := range n.downloads.all() {
				d.look()
			}
		}
	}
}

// look compares a complete download's file with what was finished. Where it is gone or
// cannot be right, the download fails; where it may be right, it is hashed again.
func (d *download) look() {
	o := d.node.outputs
	o.placing.Lock()
	defer o.placing.Unlock()
	d.mu.Lock()
	complete, output, want := d.status.rec.State == peerapi.DownloadStateComplete && !d.superseded, d.status.rec.Output, d.stamp
	d.mu.Unlock()
	if !complete {
		return
	}
	doubtful, err := o.compare(output, want)
	switch {
	case doubtful:
		d.doubt()
	case err != nil:
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.status.rec.State != peerapi.DownloadStateComplete {
			return // it was asked for again meanwhile, and this is mended
		}
		running := d.work.run != nil // which says it at its end
		d.failed(err)
		if !running {
			d.announcer.tell()
		}
	}
}

// doubt hashes a complete download's file again, before anything more is said of it or sent;
// false for a download that is not complete.
func (d *download) doubt() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status.rec.State != peerapi.DownloadStateComplete {
		return false
	}
	d.status.question()
	d.status.mend = false
	d.node.wg.Go(func() {
		d.control.Lock()
		defer d.control.Unlock()
		d.halt()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.status.rec.State == peerapi.DownloadStateQueued && !d.forgotten && d.node.ctx.Err() == nil {
			d.launch()
		}
	})
	return true
}

package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/chunks/chunkstore"
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
			for _, d := range n.all() {
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
	complete, output, want := d.rec.State == peerapi.DownloadStateComplete && !d.superseded, d.rec.Output, d.stamp
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
		if d.rec.State != peerapi.DownloadStateComplete {
			return // it was asked for again meanwhile, and this is mended
		}
		running := d.run != nil // which says it at its end
		d.failed(err)
		if !running {
			d.tell()
		}
	}
}

// doubt hashes a complete download's file again, before anything more is said of it or sent;
// false for a download that is not complete.
func (d *download) doubt() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rec.State != peerapi.DownloadStateComplete {
		return false
	}
	d.question()
	d.mend = false
	d.node.wg.Go(func() {
		d.control.Lock()
		defer d.control.Unlock()
		d.halt()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.rec.State == peerapi.DownloadStateQueued && !d.forgotten && d.node.ctx.Err() == nil {
			d.launch()
		}
	})
	return true
}

// openFinished opens the file that stands at the output, if it is what is wanted; else the
// result is nil. Of one that fanout finished, chunks may be missing if d.mend is set: those
// are fetched again into a part that replaces it.
func (d *download) openFinished(ctx context.Context, rec record, anew bool) (*chunkstore.Store, error) {
	o := d.node.outputs
	f, err := o.find(ctx, rec.Output, d.manifest, d.id, anew)
	d.mu.Lock()
	d.adopted = f.adopted
	d.mu.Unlock()
	switch {
	case err == nil && f.Store == nil && (rec.State == peerapi.DownloadStateComplete || rec.Doubted):
		return nil, o.removed(rec.Output)
	case err != nil || f.Store == nil:
		return nil, err
	}
	d.logHashed(rec, f.Count(), d.manifest.Chunks()-f.Count())
	if f.Whole() {
		return f.Store, nil
	}
	if err := d.mayMend(rec, f.Count()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Store, nil
}

// mayMend says why a finished file that holds only some chunks must stay as it is.
func (d *download) mayMend(rec record, held int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.mend {
		chunks := d.manifest.Chunks()
		have := "have"
		if chunks-held == 1 {
			have = "has"
		}
		return fmt.Errorf("%s %w: %d of its %d chunks %s other bytes; %s",
			d.node.outputs.name(rec.Output), errChanged, chunks-held, chunks, have, remedy)
	}
	if d.rec.State == peerapi.DownloadStateComplete {
		d.begin()
	}
	return nil
}

// settle gives the complete file its name.
func (d *download) settle(store *chunkstore.Store) error {
	o := d.node.outputs
	o.placing.Lock()
	defer o.placing.Unlock()
	d.mu.Lock()
	output, adopted := d.rec.Output, d.adopted
	d.mu.Unlock()
	stamp, err := o.settle(store, output)
	if err != nil {
		return err
	}
	if err := o.ledger.note(finished{Output: output, Manifest: d.id, Stamp: stamp, Adopted: adopted}); err != nil { // it is hashed at the next start, then
		d.node.cfg.Logger.Error().Err(err).Str("output", output).Msg("finished file not noted")
	}
	d.mu.Lock()
	d.stamp = stamp
	d.mu.Unlock()
	for _, r := range d.node.rivals(d) {
		r.mu.Lock()
		r.superseded = true // before anybody looks whether its file is still there
		r.mu.Unlock()
	}
	return nil
}

// rivals are the downloads whose file has just been replaced by that of another.
func (n *Node) rivals(by *download) (rivals []*download) {
	output := by.output()
	for _, o := range n.all() {
		o.mu.Lock()
		if o != by && o.rec.Output == output && o.rec.finished() {
			rivals = append(rivals, o)
		}
		o.mu.Unlock()
	}
	return rivals
}

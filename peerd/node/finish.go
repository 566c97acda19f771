package node

import (
	"context"
	"errors"

	"fanout/api/peerapi"
	"fanout/internal/chunks/chunkstore"
)

// finish gives the complete file its name, unless it has it already. The error is
// chunkstore.ErrDamaged; others end the download.
func (w *work) finish(ctx context.Context, store *chunkstore.Store) error {
	d := w.download
	d.mu.Lock()
	done, want := d.status.rec.State == peerapi.DownloadStateComplete, d.status.rec.SHA256
	d.mu.Unlock()
	if done {
		return nil
	}
	err := store.Finish(ctx, want)
	if err == nil {
		err = w.settle(store)
	}
	if err != nil {
		switch {
		case ctx.Err() != nil: // paused, cancelled or stopped: a resume finishes again
		case errors.Is(err, chunkstore.ErrDamaged):
			return err
		default:
			w.fail(err)
		}
		return nil
	}
	w.supersede()
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.status.rec.State; s == peerapi.DownloadStateDownloading || s == peerapi.DownloadStateQueued {
		d.status.set(peerapi.DownloadStateComplete, nil)
		if w.run != nil {
			w.run.AnnounceSoon() // the distribution's time ends with this
		}
	}
	return nil
}

// settle gives the complete file its name.
func (w *work) settle(store *chunkstore.Store) error {
	d := w.download
	o := d.node.outputs
	o.placing.Lock()
	defer o.placing.Unlock()
	d.mu.Lock()
	output, adopted := d.status.rec.Output, d.adopted
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
	for _, r := range d.node.downloads.rivals(d) {
		r.mu.Lock()
		r.superseded = true // before anybody looks whether its file is still there
		r.mu.Unlock()
	}
	return nil
}

// supersede forgets older downloads whose file has just been replaced.
func (w *work) supersede() {
	for _, o := range w.download.node.downloads.rivals(w.download) {
		o.control.Lock()
		o.halt()
		o.forget()
		o.control.Unlock()
	}
}

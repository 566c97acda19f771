package node

import (
	"context"
	"errors"
	"fmt"

	"fanout/api/peerapi"
	"fanout/internal/chunks/chunkstore"
)

// open opens what is here of the file, in the order of openStore. What is claimed is hashed
// again.
func (w *work) open(ctx context.Context) error {
	d := w.download
	d.mu.Lock()
	store, rec, anew := d.status.store, d.status.rec, d.anew
	d.mu.Unlock()
	if store != nil && store.Intact() == nil { // paused, not closed
		return nil
	}
	w.drop()
	store, err := w.openStore(ctx, rec, anew)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.status.store, d.status.rec.Doubted, d.anew = store, false, false
	d.mu.Unlock()
	d.progress.Wake() // who reads the content has waited for this
	return nil
}

// openStore opens the file that stands at the output, if it is whole; or else the part that
// was begun, or a new one, with what is right in a damaged file of fanout's own.
func (w *work) openStore(ctx context.Context, rec record, anew bool) (*chunkstore.Store, error) {
	d := w.download
	o := d.node.outputs
	if err := o.moved(); err != nil {
		return nil, err
	}
	begun := o.dir.Begun(rec.Output, d.id)
	if begun && rec.State != peerapi.DownloadStateComplete && !o.made(rec.Output, d.id) {
		return w.openPart(ctx, rec, nil)
	}
	there, err := w.openFinished(ctx, rec, anew)
	switch {
	case err != nil:
		return nil, err
	case there == nil:
		return w.openPart(ctx, rec, nil)
	case there.Whole():
		if begun { // to mend what somebody else has mended
			err = o.dir.Discard(rec.Output, d.id)
		}
		return there, err
	}
	defer there.Close() // it was only read
	return w.openPart(ctx, rec, there)
}

// openPart opens the part, and fills it from a damaged file unless that is nil.
func (w *work) openPart(ctx context.Context, rec record, damaged *chunkstore.Store) (*chunkstore.Store, error) {
	d := w.download
	d.mu.Lock()
	d.status.was = nil
	d.mu.Unlock()
	store, err := d.node.outputs.dir.Open(rec.Output, d.manifest, d.id)
	if err != nil {
		return nil, err
	}
	kept, dropped, err := store.Rehash(ctx, nil)
	if err == nil && damaged != nil {
		err = store.Fill(ctx, damaged)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	w.logHashed(rec, kept, dropped)
	return store, nil
}

func (w *work) logHashed(rec record, kept, dropped int) {
	if kept+dropped > 0 {
		w.download.node.cfg.Logger.Info().Str("download", rec.ID).Str("file", rec.File).Int("kept", kept).
			Int("dropped", dropped).Msg("chunks on disk hashed again")
	}
}

// openFinished opens the file that stands at the output, if it is what is wanted; else the
// result is nil. Of one that fanout finished, chunks may be missing if they may be mended: those are
// fetched again into a part that replaces it.
func (w *work) openFinished(ctx context.Context, rec record, anew bool) (*chunkstore.Store, error) {
	d := w.download
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
	w.logHashed(rec, f.Count(), d.manifest.Chunks()-f.Count())
	if f.Whole() {
		return f.Store, nil
	}
	if err := w.mayMend(rec, f.Count()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Store, nil
}

// mayMend says why a finished file that holds only some chunks must stay as it is.
func (w *work) mayMend(rec record, held int) error {
	d := w.download
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.status.mend {
		chunks := d.manifest.Chunks()
		have := "have"
		if chunks-held == 1 {
			have = "has"
		}
		return fmt.Errorf("%s %w: %d of its %d chunks %s other bytes; %s",
			d.node.outputs.name(rec.Output), errChanged, chunks-held, chunks, have, remedy)
	}
	if d.status.rec.State == peerapi.DownloadStateComplete {
		d.status.begin()
	}
	return nil
}

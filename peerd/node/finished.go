package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/chunkstore"
)

// lookEvery is the pause between two looks at the finished files.
const lookEvery = 2 * time.Second

// errChanged is why a download that was complete has failed: its file was written to. It is
// mended when the download is started again, or peerd is.
var errChanged = errors.New("was changed after it was complete")

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
	n := d.node
	n.placing.Lock() // while a file gets its name, it is neither what it was nor what it will be
	defer n.placing.Unlock()
	output := d.output()
	stamp, regular, err := n.dir.Look(output)
	d.mu.Lock()
	complete, want := d.rec.State == peerapi.DownloadStateComplete && !d.superseded, d.stamp
	d.mu.Unlock()
	switch {
	case !complete || err == nil && stamp == want:
	case errors.Is(err, fs.ErrNotExist):
		d.give(d.removed(output))
	case err != nil:
		d.give(fmt.Errorf("%s cannot be looked at: %w", d.place(output), err))
	case !regular:
		d.give(d.inTheWay(output))
	case stamp.Size != want.Size && stamp.SameFile(want):
		d.give(fmt.Errorf("%s %w: it has %d bytes, not %d; %s", d.place(output), errChanged, stamp.Size, want.Size, remedy))
	case stamp.Size != want.Size:
		d.give(d.inTheWay(output))
	default:
		d.doubt()
	}
}

// remedy is what mends a file that was changed.
const remedy = "start the download again to fetch what is wrong"

// place is an output as people know it.
func (d *download) place(output string) string { return filepath.Join(d.node.cfg.DataDir, output) }

func (d *download) removed(output string) error {
	return fmt.Errorf("%s was removed: start the download again to have it again", d.place(output))
}

func (d *download) inTheWay(output string) error {
	return fmt.Errorf("%s is in the way: fanout did not put it there, and does not replace it; move it away or delete it, and start the download again", d.place(output))
}

// give fails a download that was complete, and says so to the tracker.
func (d *download) give(err error) {
	d.mu.Lock()
	running := d.run != nil // which says it at its end
	d.mu.Unlock()
	d.fail(err)
	if !running {
		d.tell()
	}
}

// doubt hashes a complete download's file again, before anything more is said of it or sent.
func (d *download) doubt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rec.State != peerapi.DownloadStateComplete {
		return
	}
	d.begin()
	d.doubted, d.mend = true, false
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
}

// openFinished opens the file that stands at the output, if it can be what is wanted, and
// hashes it. nil means that the download has to begin a part: nothing is there, or what the
// end of the download may replace. Chunks that are wrong in a file that fanout finished are
// given up, to be fetched again, if d.mend is set; then the file is a part once more.
func (d *download) openFinished(ctx context.Context, rec record, anew bool) (*chunkstore.Store, error) {
	n := d.node
	stamp, regular, err := n.dir.Look(rec.Output)
	if errors.Is(err, fs.ErrNotExist) {
		if rec.State == peerapi.DownloadStateComplete {
			return nil, d.removed(rec.Output)
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", d.place(rec.Output), err)
	}
	last, known := n.ledger.find(rec.Output)
	ours := known && last.Stamp.SameFile(stamp)
	switch {
	case ours && (last.Manifest != d.id || anew): // it stays until this one is whole
		return nil, nil
	case !ours && (!regular || stamp.Size != d.manifest.Size):
		return nil, d.refuse(rec.Output)
	}
	store, err := n.dir.OpenComplete(rec.Output, d.manifest, d.id)
	if err != nil {
		return nil, err
	}
	if err := d.rehash(ctx, store, rec); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if store.Whole() {
		return store, nil
	}
	if !ours {
		return nil, errors.Join(d.refuse(rec.Output), store.Close())
	}
	if err := d.mayMend(rec, store.Count()); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if err := store.Reopen(); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// mayMend says why a finished file that holds only some chunks must stay as it is.
func (d *download) mayMend(rec record, held int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.mend {
		chunks := d.manifest.Chunks()
		return fmt.Errorf("%s %w: %d of its %d chunks have other bytes; %s",
			d.place(rec.Output), errChanged, chunks-held, chunks, remedy)
	}
	if d.rec.State == peerapi.DownloadStateComplete {
		d.begin()
	}
	return nil
}

// refuse is why a file that fanout did not finish stops a download; nil where it may be
// replaced.
func (d *download) refuse(output string) error {
	if d.node.cfg.Replace {
		return nil
	}
	return d.inTheWay(output)
}

// settle gives a complete file its name, and remembers it.
func (d *download) settle(store *chunkstore.Store) error {
	n, output := d.node, d.output()
	n.placing.Lock()
	defer n.placing.Unlock()
	err := store.Place(func(there chunkstore.Stamp) bool { return n.mayReplace(output, there) })
	if errors.Is(err, chunkstore.ErrInTheWay) {
		return d.inTheWay(output)
	}
	if err != nil {
		return err
	}
	stamp, err := store.Stamp()
	if err != nil {
		return err
	}
	if now, _, err := n.dir.Look(output); err != nil || now != stamp {
		return errors.Join(fmt.Errorf("%s was replaced meanwhile: start the download again", d.place(output)), err)
	}
	d.remember(output, stamp)
	for _, o := range n.rivals(d) {
		o.mu.Lock()
		o.superseded = true // before anybody looks whether its file is still there
		o.mu.Unlock()
	}
	return nil
}

// remember notes what a file looked like when it was known to be right.
func (d *download) remember(output string, stamp chunkstore.Stamp) {
	d.mu.Lock()
	d.stamp = stamp
	d.mu.Unlock()
	if err := d.node.ledger.note(finished{Output: output, Manifest: d.id, Stamp: stamp}); err != nil {
		d.node.cfg.Logger.Error().Err(err).Str("output", output).Msg("finished file not noted")
	}
}

// mayReplace says whether what stands at an output was finished there by fanout.
func (n *Node) mayReplace(output string, there chunkstore.Stamp) bool {
	last, known := n.ledger.find(output)
	return n.cfg.Replace || known && last.Stamp.SameFile(there)
}

// rivals are the downloads whose file has just been replaced by that of another.
func (n *Node) rivals(by *download) (rivals []*download) {
	for _, o := range n.all() {
		if o == by || o.output() != by.output() {
			continue
		}
		o.mu.Lock()
		if o.doubted || o.rec.State == peerapi.DownloadStateComplete {
			rivals = append(rivals, o)
		}
		o.mu.Unlock()
	}
	return rivals
}

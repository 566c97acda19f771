package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/httpkit"
	"fanout/peerd/swarm"
	"fanout/peerd/transfer"
)

// download is one download with its state, from the request to its removal.
type download struct {
	node     *Node
	manifest *manifest.Manifest
	id       manifest.ID
	progress *transfer.Progress

	// control is held by whoever starts, stops or removes the download, from the decision
	// until it has happened; taken before mu. The work under way does without.
	control   sync.Mutex
	forgotten bool // it is off the list; guarded by control

	mu     sync.Mutex
	rec    record // ID, File and Manifest are never written again
	worked worktime
	store  *chunkstore.Store
	run    *transfer.Download
	stop   context.CancelFunc // of the work under way
	ended  chan struct{}      // closed when it has ended; nil before the first

	was        *ending          // before its file was questioned, until something is fetched
	stamp      chunkstore.Stamp // of the finished file, when it was last known to be right
	mend       bool             // what is found wrong in it may be fetched again
	anew       bool             // begun while it was not on the list: a file that it had before is fetched again
	adopted    bool             // the file that is there, somebody else has put there
	superseded bool             // another download's file has taken the place of this one's
	gone       bool             // it is off the list
}

func newDownload(n *Node, rec record, m *manifest.Manifest) *download {
	d := &download{node: n, manifest: m, id: m.ID(), rec: rec, mend: true, progress: transfer.NewProgress(m.Chunks())}
	d.progress.Restore(rec.FromOrigin, rec.FromPeers)
	d.worked = worktime{state: rec.State, before: rec.workedBefore()}
	d.track()
	return d
}

func (d *download) state() peerapi.DownloadState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rec.State
}

func (d *download) output() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rec.Output
}

// target is what sessions of this download are about; nil while it does not run.
func (d *download) target() *chunkserver.Target {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run == nil {
		return nil
	}
	return d.run.Target()
}

// restore goes on where the last run of the daemon stopped.
func (d *download) restore() {
	d.convert()
	d.node.mu.Lock()
	taken := d.node.claim(d.output(), d)
	d.node.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mend = taken == nil // else the file that is there is about to be replaced
	switch d.rec.State {
	case peerapi.DownloadStateQueued, peerapi.DownloadStateDownloading:
		d.rec.State = peerapi.DownloadStateQueued
		d.launch()
	case peerapi.DownloadStateComplete:
		last, _ := d.node.outputs.ledger.find(d.rec.Output)
		d.stamp = last.Stamp
		_, _, unseen := d.node.outputs.dir.Look(d.rec.Output)
		doubtful, err := d.node.outputs.compare(d.rec.Output, d.stamp)
		if unseen == nil && (d.stamp == chunkstore.Stamp{} || doubtful || errors.Is(err, errChanged)) {
			d.question()
		}
		d.launch()
	case peerapi.DownloadStateFailed:
		last, finished := d.node.outputs.ledger.find(d.rec.Output)
		switch {
		case d.rec.Moved && finished && last.Manifest == d.id:
			d.question()
			d.launch()
		case d.rec.Moved, d.rec.Changed && d.mend:
			d.begin()
			d.launch()
		}
	}
}

// convert takes over what an earlier version has left.
func (d *download) convert() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rec.Format == format {
		return
	}
	d.rec.Format = format
	complete := d.rec.State == peerapi.DownloadStateComplete
	if err := d.node.outputs.convert(d.rec.Output, complete, d.manifest, d.id); err != nil {
		d.node.cfg.Logger.Error().Err(err).Str("download", d.rec.ID).Msg("part of an earlier version not taken over")
	}
	d.save() // it is not done again: what is there at the next start may be somebody else's
}

// begin makes a download that has ended one that has not; d.mu is held.
func (d *download) begin() {
	d.rec.ChunksDone, d.rec.BytesDone = 0, 0
	d.progress.Restore(0, 0)
	d.worked = worktime{}
	d.setState(peerapi.DownloadStateQueued, nil)
}

// question makes a complete download one that is not called so before its file has been hashed;
// d.mu is held.
func (d *download) question() {
	p := d.progress.Snapshot()
	was := &ending{at: d.rec.Finished, worked: d.worked, fromOrigin: p.FromOrigin, fromPeers: p.FromPeers}
	d.begin()
	d.was = was
	d.rec.Doubted = true
	d.save()
}

// ending is how a download was once complete.
type ending struct {
	at                    time.Time
	worked                worktime
	fromOrigin, fromPeers int64
}

// launch begins the work; d.mu is held.
func (d *download) launch() {
	ctx, stop := context.WithCancel(d.node.ctx)
	ended := make(chan struct{})
	d.stop, d.ended = stop, ended
	d.track()
	d.node.wg.Go(func() { d.saveNowAndThen(ctx) })
	d.node.wg.Go(func() {
		defer close(ended)
		defer stop()
		err := d.work(ctx)
		for errors.Is(err, chunkstore.ErrDamaged) && ctx.Err() == nil {
			d.drop() // and what is left is hashed
			err = d.work(ctx)
		}
		if err != nil && ctx.Err() == nil {
			d.fail(err)
			d.tell()
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.run = nil
		if d.rec.State != peerapi.DownloadStatePaused {
			d.closeStore()
		}
	})
}

// drop closes what a run has left.
func (d *download) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.run = nil
	d.closeStore()
}

// halt ends the work and waits until it has. It must not hold d.mu.
func (d *download) halt() {
	d.mu.Lock()
	stop, ended := d.stop, d.ended
	d.mu.Unlock()
	if ended != nil {
		stop()
		<-ended
	}
}

// work opens and checks what is on disk, downloads the rest and serves until ctx ends.
func (d *download) work(ctx context.Context) error {
	if err := d.open(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	store, strategy := d.store, swarm.Strategy(d.rec.Strategy)
	d.mu.Unlock()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	store.OnDamage(func(err error) {
		d.node.cfg.Logger.Warn().Err(err).Str("download", d.rec.ID).Msg("chunk not readable any more")
		d.node.wg.Go(func() {
			if !d.doubt() {
				end(fmt.Errorf("%w: %w", chunkstore.ErrDamaged, err))
			}
		})
	})
	finish := func() {
		if err := d.finish(ctx, store); err != nil {
			end(err)
		}
	}
	if store.Complete() { // there is nothing to fetch
		finish()
	}
	var finishing sync.WaitGroup
	defer finishing.Wait()
	run := transfer.New(transfer.Config{
		Self: d.node.cfg.ID, Address: d.node.cfg.Address, Strategy: strategy,
		Target: chunkserver.Target{Manifest: d.manifest, ID: d.id, Store: store},
		Dialer: d.node.chunks, Tracker: &announcer{d}, Observer: &observer{d}, Requests: limits().Requests,
		Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), Progress: d.progress,
		Complete: func() { finishing.Go(finish) },
	})
	d.mu.Lock()
	d.run = run
	if d.rec.State == peerapi.DownloadStateQueued {
		d.setState(peerapi.DownloadStateDownloading, nil)
	}
	d.mu.Unlock()
	err := run.Run(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, chunkstore.ErrDamaged) {
		return cause
	}
	return err
}

// open opens what is here of the file, in the order of openStore. What is claimed is hashed
// again.
func (d *download) open(ctx context.Context) error {
	d.mu.Lock()
	store, rec, anew := d.store, d.rec, d.anew
	d.mu.Unlock()
	if store != nil && store.Intact() == nil { // paused, not closed
		return nil
	}
	d.drop()
	store, err := d.openStore(ctx, rec, anew)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.store, d.rec.Doubted, d.anew = store, false, false
	d.mu.Unlock()
	d.progress.Wake() // who reads the content has waited for this
	return nil
}

// openStore opens the file that stands at the output, if it is whole; or else the part that
// was begun, or a new one, with what is right in a damaged file of fanout's own.
func (d *download) openStore(ctx context.Context, rec record, anew bool) (*chunkstore.Store, error) {
	o := d.node.outputs
	if err := o.moved(); err != nil {
		return nil, err
	}
	begun := o.dir.Begun(rec.Output, d.id)
	if begun && rec.State != peerapi.DownloadStateComplete && !o.made(rec.Output, d.id) {
		return d.openPart(ctx, rec, nil)
	}
	there, err := d.openFinished(ctx, rec, anew)
	switch {
	case err != nil:
		return nil, err
	case there == nil:
		return d.openPart(ctx, rec, nil)
	case there.Whole():
		if begun { // to mend what somebody else has mended
			err = o.dir.Discard(rec.Output, d.id)
		}
		return there, err
	}
	defer there.Close() // it was only read
	return d.openPart(ctx, rec, there)
}

// openPart opens the part, and fills it from a damaged file unless that is nil.
func (d *download) openPart(ctx context.Context, rec record, damaged *chunkstore.Store) (*chunkstore.Store, error) {
	d.mu.Lock()
	d.was = nil
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
	d.logHashed(rec, kept, dropped)
	return store, nil
}

func (d *download) logHashed(rec record, kept, dropped int) {
	if kept+dropped > 0 {
		d.node.cfg.Logger.Info().Str("download", rec.ID).Str("file", rec.File).Int("kept", kept).
			Int("dropped", dropped).Msg("chunks on disk hashed again")
	}
}

// finish gives the complete file its name, unless it has it already. The error is
// chunkstore.ErrDamaged; others end the download.
func (d *download) finish(ctx context.Context, store *chunkstore.Store) error {
	d.mu.Lock()
	done, want := d.rec.State == peerapi.DownloadStateComplete, d.rec.SHA256
	d.mu.Unlock()
	if done {
		return nil
	}
	err := store.Finish(ctx, want)
	if err == nil {
		err = d.settle(store)
	}
	if err != nil {
		switch {
		case ctx.Err() != nil: // paused, cancelled or stopped: a resume finishes again
		case errors.Is(err, chunkstore.ErrDamaged):
			return err
		default:
			d.fail(err)
		}
		return nil
	}
	d.node.supersede(d)
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.rec.State; s == peerapi.DownloadStateDownloading || s == peerapi.DownloadStateQueued {
		d.setState(peerapi.DownloadStateComplete, nil)
		if d.run != nil {
			d.run.AnnounceSoon() // the distribution's time ends with this
		}
	}
	return nil
}

// supersede forgets an older download whose file has just been replaced.
func (n *Node) supersede(by *download) {
	for _, o := range n.rivals(by) {
		o.control.Lock()
		o.halt()
		n.forget(o)
		o.control.Unlock()
	}
}

// fail ends a download that was under way; its part is kept.
func (d *download) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed(err)
}

// failed is fail for who holds d.mu.
func (d *download) failed(err error) {
	if s := d.rec.State; active(s) || s == peerapi.DownloadStateComplete {
		if errors.Is(err, syscall.ENOSPC) {
			err = fmt.Errorf("%w: make room in %s and resume", err, filepath.Dir(d.node.outputs.name(d.rec.Output)))
		}
		d.setState(peerapi.DownloadStateFailed, err)
		if d.stop != nil {
			d.stop()
		}
	}
}

// setState changes the state, keeps it across restarts and tells who watches; d.mu is held.
func (d *download) setState(s peerapi.DownloadState, err error) {
	was, looked := d.rec.State, d.was
	d.was = nil
	d.rec.State, d.rec.Error, d.rec.Finished = s, "", time.Time{}
	d.rec.Changed, d.rec.Moved = errors.Is(err, errChanged), errors.Is(err, errMoved)
	d.rec.Doubted = d.rec.Doubted && !over(s) // a pause decides nothing
	d.track()
	if err != nil {
		d.rec.Error = err.Error()
	}
	log := d.node.cfg.Logger.Info()
	switch s {
	case peerapi.DownloadStateFailed:
		log = d.node.cfg.Logger.Error().Err(err)
		fallthrough
	case peerapi.DownloadStateComplete, peerapi.DownloadStateCancelled:
		d.rec.Finished = time.Now()
		if looked != nil && s == peerapi.DownloadStateComplete { // it is as it was
			d.rec.Finished, d.worked = looked.at, looked.worked
			d.progress.Restore(looked.fromOrigin, looked.fromPeers)
		}
		d.rec.Worked = d.worked.total(d.rec.Finished)
		if was != peerapi.DownloadStateComplete && looked == nil { // else no transfer has ended
			d.node.metrics.ended(d.rec)
		}
		log = log.Float64("seconds", d.rec.Worked.Seconds())
	}
	log.Str("download", d.rec.ID).Str("file", d.rec.File).Str("strategy", string(d.rec.Strategy)).
		Str("state", string(s)).Msg("download state")
	d.save()
	d.progress.Wake()
}

// save keeps the record; d.mu is held. A download that cannot be kept goes on: its worst is
// to be asked for again after a restart.
func (d *download) save() {
	if d.gone {
		return
	}
	if d.store != nil {
		d.rec.ChunksDone, d.rec.BytesDone = d.store.Count(), d.store.Bytes()
	}
	p := d.progress.Snapshot()
	d.rec.FromOrigin, d.rec.FromPeers = p.FromOrigin, p.FromPeers
	d.rec.Worked = d.worked.total(time.Now())
	if err := d.node.records.save(d.rec); err != nil {
		d.node.cfg.Logger.Error().Err(err).Str("download", d.rec.ID).Msg("download record not written")
	}
}

// closeStore closes the files; d.mu is held.
func (d *download) closeStore() {
	if d.store == nil {
		return
	}
	d.rec.ChunksDone, d.rec.BytesDone = d.store.Count(), d.store.Bytes()
	if err := d.store.Close(); err != nil {
		d.node.cfg.Logger.Error().Err(err).Str("download", d.rec.ID).Msg("part not closed")
	}
	d.store = nil
}

func (d *download) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rest()
	d.closeStore()
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
		rec.Output = d.rec.Output
	}
	was := d.rec.State
	if d.rec.Doubted { // it was complete; what is wrong is to be fetched
		d.mend = true
	}
	if active(was) || was == peerapi.DownloadStateComplete {
		defer d.mu.Unlock()
		return d.sameAs(rec)
	}
	d.mu.Unlock()
	if err := d.node.checkFree(rec.Output, d.manifest.Size); err != nil {
		return err
	}
	d.halt()
	d.node.mu.Lock()
	defer d.node.mu.Unlock()
	if err := d.node.claim(rec.Output, d); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if rec.Output != d.rec.Output && was == peerapi.DownloadStateFailed {
		d.discard()
	}
	d.rec.Strategy, d.rec.Output, d.rec.SHA256, d.rec.Started = rec.Strategy, rec.Output, rec.SHA256, rec.Started
	d.mend = true
	d.begin()
	d.launch()
	return nil
}

// errForgotten is returned for a download that has been taken off the list meanwhile.
var errForgotten = errors.New("download forgotten")

// sameAs says whether this download is what a request wants; d.mu is held.
func (d *download) sameAs(rec record) error {
	if rec.Output != d.rec.Output {
		return httpkit.Errorf(http.StatusConflict, "download %s has this file as %s: copy it from there, or delete that download first",
			d.rec.ID, filepath.Join(d.node.cfg.DataDir, d.rec.Output)).WithField("output")
	}
	if rec.SHA256 != "" && rec.SHA256 != d.rec.SHA256 {
		return httpkit.Errorf(http.StatusConflict, "download %s was not started with this sha256, which so is not checked: delete that download first, or leave sha256 out",
			d.rec.ID).WithField("sha256")
	}
	return nil
}

// discard removes the part, if there is one; d.mu is held and nothing runs.
func (d *download) discard() {
	var err error
	if d.store == nil {
		err = d.node.outputs.dir.Discard(d.rec.Output, d.id)
	} else {
		err = d.store.Discard()
	}
	d.store = nil
	if err != nil {
		d.node.cfg.Logger.Error().Err(err).Str("download", d.rec.ID).Msg("part not removed")
	}
}

package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/chunkstore"
	"fanout/peerd/swarm"
	"fanout/peerd/transfer"
)

// saveEvery is how often the record of a download under way is written: what a daemon that
// is killed had counted since the last time, seconds and bytes, is lost.
const saveEvery = 30 * time.Second

// work is one period of work on a download, from its launch until it is halted, fails, or the
// daemon ends: it opens and checks what is on disk, fetches the rest, finishes the file and
// serves it. The zero value is none.
type work struct {
	download *download
	stop     context.CancelFunc
	ended    chan struct{}      // closed when it has ended
	run      *transfer.Download // nil while sessions cannot be had; guarded by download.mu
}

// over says that nothing is under way any more, or yet.
func (w *work) over() bool {
	select {
	case <-w.ended:
		return true
	default:
		return w.ended == nil
	}
}

// do works until ctx ends or what is wrong cannot be mended.
func (w *work) do(ctx context.Context) {
	defer close(w.ended)
	defer w.stop()
	err := w.try(ctx)
	for errors.Is(err, chunkstore.ErrDamaged) && ctx.Err() == nil {
		w.drop() // and what is left is hashed
		err = w.try(ctx)
	}
	d := w.download
	if err != nil && ctx.Err() == nil {
		w.fail(err)
		d.announcer.tell()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w.run = nil
	if d.status.rec.State != peerapi.DownloadStatePaused {
		d.status.close()
	}
}

// drop closes what a try has left.
func (w *work) drop() {
	d := w.download
	d.mu.Lock()
	defer d.mu.Unlock()
	w.run = nil
	d.status.close()
}

// fail is download.failed for who does not hold its mutex.
func (w *work) fail(err error) {
	w.download.mu.Lock()
	defer w.download.mu.Unlock()
	w.download.failed(err)
}

// try downloads what is not on disk, and serves until ctx ends.
func (w *work) try(ctx context.Context) error {
	if err := w.open(ctx); err != nil {
		return err
	}
	d := w.download
	d.mu.Lock()
	store, strategy := d.status.store, swarm.Strategy(d.status.rec.Strategy)
	d.mu.Unlock()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	store.OnDamage(func(err error) {
		d.node.cfg.Logger.Warn().Err(err).Str("download", d.status.rec.ID).Msg("chunk not readable any more")
		d.node.wg.Go(func() {
			if !d.doubt() {
				end(fmt.Errorf("%w: %w", chunkstore.ErrDamaged, err))
			}
		})
	})
	finish := func() {
		if err := w.finish(ctx, store); err != nil {
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
		Dialer: d.node.chunks, Tracker: d.announcer, Observer: &observer{d}, Requests: limits().Requests,
		Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), Progress: d.progress,
		Complete: func() { finishing.Go(finish) },
	})
	d.mu.Lock()
	w.run = run
	if d.status.rec.State == peerapi.DownloadStateQueued {
		d.status.set(peerapi.DownloadStateDownloading, nil)
	}
	d.mu.Unlock()
	err := run.Run(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, chunkstore.ErrDamaged) {
		return cause
	}
	return err
}

// saveNowAndThen keeps what is counted while a download is under way.
func (w *work) saveNowAndThen(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !w.save() {
				return
			}
		}
	}
}

// save is false when the download is not under way any more.
func (w *work) save() bool {
	d := w.download
	d.mu.Lock()
	defer d.mu.Unlock()
	if !working(d.status.rec.State) {
		return false
	}
	d.status.save()
	return true
}

package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fanout/internal/chunks/exchange"
	"fanout/peerd/swarm"
)

const (
	// leaveWithin bounds the time that the tracker has to take note of the end.
	leaveWithin = time.Second
	// tableFirst and tableMost bound the pause before the tracker file is asked for again.
	tableFirst = 100 * time.Millisecond
	tableMost  = 5 * time.Second
)

// ErrWithdrawn is a Tracker's answer about a file that was taken back.
var ErrWithdrawn = errors.New("withdrawn")

// Tracker is what a download needs of the tracker.
type Tracker interface {
	// Announce reports and learns whom to talk to. After ErrWithdrawn
	// to announce again is of no use.
	Announce(ctx context.Context, r Report) (exchange.Answered, error)
	// Owners is the tracker file: the chunk address of every chunk's owner.
	Owners(ctx context.Context) ([]string, error)
}

// Report is what a peer tells the tracker.
type Report struct {
	Complete              bool
	Left                  bool // it leaves the swarm
	Held, Owned           []byte
	FromOrigin, FromPeers int64
}

// AnnounceSoon has the tracker told of a change without waiting for the interval. It may be
// called from any goroutine.
func (d *Download) AnnounceSoon() { signal(d.changed) }

// Answer is AnnounceSoon for what the tracker has asked for, also of a file that had been
// withdrawn before.
func (d *Download) Answer() { signal(d.asked) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// announce reports to the tracker, and posts its answer.
func (d *Download) announce(ctx context.Context) {
	d.announcing.Lock()
	defer d.announcing.Unlock()
	if ctx.Err() != nil { // it has been told that this peer leaves, or is about to be
		return
	}
	reply, err := d.announceWhole(ctx)
	if err != nil {
		withdrawn := errors.Is(err, ErrWithdrawn)
		d.withdrawn = withdrawn
		d.cfg.Progress.noteTracker(fmt.Errorf("announce: %w", err))
		d.post(exchange.NotAnswered{Withdrawn: withdrawn})
		return
	}
	d.withdrawn = false
	d.cfg.Progress.noteTracker(nil)
	d.post(reply)
}

// announceWhole lets an announce that is under way when ctx ends get through: cut off, it
// might still reach the tracker, but after what leave reports, and undo that.
func (d *Download) announceWhole(ctx context.Context) (exchange.Answered, error) {
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(leaveWithin, cancel) })
	defer stop()
	return d.cfg.Tracker.Announce(whole, d.report())
}

// leave tells the tracker that this peer is no longer to be dialled.
func (d *Download) leave() {
	d.announcing.Lock()
	defer d.announcing.Unlock()
	if d.withdrawn { // it wants to hear no more
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	r := d.report()
	r.Left = true
	d.cfg.Tracker.Announce(ctx, r) // the lease runs out anyway
}

func (d *Download) report() Report {
	p, s := d.cfg.Progress, d.target.Store
	return Report{
		Complete: s.Complete(), Held: s.Bits(), Owned: p.ownedBits(d.target.Manifest.Chunks()),
		FromOrigin: p.fromOrigin.Load(), FromPeers: p.fromPeers.Load(),
	}
}

// owners fetches the tracker file where the strategy needs it, after an announce that makes the
// tracker settle it.
func (d *Download) owners(ctx context.Context) ([]string, error) {
	if d.cfg.Strategy != swarm.Static || d.target.Store.Complete() { // nothing to ask for: the table is of no use
		return nil, nil
	}
	for retry := tableFirst; ; retry = min(2*retry, tableMost) {
		_, err := d.cfg.Tracker.Announce(ctx, d.report())
		if err == nil {
			var owners []string
			if owners, err = d.cfg.Tracker.Owners(ctx); err == nil {
				return owners, nil
			}
		}
		err = fmt.Errorf("get the chunk table: %w", err)
		d.cfg.Progress.noteTracker(err)
		d.cfg.Progress.measure(time.Now(), d.target.Store.Bytes(), "waiting for the tracker: "+err.Error())
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(retry):
		}
	}
}

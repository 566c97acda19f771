// Package push gives published files to the fleet: it begins a rollout of each at the
// tracker, follows them until they are over, shows how far they are, and says at the end who
// has what.
//
// It must not know flags, nor how files are published and served, which goes on meanwhile.
package push

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/progress"
	"fanout/internal/daemon/trackerclient"
)

// lookEvery is the pause between two looks at the rollouts.
const lookEvery = 300 * time.Millisecond

// settleWithin bounds the wait for the last reports of origins when all else is over.
const settleWithin = 5 * time.Second

// ErrEnded is returned when somebody else has ended or replaced the rollout, or the tracker
// does not know it any more.
var ErrEnded = errors.New("the rollout was ended from elsewhere, or the tracker was restarted without --data-dir")

var errWithdrawn = errors.New("it was withdrawn at the tracker, and the rollout with it")

// Published is a file that the tracker has been told of.
type Published struct {
	Name string
	ID   manifest.ID
}

// Config is what is to be done.
type Config struct {
	Tracker *trackerclient.Client
	Request trackerapi.RolloutRequest
	Files   int           // that will be published
	Wait    bool          // also for peers that are off
	Timeout time.Duration // after which to give up; 0 is never
	Bar     *progress.Bar
	Say     func(string) // is told, where no bar is drawn, what is waited for
	Origin  string       // the ID of the one that serves the files for this push
	// Report has that one tell the tracker what it has sent until now. It may be nil.
	Report func(context.Context) error
	// Trouble is why that one has not published the files; nil while it is at work. It may be nil.
	Trouble func() error
	// Lost is told what that one cannot serve any more. It may be nil.
	Lost <-chan Published
}

// Push is one push. Make it with New, then Run it once.
type Push struct {
	cfg      Config
	rollouts []*trackerapi.Rollout // as last seen, in the order of the publications
	trouble  string                // with the tracker; shown for as long as it lasts
	waiting  waiting
	lost     map[string]error // manifest IDs of rollouts that are over though peers may lack the file -> why
	ended    bool             // this push has ended some, so nobody fetches later
	overAt   time.Time        // when there was nobody left to wait for
}

// New makes a push.
func New(cfg Config) *Push { return &Push{cfg: cfg} }

// Check finds out, before a long file is digested, whether the tracker is there and the peers
// are such as can be asked. What it does not see, the tracker refuses later.
func (p *Push) Check(ctx context.Context) error {
	fleet, err := p.cfg.Tracker.Peers(ctx)
	if err != nil {
		return err
	}
	follows := map[string]bool{}
	on := 0
	for _, peer := range fleet.Peers {
		follows[peer.Id] = peer.Follow
		if peer.Follow {
			on++
		}
	}
	if p.cfg.Request.Peers == nil {
		if on == 0 && fleet.Awaited == nil && !p.cfg.Wait {
			return errors.New("no peer that follows rollouts is on: start some with peerd --follow, or wait for them with --wait")
		}
		return nil
	}
	for _, id := range *p.cfg.Request.Peers {
		if follow, listed := follows[id]; listed && !follow {
			return fmt.Errorf("--peers: peer %s does not follow rollouts: start it with peerd --follow", id)
		}
	}
	return nil
}

// Run asks for every file as soon as it is published, and returns when all rollouts are
// over; the error then says who has not got what. That ctx ended is a cli.Interrupted.
func (p *Push) Run(ctx context.Context, published <-chan Published) error {
	var timeout <-chan time.Time
	if p.cfg.Timeout > 0 {
		timer := time.NewTimer(p.cfg.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer p.cfg.Bar.Clear()
	var unasked []Published
	for {
		select {
		case <-ctx.Done():
			return p.interrupted(ctx)
		case <-timeout:
			if p.all() && p.over() {
				return p.outcome()
			}
			return p.gaveUp(ctx, fmt.Sprintf("gave up after %s", p.cfg.Timeout))
		case f := <-p.cfg.Lost:
			if p.needs(f) {
				return p.gaveUp(ctx, fmt.Sprintf("%s was changed while it was pushed: push it again", f.Name))
			}
		case f := <-published:
			unasked = append(unasked, f)
		case <-tick.C:
		}
		p.trouble = ""
		var err error
		if unasked, err = p.ask(ctx, unasked); err == nil {
			err = p.look(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return p.interrupted(ctx)
		case err != nil && len(p.live()) > 0:
			return p.gaveUp(ctx, err.Error())
		case err != nil:
			return err
		case p.all() && p.over() && p.settled(ctx):
			return p.outcome()
		}
		p.draw()
		p.say()
	}
}

// ask begins rollouts, and returns those files for which it should be tried again.
func (p *Push) ask(ctx context.Context, files []Published) (again []Published, err error) {
	for _, f := range files {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		// To its end, also if that is where the push is ended: what was asked for is to be told.
		r, err := p.cfg.Tracker.PutRollout(context.WithoutCancel(ctx), f.ID.String(), p.cfg.Request)
		var refused *trackerclient.Error
		switch {
		case err == nil:
			p.rollouts = append(p.rollouts, r)
		case trackerclient.Temporary(err):
			p.trouble = err.Error()
			again = append(again, f)
		case errors.As(err, &refused) && refused.Field == "peers":
			return nil, fmt.Errorf("--peers: %s", refused)
		default:
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return again, nil
}

// look asks the tracker how far the rollouts are.
func (p *Push) look(ctx context.Context) error {
	for i, last := range p.rollouts {
		if p.lost[last.ManifestId] != nil {
			continue
		}
		now, err := p.cfg.Tracker.Rollout(ctx, last.ManifestId)
		switch {
		case err == nil && now.Id == last.Id:
			p.rollouts[i] = now
		case err != nil && trackerclient.Temporary(err):
			p.trouble = err.Error()
		case errors.Is(err, trackerclient.ErrGone):
			p.lose(last, errWithdrawn)
		case err == nil || errors.Is(err, trackerclient.ErrNotFound):
			p.lose(last, ErrEnded)
		default:
			return err
		}
	}
	return nil
}

// lose notes a rollout that does not go on; the push goes on with the others.
func (p *Push) lose(r *trackerapi.Rollout, why error) {
	if p.lost == nil {
		p.lost = map[string]error{}
	}
	p.lost[r.ManifestId] = why
}

// live are the rollouts that are not lost.
func (p *Push) live() (all []*trackerapi.Rollout) {
	for _, r := range p.rollouts {
		if p.lost[r.ManifestId] == nil {
			all = append(all, r)
		}
	}
	return all
}

// needs says that somebody may still want a content, as far as is known.
func (p *Push) needs(f Published) bool {
	for _, r := range p.live() {
		if r.ManifestId == f.ID.String() {
			return r.Running > 0 || p.cfg.Wait && r.Complete < r.Asked
		}
	}
	return true
}

// all says that every file was asked for.
func (p *Push) all() bool { return len(p.rollouts) == p.cfg.Files }

// settled says that what the origins have sent is known to the last byte: each has reported
// since the last peer was done. What is not known after a while never will be.
func (p *Push) settled(ctx context.Context) bool {
	if !p.overAt.IsZero() {
		return p.counted() || time.Since(p.overAt) > settleWithin
	}
	p.overAt = time.Now()
	if p.cfg.Report == nil {
		return p.counted()
	}
	return p.cfg.Report(ctx) == nil && p.look(ctx) == nil && p.counted()
}

func (p *Push) counted() bool {
	for _, r := range p.live() {
		for _, peer := range peersOf(r) {
			fetched := peer.FinishedAt != nil && peer.FinishedAt.After(r.StartedAt)
			if fetched && r.OriginsReportedAt != nil && r.OriginsReportedAt.Before(*peer.FinishedAt) {
				return false
			}
		}
	}
	return true
}

// over says that there is nobody to wait for any more.
func (p *Push) over() bool {
	for _, r := range p.live() {
		if r.Running > 0 || p.cfg.Wait && (r.Pending > 0 || r.Asked == 0) {
			return false
		}
	}
	return p.trouble == ""
}

// Complete says that every peer that was asked has every file, and that some were.
func (p *Push) Complete() bool {
	if len(p.lost) > 0 {
		return false
	}
	for _, r := range p.rollouts {
		if r.Asked == 0 || r.Complete < r.Asked {
			return false
		}
	}
	return p.all()
}

func (p *Push) outcome() error {
	if p.Complete() {
		return nil
	}
	return errors.New(p.missing())
}

func failed(p trackerapi.RolloutPeer) bool {
	return p.State == trackerapi.RolloutStateFailed || p.State == trackerapi.RolloutStateCancelled
}

func ended(p trackerapi.RolloutPeer) bool {
	return failed(p) || p.State == trackerapi.RolloutStateComplete
}

func off(p trackerapi.RolloutPeer) bool { return !ended(p) && !p.Online }

func running(p trackerapi.RolloutPeer) bool { return !ended(p) && p.Online }

// slowest is the peer that is on and has the least, with the rollout.
func (p *Push) slowest() (r *trackerapi.Rollout, last *trackerapi.RolloutPeer) {
	least := 1.0
	for _, one := range p.live() {
		peers := peersOf(one)
		for i := range peers {
			if !running(peers[i]) || one.Size == 0 {
				continue
			}
			if share := float64(peers[i].BytesDone) / float64(one.Size); last == nil || share < least {
				r, last, least = one, &peers[i], share
			}
		}
	}
	return r, last
}

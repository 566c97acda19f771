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
	rollouts *rollouts
	display  *display
	ended    bool      // this push has ended some, so nobody fetches later
	overAt   time.Time // when there was nobody left to wait for
}

// New makes a push.
func New(cfg Config) *Push {
	all := &rollouts{files: cfg.Files, wait: cfg.Wait}
	return &Push{cfg: cfg, rollouts: all, display: &display{rollouts: all, bar: cfg.Bar, say: cfg.Say}}
}

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
			if p.rollouts.all() && p.rollouts.over() {
				return p.outcome()
			}
			return p.gaveUp(ctx, fmt.Sprintf("gave up after %s", p.cfg.Timeout))
		case f := <-p.cfg.Lost:
			if p.rollouts.needs(f) {
				return p.gaveUp(ctx, fmt.Sprintf("%s was changed while it was pushed: push it again", f.Name))
			}
		case f := <-published:
			unasked = append(unasked, f)
		case <-tick.C:
		}
		p.rollouts.trouble = ""
		var err error
		if unasked, err = p.ask(ctx, unasked); err == nil {
			err = p.look(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return p.interrupted(ctx)
		case err != nil && len(p.rollouts.live()) > 0:
			return p.gaveUp(ctx, err.Error())
		case err != nil:
			return err
		case p.rollouts.all() && p.rollouts.over() && p.settled(ctx):
			return p.outcome()
		}
		p.display.draw()
		p.display.tell(p.waits())
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
			p.rollouts.seen = append(p.rollouts.seen, r)
		case trackerclient.Temporary(err):
			p.rollouts.trouble = err.Error()
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
	for i, last := range p.rollouts.seen {
		if p.rollouts.lost[last.ManifestId] != nil {
			continue
		}
		now, err := p.cfg.Tracker.Rollout(ctx, last.ManifestId)
		switch {
		case err == nil && now.Id == last.Id:
			p.rollouts.seen[i] = now
		case err != nil && trackerclient.Temporary(err):
			p.rollouts.trouble = err.Error()
		case errors.Is(err, trackerclient.ErrGone):
			p.rollouts.lose(last, errWithdrawn)
		case err == nil || errors.Is(err, trackerclient.ErrNotFound):
			p.rollouts.lose(last, ErrEnded)
		default:
			return err
		}
	}
	return nil
}

// settled says that what the origins have sent is known to the last byte: each has reported
// since the last peer was done. What is not known after a while never will be.
func (p *Push) settled(ctx context.Context) bool {
	if !p.overAt.IsZero() {
		return p.rollouts.counted() || time.Since(p.overAt) > settleWithin
	}
	p.overAt = time.Now()
	if p.cfg.Report == nil {
		return p.rollouts.counted()
	}
	return p.cfg.Report(ctx) == nil && p.look(ctx) == nil && p.rollouts.counted()
}

// waits is what keeps the push from its end, as far as somebody has said so: the tracker,
// what is on the way to it, or the peer that is the furthest behind.
func (p *Push) waits() string {
	if p.rollouts.trouble != "" {
		return p.rollouts.trouble
	}
	if !p.rollouts.all() && p.cfg.Trouble != nil {
		if err := p.cfg.Trouble(); err != nil {
			return err.Error()
		}
	}
	if _, last := p.rollouts.slowest(); last != nil && last.Error != nil {
		return last.Id + ": " + plain(last.Error)
	}
	return ""
}

func (p *Push) outcome() error {
	if p.rollouts.complete() {
		return nil
	}
	return errors.New(p.missing())
}

// Report is how things stand, as last seen.
func (p *Push) Report() Report {
	return Report{
		Complete: p.rollouts.complete(),
		Rollouts: append([]*trackerapi.Rollout{}, p.rollouts.seen...), // never null
		files:    p.cfg.Files,
	}
}

package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/trackerclient"
)

// followWait is how long the tracker may keep a request for rollouts waiting for news.
const followWait = 30 * time.Second

// follower fetches what rollouts ask for.
type follower struct {
	node *Node
	// tried is, by manifest ID, what came of a rollout, so that a download that has ended
	// without the file is not begun again until it is asked for again.
	tried map[string]attempt
}

// attempt is what came of a rollout.
type attempt struct {
	rollout string
	err     error // why no download was begun
}

func newFollower(n *Node) *follower { return &follower{node: n, tried: map[string]attempt{}} }

// run does what rollouts ask until ctx ends.
func (f *follower) run(ctx context.Context) {
	n := f.node
	var backoff trackerclient.Backoff
	known, trouble := "", ""
	for {
		orders, err := n.cfg.Tracker.PeerRollouts(ctx, n.cfg.ID, n.instance, known, followWait)
		if err == nil {
			err = f.obey(ctx, orders.Rollouts)
		}
		if ctx.Err() != nil {
			return
		}
		pause := trackerclient.MinBackoff // whatever the tracker says, no busy loop
		if err == nil {
			known, trouble = orders.Version, ""
			backoff.Reset()
		} else {
			known, pause = "", backoff.Next()
			if err.Error() != trouble && !errors.Is(err, trackerclient.ErrNotFound) { // not registered yet
				trouble = err.Error()
				n.cfg.Logger.Warn().Err(err).Msg("rollouts not followed, trying again")
			}
			var refused *trackerclient.Error
			if errors.As(err, &refused) && refused.Status == http.StatusConflict { // another peerd has the ID
				n.registration.note(err)
			}
		}
		if !trackerclient.Sleep(ctx, pause) {
			return
		}
	}
}

// obey begins what is asked for and not here. An error is one that trying again may mend.
func (f *follower) obey(ctx context.Context, orders []trackerapi.PeerRollout) error {
	var errs []error
	for _, o := range orders {
		if err := f.obeyOne(ctx, o); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.File, err))
		}
	}
	return errors.Join(errs...)
}

func (f *follower) obeyOne(ctx context.Context, o trackerapi.PeerRollout) error {
	id, err := manifest.ParseID(o.ManifestId)
	if err != nil {
		return err
	}
	if a := f.tried[o.ManifestId]; a.rollout == o.Id {
		f.remind(id, a)
		return nil
	}
	if d, err := f.node.downloads.find(downloadID(id)); err == nil {
		if r := d.record(); r.Rollout == o.Id && r.State == peerapi.DownloadStateCancelled {
			f.tried[o.ManifestId] = attempt{rollout: o.Id}
			d.announcer.tell()
			return nil
		}
	}
	f.replace(id, o.File)
	strategy := peerapi.Strategy(o.Strategy)
	d, err := f.node.startFor(ctx, peerapi.DownloadRequest{File: o.ManifestId, Strategy: &strategy, Sha256: o.Sha256}, o.Id)
	var refused *httpkit.Error
	switch {
	case err == nil:
		d.claim(o.Id)
	case errors.Is(err, errBusy):
		return err
	case errors.As(err, &refused) && (refused.Status < 500 || errors.Is(err, trackerclient.ErrForeign)):
		f.node.cfg.Logger.Error().Err(err).Str("file", o.File).Str("rollout", o.Id).Msg("rollout not followed")
		f.refuse(id, o.Id, err)
	default:
		return err
	}
	f.tried[o.ManifestId] = attempt{rollout: o.Id, err: err}
	return nil
}

// remind says again what has not come off: the tracker may have been restarted since.
func (f *follower) remind(id manifest.ID, a attempt) {
	if a.err != nil {
		f.refuse(id, a.rollout, a.err)
		return
	}
	d, err := f.node.downloads.find(downloadID(id))
	if err != nil {
		return
	}
	if !d.runs() { // else its reports name the rollout
		d.announcer.tell()
	}
}

// refuse reports a download that could not be begun.
func (f *follower) refuse(id manifest.ID, rollout string, why error) {
	cfg := &f.node.cfg
	state := trackerapi.DownloadStateFailed
	f.node.wg.Go(func() {
		f.node.tell(id, func() trackerapi.Announce {
			return trackerapi.Announce{
				Id: cfg.ID, Role: trackerapi.AnnounceRolePeer, Address: cfg.Address, HttpAddress: cfg.httpAddress(),
				Instance: &f.node.instance, Rollout: &rollout, State: &state, Error: shorten(why.Error()),
			}
		})
	})
}

// replace cancels downloads of earlier content that an earlier rollout asked for.
func (f *follower) replace(by manifest.ID, output string) {
	for _, d := range f.node.downloads.all() {
		d.removeIf(func(r *record) bool {
			// One that is hashed again is waited for: what is there may be fanout's, then.
			return d.id != by && r.Rollout != "" && r.Output == output && active(r.State) && !r.Doubted
		}, nil)
	}
}

// claim notes that a rollout asks for what there is, which was looked at, and answers it. From
// here on every report of the download names it.
func (d *download) claim(rollout string) {
	d.mu.Lock()
	s := &d.status
	if s.rec.Rollout != rollout {
		s.rec.Wanted = s.rec.Wanted || s.rec.Rollout == ""
		s.rec.Rollout = rollout
		s.save()
	}
	run, over := d.work.run, s.rec.State == peerapi.DownloadStateFailed || s.rec.State == peerapi.DownloadStateCancelled
	d.mu.Unlock()
	switch {
	case over:
		d.announcer.tell()
	case run != nil:
		run.Answer()
	case !d.runs(): // else its first report will be the answer
		d.announcer.tell()
	}
}

// want notes that somebody asks for what a rollout may have asked for, too.
func (d *download) want() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status.rec.Rollout != "" && !d.status.rec.Wanted {
		d.status.rec.Wanted = true
		d.status.save()
	}
}

// runs says that work is under way, which reports to the tracker.
func (d *download) runs() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.work.over()
}

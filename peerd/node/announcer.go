package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/trackerclient"
	"fanout/peerd/transfer"
)

const (
	longestError = 2000 // bytes; the contract counts characters
	tellTimeout  = 20 * time.Second
)

// announcer speaks with the tracker for a download. It implements transfer.Tracker.
type announcer struct{ d *download }

// Announce implements transfer.Tracker.
func (a *announcer) Announce(ctx context.Context, r transfer.Report) (exchange.Answered, error) {
	q := a.announcement(r)
	q.Held, q.Owned = &r.Held, &r.Owned
	reply, err := a.d.node.cfg.Tracker.Announce(ctx, a.d.id.String(), q)
	if errors.Is(err, trackerclient.ErrGone) {
		err = fmt.Errorf("%w: %w", transfer.ErrWithdrawn, err)
		if q.Rollout != nil && *q.Rollout != "" {
			a.abandon(*q.Rollout, errWithdrawn)
		}
	}
	if err != nil {
		return exchange.Answered{}, err
	}
	if reply.Abandoned != nil && *reply.Abandoned {
		a.abandon(*q.Rollout, errAbandoned)
	}
	out := exchange.Answered{Interval: trackerclient.Seconds(reply.IntervalSeconds)}
	for _, o := range reply.Origins {
		out.Origins = append(out.Origins, exchange.Contact{ID: o.Id, Address: o.Address})
	}
	for _, p := range reply.Peers {
		out.Peers = append(out.Peers, exchange.Contact{ID: p.Id, Address: p.Address})
	}
	return out, nil
}

// Owners implements transfer.Tracker.
func (a *announcer) Owners(ctx context.Context) ([]string, error) {
	return a.d.node.cfg.Tracker.Table(ctx, a.d.id.String(), a.d.manifest.Chunks())
}

// announcement is what is said of a download, but for its chunks.
func (a *announcer) announcement(r transfer.Report) trackerapi.Announce {
	cfg, rec := &a.d.node.cfg, a.d.record()
	strategy, state := trackerapi.Strategy(rec.Strategy), trackerapi.DownloadState(rec.State)
	if r.Left && state != trackerapi.DownloadStateFailed && state != trackerapi.DownloadStateCancelled {
		state = trackerapi.DownloadStatePaused
	}
	q := trackerapi.Announce{
		Id: cfg.ID, Role: trackerapi.AnnounceRolePeer, Address: cfg.Address, HttpAddress: cfg.httpAddress(),
		Instance: &a.d.node.instance, Strategy: &strategy, State: &state, BytesFromOrigin: &r.FromOrigin, BytesFromPeers: &r.FromPeers,
	}
	if !rec.Finished.IsZero() {
		ago := max(0, time.Since(rec.Finished).Seconds())
		q.EndedSecondsAgo = &ago
	}
	if rec.Rollout != "" {
		q.Rollout = &rec.Rollout
	}
	trouble := rec.Error
	if trouble == "" && active(rec.State) {
		trouble = a.d.progress.Snapshot().Trouble
	}
	if trouble != "" {
		q.Error = shorten(trouble)
	}
	return q
}

// shorten keeps a text within the contract.
func shorten(text string) *string {
	text = strings.ToValidUTF8(text[:min(len(text), longestError)], "")
	return &text
}

// tell reports a download that does not run.
func (a *announcer) tell() {
	d := a.d
	d.node.wg.Go(func() {
		d.node.tell(d.id, func() trackerapi.Announce {
			p := d.progress.Snapshot()
			q := a.announcement(transfer.Report{FromOrigin: p.FromOrigin, FromPeers: p.FromPeers})
			q.Held = a.kept()
			return q
		})
	})
}

// kept are the chunks of a paused download.
func (a *announcer) kept() *[]byte {
	a.d.mu.Lock()
	defer a.d.mu.Unlock()
	s := &a.d.status
	if s.store == nil || s.rec.State != peerapi.DownloadStatePaused {
		return nil
	}
	bits := s.store.Bits()
	return &bits
}

// Why a download is cancelled that nobody wants any more.
var (
	errAbandoned = errors.New("the rollout that asked for it was ended, and nobody can serve what is missing")
	errWithdrawn = errors.New("the file was withdrawn, and with it the rollout that asked for it")
)

// abandon cancels a download that only this rollout asked for.
func (a *announcer) abandon(rollout string, why error) {
	a.d.node.wg.Go(func() {
		a.d.removeIf(func(r *record) bool {
			return r.Rollout == rollout && !r.Wanted && active(r.State) && !r.Doubted
		}, why)
	})
}

// tell reports to the tracker what is not part of a running download, and tries for a while.
// What is lost nevertheless is said again when the tracker is next asked for rollouts.
func (n *Node) tell(id manifest.ID, what func() trackerapi.Announce) {
	ctx, cancel := context.WithTimeout(n.ctx, tellTimeout)
	defer cancel()
	var backoff trackerclient.Backoff
	for {
		_, err := n.cfg.Tracker.Announce(ctx, id.String(), what())
		if err == nil {
			return
		}
		if !trackerclient.Temporary(err) || !trackerclient.Sleep(ctx, backoff.Next()) {
			n.cfg.Logger.Debug().Err(err).Stringer("manifest", id).Msg("state not reported")
			return
		}
	}
}

package node

import (
	"context"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/trackerclient"
	"fanout/peerd/swarm"
)

// announcer speaks with the tracker for a download. It implements swarm.Tracker.
type announcer struct{ d *download }

// Announce implements swarm.Tracker.
func (a *announcer) Announce(ctx context.Context, r swarm.Report) (swarm.Reply, error) {
	cfg := &a.d.node.cfg
	a.d.mu.Lock()
	strategy, state := trackerapi.Strategy(a.d.rec.Strategy), trackerapi.DownloadState(a.d.rec.State)
	a.d.mu.Unlock()
	if r.Left && state != trackerapi.DownloadState(peerapi.DownloadStateFailed) && state != trackerapi.DownloadState(peerapi.DownloadStateCancelled) {
		state = trackerapi.DownloadState(peerapi.DownloadStatePaused)
	}
	reply, err := cfg.Tracker.Announce(ctx, a.d.id.String(), trackerapi.Announce{
		Id: cfg.ID, Role: trackerapi.AnnounceRolePeer, Address: cfg.Address, HttpAddress: &cfg.HTTPAddress,
		Strategy: &strategy, State: &state, Held: &r.Held, Owned: &r.Owned,
		BytesFromOrigin: &r.FromOrigin, BytesFromPeers: &r.FromPeers,
	})
	if err != nil {
		return swarm.Reply{}, err
	}
	out := swarm.Reply{Interval: trackerclient.Seconds(reply.IntervalSeconds)}
	for _, o := range reply.Origins {
		out.Origins = append(out.Origins, swarm.Contact{ID: o.Id, Address: o.Address})
	}
	for _, p := range reply.Peers {
		out.Peers = append(out.Peers, swarm.Contact{ID: p.Id, Address: p.Address})
	}
	return out, nil
}

// Owners implements swarm.Tracker.
func (a *announcer) Owners(ctx context.Context) ([]string, error) {
	return a.d.node.cfg.Tracker.Table(ctx, a.d.id.String(), a.d.manifest.Chunks())
}

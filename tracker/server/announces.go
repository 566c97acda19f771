package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/oneline"
	"fanout/tracker/feed"
	"fanout/tracker/table"
)

const (
	// watchedInterval is the shortest time between two announces of a peer that is watched.
	watchedInterval = time.Second
	// watchedAnnounces is how many announces a second a watched swarm may cause.
	watchedAnnounces = 50
)

// announceCalls is the call of those that serve files, and of those that download them.
type announceCalls struct {
	origins         *table.Origins
	swarms          *table.Swarms
	feed            *feed.Feed
	lease, interval time.Duration
	accepted        *prometheus.CounterVec // by role
}

// Announce implements POST /v1/files/{name}/announce.
func (c *announceCalls) Announce(_ context.Context, r trackerapi.AnnounceRequestObject) (trackerapi.AnnounceResponseObject, error) {
	reply, err := c.announce(r.Name, *r.Body)
	if err != nil {
		return nil, err
	}
	c.accepted.WithLabelValues(string(r.Body.Role)).Inc()
	peers := make([]trackerapi.SwarmPeer, len(reply.Peers))
	for i, p := range reply.Peers {
		peers[i] = trackerapi.SwarmPeer{Id: p.ID, Address: p.Address.String()}
	}
	return trackerapi.Announce200JSONResponse{
		ManifestId: reply.ID.String(), LeaseSeconds: c.lease.Seconds(), Abandoned: optionalBool(reply.Abandoned),
		IntervalSeconds: c.nextAfter(value(r.Body.State), reply).Seconds(), Origins: originModels(reply.Origins), Peers: peers,
	}, nil
}

func (c *announceCalls) announce(name string, a trackerapi.Announce) (table.Reply, error) {
	if a.Role == trackerapi.AnnounceRoleOrigin {
		origin, err := parseOrigin("", a.Id, a.Address, a.HttpAddress)
		if err != nil {
			return table.Reply{}, err
		}
		origin.Instance, origin.Counts, origin.Sent = value(a.Instance), a.BytesSent != nil, value(a.BytesSent)
		if value(a.State) == trackerapi.DownloadStateCancelled {
			return c.origins.Leave(name, origin)
		}
		return c.origins.Renew(name, origin)
	}
	address, err := table.ParseAddress("address", a.Address)
	if err != nil {
		return table.Reply{}, err
	}
	return c.swarms.Announce(name, table.Report{
		ID: a.Id, Address: address,
		Strategy: table.Strategy(value(a.Strategy)), State: table.State(value(a.State)),
		Held: value(a.Held), Owned: value(a.Owned),
		BytesFromOrigin: value(a.BytesFromOrigin), BytesFromPeers: value(a.BytesFromPeers),
		Error: oneline.Of(value(a.Error), oneline.Max), Instance: value(a.Instance), Rollout: value(a.Rollout),
		EndedAgo: ago(value(a.EndedSecondsAgo)),
	})
}

// ago is how long ago a peer says that something was; no longer than can be meant, for more
// would overflow.
func ago(seconds float64) time.Duration {
	const most = 100 * 365 * 24 * time.Hour
	return time.Duration(min(max(seconds, 0), most.Seconds()) * float64(time.Second))
}

// nextAfter is when a peer should announce again: sooner than its lease demands while it
// downloads and somebody watches, or a rollout asks for the file, but not so soon that a big
// swarm burdens the tracker.
func (c *announceCalls) nextAfter(state trackerapi.DownloadState, reply table.Reply) time.Duration {
	if state != trackerapi.DownloadStateDownloading || !c.feed.Watched() && !reply.RolledOut {
		return c.interval
	}
	return min(c.interval, max(watchedInterval, time.Duration(reply.Active)*time.Second/watchedAnnounces))
}

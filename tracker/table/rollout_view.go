package table

import (
	"maps"
	"slices"
	"time"

	"fanout/internal/chunks/manifest"
	"fanout/tracker/store"
)

// Pending is the state in a rollout of a peer that is off or has not reported yet. No peer
// reports it.
const Pending State = "pending"

// RolloutView describes a rollout at one moment.
type RolloutView struct {
	ID              string
	Manifest        manifest.ID
	Name            string
	Size            int64
	Chunks          int
	All             bool
	Strategy        Strategy
	SHA256          string
	Started         time.Time
	Duration        time.Duration // until the last peer that is complete was so; 0 if none is
	Peers           []RolloutPeer // by ID
	Complete        int           // these four add up to len(Peers)
	Failed          int           // or cancelled
	Running         int           // on, and neither complete nor failed
	Pending         int           // off
	BytesDone       int64
	BytesFromOrigin int64
	BytesFromPeers  int64
	// OriginSent is what the origins say that they have sent, at least what was received from
	// them: their last report may be still to come.
	OriginSent int64
	// OriginsReported is since when every listed origin has reported; zero without origins.
	OriginsReported time.Time
}

// OriginRatio is how often origins have sent the file; 0 for an empty one.
func (v *RolloutView) OriginRatio() float64 {
	if v.Size == 0 {
		return 0
	}
	return float64(v.OriginSent) / float64(v.Size)
}

// RolloutPeer is a peer that a rollout asks.
type RolloutPeer struct {
	ID     string
	Online bool
	State  State
	Rate   float64 // bytes a second, while it is downloading
	store.Outcome
}

func (rs *Rollouts) view(r *rollout) RolloutView {
	f, now := rs.files.byID[r.Manifest], rs.now()
	v := RolloutView{
		ID: r.ID, Manifest: r.Manifest, Name: r.Name, Size: f.Size, Chunks: f.Chunks, All: r.All,
		Strategy: Strategy(r.Strategy), SHA256: r.SHA256, Started: r.StartedAt, Peers: []RolloutPeer{},
	}
	for _, id := range rs.asked(r, now) {
		p := rs.viewPeer(r, id, now)
		v.add(p)
	}
	v.OriginSent = max(counted(r.Sent), v.BytesFromOrigin)
	v.OriginsReported = f.reportedAt(now)
	return v
}

// asked are the peers that a rollout counts, in natural order.
func (rs *Rollouts) asked(r *rollout, now time.Time) []string {
	if !r.All {
		return slices.SortedFunc(slices.Values(r.Peers), byName)
	}
	ids := map[string]bool{}
	for id, f := range rs.followers.known {
		if now.Sub(f.SeenAt) < expectFollower {
			ids[id] = true
		}
	}
	for id, o := range r.Outcomes {
		if ended(State(o.State)) {
			ids[id] = true
		}
	}
	return slices.SortedFunc(maps.Keys(ids), byName)
}

func (rs *Rollouts) viewPeer(r *rollout, id string, now time.Time) RolloutPeer {
	p := RolloutPeer{ID: id, Outcome: r.Outcomes[id]}
	registered := rs.fleet.peer(id)
	live := registered != nil
	p.Online = live
	p.State = State(p.Outcome.State)
	clash, clashes := rs.fleet.ids.clashOf(id, now)
	switch {
	case clashes: // whatever one of them says is not so of the other
		p.State, p.Error = Failed, clash
	case ended(p.State):
	case live && !registered.Follow:
		p.State, p.Online, p.Error = Pending, false, notFollowing([]string{id})
	case !live || p.State == "":
		p.State, p.Online = Pending, live || rs.fleet.awaited(id, now)
		if m := rs.files.byID[r.Manifest].members[id]; live && m != nil && m.live(now) && m.Instance == "" {
			p.Error = "its peerd is too old to say which rollout it answers: upgrade it"
		}
	case p.State == Downloading:
		if m := rs.files.byID[r.Manifest].members[id]; m != nil && m.live(now) {
			p.Rate = m.rate
		}
	}
	return p
}

func (v *RolloutView) add(p RolloutPeer) {
	v.Peers = append(v.Peers, p)
	v.BytesDone += p.Bytes
	v.BytesFromOrigin += p.FromOrigin
	v.BytesFromPeers += p.FromPeers
	switch {
	case p.State == Complete:
		v.Complete++
		at := p.CompletedAt
		if at.IsZero() { // of a tracker that did not keep it
			at = p.FinishedAt
		}
		v.Duration = max(v.Duration, at.Sub(v.Started))
	case ended(p.State):
		v.Failed++
	case p.Online:
		v.Running++
	default:
		v.Pending++
	}
}

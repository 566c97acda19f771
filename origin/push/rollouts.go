package push

import (
	"slices"

	"github.com/maruel/natural"

	"fanout/api/trackerapi"
)

// rollouts are those of one push, as far as the tracker has told of them.
type rollouts struct {
	files   int                   // that will be published, with a rollout each
	wait    bool                  // also for peers that are off
	seen    []*trackerapi.Rollout // as last seen, in the order of the publications
	trouble string                // with the tracker; shown for as long as it lasts
	lost    map[string]error      // manifest IDs of rollouts that are over though peers may lack the file -> why
}

// lose notes a rollout that does not go on; the push goes on with the others.
func (a *rollouts) lose(r *trackerapi.Rollout, why error) {
	if a.lost == nil {
		a.lost = map[string]error{}
	}
	a.lost[r.ManifestId] = why
}

// live are the rollouts that are not lost.
func (a *rollouts) live() (live []*trackerapi.Rollout) {
	for _, r := range a.seen {
		if a.lost[r.ManifestId] == nil {
			live = append(live, r)
		}
	}
	return live
}

// needs says that somebody may still want a content, as far as is known.
func (a *rollouts) needs(f Published) bool {
	for _, r := range a.live() {
		if r.ManifestId == f.ID.String() {
			return r.Running > 0 || a.wait && r.Complete < r.Asked
		}
	}
	return true
}

// all says that every file was asked for.
func (a *rollouts) all() bool { return len(a.seen) == a.files }

// counted says that every origin has reported since the last peer was done.
func (a *rollouts) counted() bool {
	for _, r := range a.live() {
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
func (a *rollouts) over() bool {
	for _, r := range a.live() {
		if r.Running > 0 || a.wait && (r.Pending > 0 || r.Asked == 0) {
			return false
		}
	}
	return a.trouble == ""
}

// complete says that every peer that was asked has every file, and that some were.
func (a *rollouts) complete() bool {
	if len(a.lost) > 0 {
		return false
	}
	for _, r := range a.seen {
		if r.Asked == 0 || r.Complete < r.Asked {
			return false
		}
	}
	return a.all()
}

// slowest is the peer that is on and has the least, with the rollout.
func (a *rollouts) slowest() (r *trackerapi.Rollout, last *trackerapi.RolloutPeer) {
	least := 1.0
	for _, one := range a.live() {
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

// off are the peers that are off, each once for all files, as people count.
func (a *rollouts) off() (ids []string) {
	for _, r := range a.live() {
		ids = append(ids, who(r, off)...)
	}
	slices.SortFunc(ids, natural.Compare)
	return slices.Compact(ids)
}

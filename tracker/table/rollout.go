package table

import (
	"maps"
	"slices"

	"fanout/tracker/store"
)

// rollout is a stored one, with a map of its own.
type rollout struct {
	store.Rollout
	dirty bool // outcomes are not stored yet
}

func newRollout(s store.Rollout) *rollout {
	outcomes := maps.Clone(s.Outcomes)
	if outcomes == nil {
		outcomes = map[string]store.Outcome{}
	}
	s.Outcomes, s.Sent = outcomes, maps.Clone(s.Sent)
	if s.Sent == nil {
		s.Sent = map[string]store.Sending{}
	}
	return &rollout{Rollout: s}
}

// snapshot is what may be given to the store, which keeps what it is given.
func (r *rollout) snapshot() store.Rollout {
	s := r.Rollout
	s.Outcomes, s.Sent = maps.Clone(s.Outcomes), maps.Clone(s.Sent)
	return s
}

// asks reports whether a peer is asked, which may be every follower.
func (r *rollout) asks(peer string, fo *followers) bool {
	if !r.All {
		_, found := slices.BinarySearch(r.Peers, peer)
		return found
	}
	return fo.has(peer)
}

// ended says that a download does not go on by itself.
func ended(s State) bool { return s == Complete || s == Failed || s == Cancelled }

// forget takes a peer out; false if it was not in.
func (r *rollout) forget(peer string) bool {
	at, listed := slices.BinarySearch(r.Peers, peer)
	if listed {
		r.Peers = slices.Delete(slices.Clone(r.Peers), at, at+1)
	}
	_, reported := r.Outcomes[peer]
	delete(r.Outcomes, peer)
	return listed || reported
}

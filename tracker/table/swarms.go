package table

import (
	"cmp"
)

// Swarms are the peers that download files, or have them: they announce what they hold, and leave.
type Swarms struct {
	*shared
	files         *Files
	fleet         *Fleet
	distributions *Distributions
	chunks        *Chunks
	rollouts      *Rollouts
}

// Announce enters a peer into a swarm or renews its lease there; with the state Cancelled it
// leaves. The first announce of a static download fixes the assignment, see Chunks.Static.
// Errors: ErrUnknown, ErrWithdrawn, ErrInvalid for bitmaps that do not fit, ErrClash, the
// store's.
func (ss *Swarms) Announce(name string, r Report) (Reply, error) {
	r.Strategy, r.State = cmp.Or(r.Strategy, Swarm), cmp.Or(r.State, Downloading)
	ss.mu.Lock()
	defer ss.mu.Unlock()
	f, err := ss.files.resolve(name)
	if err != nil {
		return Reply{}, err
	}
	if err := ss.fleet.ids.speaks(r.ID, r.Instance, r.Address, ss.now()); err != nil {
		return Reply{}, err
	}
	if err := checkBitmap("held", r.Held, f.Chunks); err != nil {
		return Reply{}, err
	}
	if err := checkBitmap("owned", r.Owned, f.Chunks); err != nil {
		return Reply{}, err
	}
	if r.Held == nil && r.State == Complete {
		r.Held = fullBitmap(f.Chunks)
	}
	if r.static() {
		if err := ss.chunks.freeze(f); err != nil {
			return Reply{}, err
		}
	}
	ss.enter(f, r)
	reply := f.reply(r.ID, ss.now(), ss.rand)
	reply.RolledOut, reply.Abandoned = ss.rollouts.of(f) != nil, ss.rollouts.abandoned(f, r)
	return reply, nil
}

func (ss *Swarms) enter(f *file, r Report) {
	now := ss.now()
	before := f.known(r.ID)
	if before != nil {
		r.Owned = r.Owned.with(before.Owned, r.Held)
	}
	m := &member{
		Report: r, heldCount: r.Held.count(), ownedCount: r.Owned.count(),
		seen: now, expires: now.Add(ss.lease), version: ss.distributions.nextVersion(),
	}
	ss.distributions.follow(f, m)
	ss.rollouts.noteOutcome(f, m, before)
	if r.State == Cancelled {
		delete(f.members, r.ID)
		return
	}
	for id, other := range f.members {
		if id != r.ID && other.Address == r.Address {
			delete(f.members, id) // the peer was restarted under another ID
			ss.distributions.leave(f, id, Lost)
		}
	}
	f.members[r.ID] = m
}

// Unregister takes a peer out of the fleet and every swarm. Where another process has the ID than
// the instance, nothing happens; empty means whichever has it. ErrUnknown if it was in none.
func (ss *Swarms) Unregister(id, instance string) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.remove(id, instance)
}

func (ss *Swarms) remove(id, instance string) error {
	if !ss.fleet.ids.leave(id, instance) {
		return nil
	}
	found := ss.fleet.remove(id)
	for _, f := range ss.files.byID {
		if _, ok := f.members[id]; ok {
			found = true
			delete(f.members, id)
			ss.distributions.leave(f, id, Cancelled)
		}
	}
	if !found {
		return fail(ErrUnknown, "no peer %q is registered; GET /v1/peers lists them", id)
	}
	return nil
}

// Forget takes a peer out of the fleet and every swarm, and no rollout waits for it any
// more. Errors: ErrUnknown if it was nowhere; the store's.
func (ss *Swarms) Forget(id string) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	err := ss.remove(id, "")
	waited, storeErr := ss.rollouts.forgetPeer(id)
	if storeErr != nil {
		return storeErr
	}
	if waited {
		return nil
	}
	return err
}

package table

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fanout/tracker/store"
)

const (
	// keepFollower is how long a peer that follows rollouts is known while it is off.
	keepFollower = 30 * 24 * time.Hour
	// expectFollower is how long one that is off counts as asked where all are.
	expectFollower = 24 * time.Hour
	// followerSaved is how old the time may be that the store has of it.
	followerSaved = time.Hour
	// maxShownPeers is how many peers an error names.
	maxShownPeers = 5
)

// awaited says whether a peer may be on although it is not in the fleet: a tracker that was
// started less than a lease ago has not heard of everybody yet.
func (t *Table) awaited(id string, now time.Time) bool {
	f, known := t.followers[id]
	recently := f.SeenAt.After(t.started.Add(-followerSaved-t.lease)) && !f.SeenAt.After(t.started)
	return known && recently && t.fleet[id] == nil && now.Before(t.started.Add(t.lease))
}

// Awaited is how many peers that follow rollouts may be on but have not registered since the
// tracker was started.
func (t *Table) Awaited() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.followers {
		if t.awaited(id, t.now()) {
			n++
		}
	}
	return n
}

// checkFollow refuses peers that would never fetch.
func (t *Table) checkFollow(peers []string) error {
	var unknown, deaf []string
	for _, id := range peers {
		if _, ok := t.followers[id]; ok {
			continue
		}
		if p := t.fleet[id]; p != nil && p.live(t.now()) {
			deaf = append(deaf, id)
		} else {
			unknown = append(unknown, id)
		}
	}
	switch {
	case len(unknown) > 0:
		return invalid("peers", "%s never been registered here; GET /v1/peers lists the peers", have("peer", unknown))
	case len(deaf) > 0:
		return &Error{Kind: ErrNotFollowing, Field: "peers", Text: notFollowing(deaf)}
	}
	return nil
}

func notFollowing(ids []string) string {
	if len(ids) == 1 {
		return fmt.Sprintf("peer %s does not follow rollouts; start it with peerd --follow", ids[0])
	}
	return fmt.Sprintf("peers %s do not follow rollouts; start them with peerd --follow", enumerate(ids))
}

// have is the subject and the auxiliary of a sentence about IDs.
func have(what string, ids []string) string {
	if len(ids) == 1 {
		return what + " " + ids[0] + " has"
	}
	return what + "s " + enumerate(ids) + " have"
}

func enumerate(ids []string) string {
	if len(ids) > maxShownPeers {
		return fmt.Sprintf("%s and %d more", strings.Join(ids[:maxShownPeers], ", "), len(ids)-maxShownPeers)
	}
	return strings.Join(ids, ", ")
}

// wakeFollowers lets those that wait look at their orders again.
func (t *Table) wakeFollowers() {
	close(t.news)
	t.news = make(chan struct{})
}

// noteFollower remembers, or forgets, that a peer that registers follows rollouts.
func (t *Table) noteFollower(p *Peer) error {
	known, was := t.followers[p.ID]
	if !p.Follow {
		if !was {
			return nil
		}
		return t.forgetFollower(p.ID)
	}
	for id, other := range t.followers {
		if id != p.ID && other.Address == p.Address.String() {
			if err := t.forgetFollower(id); err != nil {
				return err // an address has one process behind it
			}
		}
	}
	now := store.Follower{ID: p.ID, Address: p.Address.String(), SeenAt: p.LastSeen}
	if !was || known.Address != now.Address || now.SeenAt.Sub(t.followersSaved[p.ID]) >= followerSaved {
		if err := t.store.SetFollower(now); err != nil {
			return err
		}
		t.followersSaved[p.ID] = now.SeenAt
	}
	t.followers[p.ID] = now
	return nil
}

func (t *Table) forgetFollower(id string) error {
	if err := t.store.ForgetFollower(id); err != nil {
		return err
	}
	delete(t.followers, id)
	delete(t.followersSaved, id)
	return nil
}

// Forget takes a peer out of the fleet and every swarm, and no rollout waits for it any
// more. ErrUnknown if it was nowhere.
func (t *Table) Forget(id string) error {
	err := t.Unregister(id)
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.followers[id]; ok {
		if err := t.forgetFollower(id); err != nil {
			return err
		}
		err = nil
	}
	for _, r := range t.rollouts {
		at, listed := slices.BinarySearch(r.Peers, id)
		if _, reported := r.Outcomes[id]; !listed && !reported {
			continue
		}
		if listed {
			r.Peers = slices.Delete(slices.Clone(r.Peers), at, at+1)
		}
		delete(r.Outcomes, id)
		if err := t.store.SetRollout(r.snapshot()); err != nil {
			return err
		}
		err = nil
	}
	return err
}

package table

import (
	"errors"
	"fmt"
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

// followers are the peers that do what rollouts ask, whether they are on or off, as the store has
// them. A change of the rollouts wakes those that wait for one. The table's mutex guards them.
type followers struct {
	*shared
	known map[string]store.Follower
	saved map[string]time.Time // what the store has of SeenAt
	news  chan struct{}        // closed when there is something new, and made anew
}

func newFollowers(s *shared, stored []store.Follower) *followers {
	fo := &followers{shared: s, known: map[string]store.Follower{}, saved: map[string]time.Time{}, news: make(chan struct{})}
	for _, f := range stored {
		fo.known[f.ID], fo.saved[f.ID] = f, f.SeenAt
	}
	return fo
}

func (fo *followers) has(peer string) bool {
	_, known := fo.known[peer]
	return known
}

// wake lets those that wait look at their orders again.
func (fo *followers) wake() {
	close(fo.news)
	fo.news = make(chan struct{})
}

// note remembers, or forgets, that a peer that registers follows rollouts.
func (fo *followers) note(p *Peer) error {
	known, was := fo.known[p.ID]
	if !p.Follow {
		if !was {
			return nil
		}
		return fo.forget(p.ID)
	}
	for id, other := range fo.known {
		if id != p.ID && other.Address == p.Address.String() {
			if err := fo.forget(id); err != nil {
				return err // an address has one process behind it
			}
		}
	}
	now := store.Follower{ID: p.ID, Address: p.Address.String(), SeenAt: p.LastSeen}
	if !was || known.Address != now.Address || now.SeenAt.Sub(fo.saved[p.ID]) >= followerSaved {
		if err := fo.store.SetFollower(now); err != nil {
			return err
		}
		fo.saved[p.ID] = now.SeenAt
	}
	fo.known[p.ID] = now
	return nil
}

func (fo *followers) forget(id string) error {
	if err := fo.store.ForgetFollower(id); err != nil {
		return err
	}
	delete(fo.known, id)
	delete(fo.saved, id)
	return nil
}

// sweep forgets those that have been off for long.
func (fo *followers) sweep(now time.Time) error {
	var errs []error
	for id, f := range fo.known {
		if now.Sub(f.SeenAt) <= keepFollower {
			continue
		}
		if err := fo.forget(id); err != nil {
			errs = append(errs, fmt.Errorf("forget peer %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
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

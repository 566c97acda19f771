package table

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Peer is a registered peer.
type Peer struct {
	ID          string
	Address     Address // of its chunk listener
	HTTPAddress Address // may be zero
	Follow      bool    // it fetches what rollouts ask for
	Instance    string  // of the process; empty if it does not tell
	Clash       string  // that another running process has the ID; set in what is looked up
	LastSeen    time.Time
	expires     time.Time
}

func (p *Peer) live(now time.Time) bool { return now.Before(p.expires) }

// Fleet are the peers that are registered, whether they download or not.
type Fleet struct {
	*shared
	peers     map[string]*Peer
	ids       *identities
	followers *followers
}

// Register enters a peer into the fleet for one lease. Another peer with the same address is
// gone, since an address has one process behind it. Errors: ErrClash; the store's, for a peer
// that follows rollouts.
func (fl *Fleet) Register(p Peer) error {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	had := fl.ids.has(p.ID, p.Instance)
	if err := fl.ids.claim(p.ID, p.Instance, p.Address, fl.now()); err != nil {
		return err
	}
	if !had {
		fl.followers.wake() // should the process before it live, it speaks at once
	}
	for id, other := range fl.peers {
		if id != p.ID && other.Address == p.Address {
			delete(fl.peers, id)
		}
	}
	p.LastSeen = fl.now()
	p.expires = p.LastSeen.Add(fl.lease)
	if err := fl.followers.note(&p); err != nil {
		return err
	}
	fl.peers[p.ID] = &p
	return nil
}

// peer is a registered one; nil if it is not there, or its lease has run out.
func (fl *Fleet) peer(id string) *Peer {
	if p := fl.peers[id]; p != nil && p.live(fl.now()) {
		return p
	}
	return nil
}

// remove takes a peer out; false if it was not there.
func (fl *Fleet) remove(id string) bool {
	_, found := fl.peers[id]
	delete(fl.peers, id)
	return found
}

// sweep forgets what has run out: leases, and followers that have been off for long.
func (fl *Fleet) sweep(now time.Time) error {
	maps.DeleteFunc(fl.peers, func(_ string, p *Peer) bool { return !p.live(now) })
	fl.ids.sweep(now)
	return fl.followers.sweep(now)
}

// List lists the registered peers in address order.
func (fl *Fleet) List() []Peer {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return fl.live()
}

func (fl *Fleet) live() []Peer {
	now, peers := fl.now(), []Peer{}
	for _, p := range fl.peers {
		if p.live(now) {
			view := *p
			view.Clash, _ = fl.ids.clashOf(p.ID, now)
			peers = append(peers, view)
		}
	}
	slices.SortFunc(peers, func(a, b Peer) int {
		return cmp.Or(a.Address.Compare(b.Address), strings.Compare(a.ID, b.ID))
	})
	return peers
}

func (fl *Fleet) addresses() []Address {
	var addresses []Address
	for _, p := range fl.live() {
		addresses = append(addresses, p.Address)
	}
	return addresses
}

// Daemon is a daemon with an HTTP address.
type Daemon struct{ ID, HTTPAddress string }

// Daemons lists the registered peers that told their HTTP address, in the order of the IDs.
func (fl *Fleet) Daemons() []Daemon {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	var daemons []Daemon
	for _, p := range fl.live() {
		daemons = appendDaemon(daemons, p.ID, p.HTTPAddress)
	}
	return sortDaemons(daemons)
}

func appendDaemon(list []Daemon, id string, http Address) []Daemon {
	if http == (Address{}) {
		return list
	}
	return append(list, Daemon{ID: id, HTTPAddress: http.String()})
}

// sortDaemons sorts and removes repetitions: an origin is listed once for every file it has.
func sortDaemons(list []Daemon) []Daemon {
	slices.SortFunc(list, func(a, b Daemon) int {
		return cmp.Or(byName(a.ID, b.ID), strings.Compare(a.HTTPAddress, b.HTTPAddress))
	})
	return slices.Compact(list)
}

// Speak is asked for a process that calls, but does not register. The error is an ErrClash.
func (fl *Fleet) Speak(peer, instance string) error {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return fl.ids.speaks(peer, instance, Address{}, fl.now())
}

// Superseded says that a process of another instance has registered with the peer's ID.
func (fl *Fleet) Superseded(peer, instance string) bool {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return !fl.ids.has(peer, instance)
}

// awaited says whether a peer may be on although it is not in the fleet: a tracker that was
// started less than a lease ago has not heard of everybody yet.
func (fl *Fleet) awaited(id string, now time.Time) bool {
	f, known := fl.followers.known[id]
	recently := f.SeenAt.After(fl.started.Add(-followerSaved-fl.lease)) && !f.SeenAt.After(fl.started)
	return known && recently && fl.peers[id] == nil && now.Before(fl.started.Add(fl.lease))
}

// Awaited is how many peers that follow rollouts may be on but have not registered since the
// tracker was started.
func (fl *Fleet) Awaited() (n int) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for id := range fl.followers.known {
		if fl.awaited(id, fl.now()) {
			n++
		}
	}
	return n
}

// checkFollow refuses peers that would never fetch.
func (fl *Fleet) checkFollow(peers []string) error {
	var unknown, deaf []string
	for _, id := range peers {
		if fl.followers.has(id) {
			continue
		}
		if fl.peer(id) != nil {
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

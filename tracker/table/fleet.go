package table

import (
	"cmp"
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

// Register enters a peer into the fleet for one lease. Another peer with the same address is
// gone, since an address has one process behind it. Errors: ErrClash; the store's, for a peer
// that follows rollouts.
func (t *Table) Register(p Peer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	had := t.peerIDs.has(p.ID, p.Instance)
	if err := t.peerIDs.claim(p.ID, p.Instance, p.Address, t.now()); err != nil {
		return err
	}
	if !had {
		t.wakeFollowers() // should the process before it live, it speaks at once
	}
	for id, other := range t.fleet {
		if id != p.ID && other.Address == p.Address {
			delete(t.fleet, id)
		}
	}
	p.LastSeen = t.now()
	p.expires = p.LastSeen.Add(t.lease)
	if err := t.noteFollower(&p); err != nil {
		return err
	}
	t.fleet[p.ID] = &p
	return nil
}

// Unregister takes a peer out of the fleet and every swarm. ErrUnknown if it was in none.
func (t *Table) Unregister(id string) error { return t.UnregisterInstance(id, "") }

// UnregisterInstance is Unregister for a process that leaves: where another one has the ID,
// nothing happens.
func (t *Table) UnregisterInstance(id, instance string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.peerIDs.leave(id, instance) {
		return nil
	}
	_, found := t.fleet[id]
	delete(t.fleet, id)
	for _, f := range t.files {
		if _, ok := f.members[id]; ok {
			found = true
			delete(f.members, id)
			t.leave(f, id, Cancelled)
		}
	}
	if !found {
		return fail(ErrUnknown, "no peer %q is registered; GET /v1/peers lists them", id)
	}
	return nil
}

// Fleet lists the registered peers in address order.
func (t *Table) Fleet() []Peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.liveFleet()
}

func (t *Table) liveFleet() []Peer {
	now, peers := t.now(), []Peer{}
	for _, p := range t.fleet {
		if p.live(now) {
			view := *p
			view.Clash, _ = t.peerIDs.clashOf(p.ID, now)
			peers = append(peers, view)
		}
	}
	slices.SortFunc(peers, func(a, b Peer) int {
		return cmp.Or(a.Address.Compare(b.Address), strings.Compare(a.ID, b.ID))
	})
	return peers
}

func (t *Table) fleetAddresses() []Address {
	var addresses []Address
	for _, p := range t.liveFleet() {
		addresses = append(addresses, p.Address)
	}
	return addresses
}

// Daemon is a daemon with an HTTP address.
type Daemon struct{ ID, HTTPAddress string }

// Daemons lists the origins and the registered peers that told their HTTP address, each kind
// in the order of the IDs.
func (t *Table) Daemons() (origins, peers []Daemon) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, f := range t.files {
		for _, o := range f.liveOrigins(now) {
			origins = appendDaemon(origins, o.ID, o.HTTPAddress)
		}
	}
	for _, p := range t.liveFleet() {
		peers = appendDaemon(peers, p.ID, p.HTTPAddress)
	}
	return sortDaemons(origins), sortDaemons(peers)
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

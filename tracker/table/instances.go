package table

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	// keepRival is how long a process that was refused is remembered at least: longer than
	// daemons wait before they try again.
	keepRival = 15 * time.Second
	// maxRemembered bounds the processes that are remembered of an ID.
	maxRemembered = 32
)

// Clash is one ID that two running processes have.
type Clash struct {
	Role             string // peerd or origin
	ID               string
	Keeps, IsRefused Address
}

func (c Clash) String() string {
	at := fmt.Sprintf("at %s and, refused, at %s", c.Keeps, c.IsRefused)
	if c.Keeps == c.IsRefused {
		at = fmt.Sprintf("both say that they are at %s", c.Keeps)
	}
	remedy := "give another --id"
	if c.Role == "peerd" {
		remedy = "delete .fanout/peer-id where its data directory is a copy and start it again, or give another --id"
	}
	return fmt.Sprintf("two running %ss have the ID %s, %s: stop one, or let it have an ID of its own (%s)", c.Role, c.ID, at, remedy)
}

// identities says which process has an ID. Every process has an instance of its own, so one
// that was restarted is a new one and gets the ID at once, however the last one ended: the
// dead do not speak again. Where the one before does, both run, and then the ID is its again
// and the newcomer is refused, until the older one has left or is silent for a lease. The table's
// mutex guards them.
type identities struct {
	role    string
	lease   time.Duration
	byID    map[string]*identity
	onClash func(Clash)
}

// identity is an ID in use.
type identity struct {
	instance string
	address  Address
	order    int // of its arrival among those that had the ID
	arrived  int // that order of the latest
	expires  time.Time
	before   map[string]process // instances that had it
	rivals   map[string]process // instances that are refused
}

// process is where a process was, when it was last heard of, and when it came.
type process struct {
	address Address
	seen    time.Time
	order   int
}

func newIdentities(role string, lease time.Duration) *identities {
	return &identities{role: role, lease: lease, byID: map[string]*identity{}}
}

// claim is asked for whatever a process says under an ID; the error is an ErrClash. A process
// that tells no instance cannot be told from others.
func (s *identities) claim(id, instance string, address Address, now time.Time) error {
	if instance == "" {
		return nil
	}
	c := s.byID[id]
	if c == nil || !now.Before(c.expires) {
		c = &identity{before: map[string]process{}, rivals: map[string]process{}}
		s.byID[id] = c
		c.hold(instance, address, 0, now.Add(s.lease))
		return nil
	}
	if c.instance == instance {
		c.hold(instance, address, c.order, now.Add(s.lease))
		return nil
	}
	r, refused := c.rivals[instance]
	last, known := c.before[instance]
	// The holder has spoken since a third one came, so it lives, and was before this one.
	younger := known && last.order > c.order
	if younger || refused && now.Sub(r.seen) < s.kept() {
		c.rivals[instance] = process{address, now, max(r.order, last.order)}
		delete(c.before, instance)
		return fail(ErrClash, "%s", s.clash(id, c, address).String())
	}
	other, order := process{c.address, now, c.order}, last.order
	if known { // it was here before the holder
		c.rivals[c.instance] = other
	} else {
		c.before[c.instance] = other
		c.arrived++
		order = c.arrived
	}
	delete(c.before, instance)
	delete(c.rivals, instance)
	c.hold(instance, address, order, now.Add(s.lease))
	c.prune()
	if known && s.onClash != nil {
		s.onClash(s.clash(id, c, other.address))
	}
	return nil
}

// speaks is claim for what a process says that may come before it has registered.
func (s *identities) speaks(id, instance string, address Address, now time.Time) error {
	c := s.byID[id]
	if c == nil || !now.Before(c.expires) {
		return nil
	}
	_, older := c.before[instance]
	_, refused := c.rivals[instance]
	if c.instance != instance && !older && !refused {
		return nil
	}
	if address == (Address{}) {
		address = c.addressOf(instance)
	}
	return s.claim(id, instance, address, now)
}

// leave notes that a process has ended; mine is false if another one has the ID.
func (s *identities) leave(id, instance string) (mine bool) {
	c := s.byID[id]
	if c == nil {
		return true
	}
	if instance == "" { // whichever
		instance = c.instance
	}
	if c.instance != instance {
		delete(c.before, instance)
		delete(c.rivals, instance)
		return false
	}
	delete(s.byID, id)
	return true
}

// has is false if another process has the ID.
func (s *identities) has(id, instance string) bool {
	c := s.byID[id]
	return c == nil || instance == "" || c.instance == instance
}

// clashOf is the clash about an ID, if there is one.
func (s *identities) clashOf(id string, now time.Time) (string, bool) {
	c := s.byID[id]
	if c == nil || !now.Before(c.expires) {
		return "", false
	}
	for _, instance := range slices.Sorted(maps.Keys(c.rivals)) {
		if r := c.rivals[instance]; now.Sub(r.seen) < s.kept() {
			return s.clash(id, c, r.address).String(), true
		}
	}
	return "", false
}

// sweep forgets what has run out.
func (s *identities) sweep(now time.Time) {
	maps.DeleteFunc(s.byID, func(_ string, c *identity) bool { return !now.Before(c.expires) })
}

func (s *identities) kept() time.Duration { return max(s.lease, keepRival) }

func (s *identities) clash(id string, c *identity, refused Address) Clash {
	return Clash{Role: s.role, ID: id, Keeps: c.address, IsRefused: refused}
}

func (c *identity) hold(instance string, address Address, order int, until time.Time) {
	c.instance, c.address, c.order, c.expires = instance, address, order, until
}

func (c *identity) addressOf(instance string) Address {
	if p, older := c.before[instance]; older {
		return p.address
	}
	if p, refused := c.rivals[instance]; refused {
		return p.address
	}
	return c.address
}

// prune keeps restarts without end from being remembered without end.
func (c *identity) prune() {
	if len(c.before) > maxRemembered {
		clear(c.before)
	}
	if len(c.rivals) > maxRemembered {
		clear(c.rivals)
	}
}

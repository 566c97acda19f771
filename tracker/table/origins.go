package table

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"fanout/internal/chunks/manifest"
)

// maxSenders bounds the processes whose counters are kept apart.
const maxSenders = 64

// Origin serves a file as its complete source.
type Origin struct {
	ID          string
	Address     Address // of its chunk listener
	HTTPAddress Address // may be zero
	Instance    string  // of the process; empty if it does not tell
	Counts      bool    // it tells what it has sent
	Sent        int64   // bytes of the file, by this process
	heard       time.Time
	expires     time.Time
}

func (o *Origin) live(now time.Time) bool { return now.Before(o.expires) }

// sender names one process of an origin: one that was restarted counts from 0 again.
func (o *Origin) sender() string { return o.ID + "@" + o.Instance }

// Origins are who serves the files: they publish, and renew their leases.
type Origins struct {
	*shared
	files         *Files
	distributions *Distributions
	rollouts      *Rollouts
	ids           *identities
}

// Publish makes the name stand for the manifest and lists the origin. created is false where
// the name stood for it already, so that only the lease was renewed. id must be m.ID(), and m
// valid. Errors: ErrInvalid if name is not the manifest's; ErrClash; the store's.
func (ors *Origins) Publish(name string, m *manifest.Manifest, id manifest.ID, origin Origin) (created bool, err error) {
	if m.Name != name {
		return false, invalid("manifest.name", "the manifest is named %q, but it is published as %q; use the same name", m.Name, name)
	}
	ors.mu.Lock()
	defer ors.mu.Unlock()
	f, created, err := ors.files.publish(id, m)
	if err != nil {
		return false, err
	}
	return created, ors.list(f, origin)
}

// list lists the origin for one lease. An address has one process behind it, so another origin
// that was listed with it is gone. The error is an ErrClash.
func (ors *Origins) list(f *file, o Origin) error {
	now := ors.now()
	if err := ors.ids.claim(o.ID, o.Instance, o.Address, now); err != nil {
		return err
	}
	for id, other := range f.origins {
		if id != o.ID && other.Address == o.Address {
			delete(f.origins, id)
		}
	}
	o.heard, o.expires = now, now.Add(ors.lease)
	f.origins[o.ID] = &o
	ors.noteSent(f, &o)
	ors.distributions.tellFinished(f, now)
	return nil
}

// noteSent takes what an origin says that it has sent to all that count it.
func (ors *Origins) noteSent(f *file, o *Origin) {
	if !o.Counts {
		return
	}
	key := o.sender()
	ors.distributions.noteSent(f, key, o.Sent)
	ors.rollouts.noteSent(f, key, o.Sent)
	if _, known := f.sent[key]; !known && len(f.sent) >= maxSenders {
		clear(f.sent)
	}
	f.sent[key] = o.Sent
}

// Renew lists an origin of a file for another lease. It does not change what a name stands
// for. Errors: ErrUnknown, and the origin should publish; ErrWithdrawn, and it should stop;
// ErrClash.
func (ors *Origins) Renew(name string, o Origin) (Reply, error) {
	ors.mu.Lock()
	defer ors.mu.Unlock()
	f, err := ors.files.resolve(name)
	if err != nil {
		return Reply{}, err
	}
	if err := ors.list(f, o); err != nil {
		return Reply{}, err
	}
	return ors.reply(f, o.ID), nil
}

// Leave takes an origin that stops off the list of a file, with its last report. Errors:
// ErrUnknown, ErrWithdrawn.
func (ors *Origins) Leave(name string, o Origin) (Reply, error) {
	ors.mu.Lock()
	defer ors.mu.Unlock()
	f, err := ors.files.resolve(name)
	if err != nil {
		return Reply{}, err
	}
	ors.ids.leave(o.ID, o.Instance)
	ors.noteSent(f, &o)
	if listed := f.origins[o.ID]; listed != nil && listed.Instance == o.Instance {
		delete(f.origins, o.ID)
		f.leftAt = ors.now()
		ors.distributions.tellFinished(f, f.leftAt)
	}
	return ors.reply(f, o.ID), nil
}

func (ors *Origins) reply(f *file, id string) Reply {
	r := f.reply(id, ors.now(), ors.rand)
	r.RolledOut = ors.rollouts.of(f) != nil
	return r
}

// Withdraw forgets a file, its table and its leases, and remembers that it was withdrawn, so
// that its origins are told when they renew. Errors: ErrUnknown, ErrWithdrawn, the store's.
func (ors *Origins) Withdraw(name string) error {
	ors.mu.Lock()
	defer ors.mu.Unlock()
	f, err := ors.files.resolve(name)
	if err != nil {
		return err
	}
	if err := ors.files.withdraw(f); err != nil {
		return err
	}
	for id := range f.members {
		ors.distributions.leave(f, id, Cancelled)
	}
	ors.rollouts.forgetFile(f)
	return nil
}

// Daemons lists the origins that told their HTTP address, in the order of the IDs.
func (ors *Origins) Daemons() []Daemon {
	ors.mu.Lock()
	defer ors.mu.Unlock()
	var daemons []Daemon
	now := ors.now()
	for _, f := range ors.files.byID {
		for _, o := range f.liveOrigins(now) {
			daemons = appendDaemon(daemons, o.ID, o.HTTPAddress)
		}
	}
	return sortDaemons(daemons)
}

// liveOrigins are the listed ones, in address order.
func (f *file) liveOrigins(now time.Time) []Origin {
	origins := []Origin{}
	for _, o := range f.origins {
		if o.live(now) {
			origins = append(origins, *o)
		}
	}
	slices.SortFunc(origins, func(a, b Origin) int {
		return cmp.Or(a.Address.Compare(b.Address), strings.Compare(a.ID, b.ID))
	})
	return origins
}

// reportedAt is since when every listed origin has reported; zero without origins.
func (f *file) reportedAt(now time.Time) (at time.Time) {
	for _, o := range f.origins {
		if o.live(now) && (at.IsZero() || o.heard.Before(at)) {
			at = o.heard
		}
	}
	return at
}

// awaitsOrigins says that an origin which counts has not reported since then.
func (f *file) awaitsOrigins(since, now time.Time) bool {
	for _, o := range f.origins {
		if o.Counts && o.live(now) && o.heard.Before(since) {
			return true
		}
	}
	return false
}

package swarm

import (
	"slices"
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/rendezvous"
)

const (
	// farTimes is how many times longer than from a near neighbour a chunk takes from who is far.
	farTimes = 3
	// nearPart is which of the neighbours, from the fastest, is surely a near one: among many that are
	// equally far, the fastest is so by chance.
	nearPart = 4
	// dealt is after how many chunks their division begins anew, as there may be a million of them.
	dealt = 4096
	// toldOnly is how many chunks one that is far, and has taken a push back, is only told of.
	toldOnly = 16
)

// vicinity is who is near and who is far: chunks take far longer to come from there, as over a trunk that is
// shared, or from a slow uplink. What the near ones get from afar is to come once. So every chunk is the
// business of one of them, by rendezvous hashing: without a word, all know whose, and of one that comes or
// goes only its share changes hands. The others get the chunk from that one.
type vicinity struct {
	self  string
	usual time.Duration // how long after another a chunk comes from a near neighbour
	near  []*partner
	mine  *bitset.BitSet // what this peer is the first for, among the near
	share *bitset.BitSet // that, without what the near hold; as of the last toBring
}

func newVicinity(self string, chunks int) vicinity {
	return vicinity{self: self, usual: firstPace, mine: bitset.New(uint(chunks)).Complement(), share: bitset.New(uint(chunks))}
}

// survey looks who is near, and who is far.
func (d *demand) survey(now time.Time) {
	var paces []time.Duration
	for _, p := range d.peers.all {
		if p.pace > 0 {
			paces = append(paces, p.pace)
		}
	}
	d.usual = usualPace(paces)
	far := func(s *supplier) bool { return len(paces) > 1 && s.pace > farTimes*d.usual }
	var near []*partner
	for _, p := range d.peers.all {
		p.far = far(&p.supplier)
		if p.pace > 0 && !p.far && !p.until.After(now) {
			near = append(near, p)
		}
	}
	for _, o := range d.origins.all {
		o.far = far(&o.supplier)
	}
	d.vicinity.gather(near)
}

// usualPace is that of a near neighbour, of all that are known, which it sorts. Where slow ones are so many that
// few others are near, these are who comes before a gap.
func usualPace(paces []time.Duration) time.Duration {
	if len(paces) == 0 {
		return firstPace
	}
	slices.Sort(paces)
	near := (len(paces) - 1) / nearPart
	for i := 1; i < near; i++ { // the very fastest may be so by chance
		if paces[i+1] > farTimes*paces[i] {
			near = i
		}
	}
	return paces[near]
}

// gather divides the chunks among these and this peer.
func (v *vicinity) gather(near []*partner) {
	if slices.Equal(near, v.near) {
		return
	}
	v.near = near
	own, others := rendezvous.Seed(v.self), make([]uint64, len(near))
	for i, p := range near {
		others[i] = rendezvous.Seed(p.peer)
	}
	for c := range min(dealt, int(v.mine.Len())) {
		mine := rendezvous.Weight(own, c)
		v.mine.SetTo(uint(c), !slices.ContainsFunc(others, func(o uint64) bool { return rendezvous.Weight(o, c) > mine }))
	}
	if v.mine.Len() > dealt {
		for words := v.mine.Words(); len(words) > dealt/64; words = words[dealt/64:] {
			copy(words[dealt/64:], words[:dealt/64])
		}
	}
}

// fromAfar is what may be asked of a supplier: of one that is far, this peer's share without what somebody
// near holds; nil where it is everything, as of who is near, or when nothing else is on its way.
func (d *demand) fromAfar(s *supplier) *bitset.BitSet {
	if !s.far || d.claimed() == 0 {
		return nil
	}
	return d.toBring()
}

// toBring is this peer's share, without what somebody near holds.
func (v *vicinity) toBring() *bitset.BitSet {
	v.mine.CopyFull(v.share)
	for _, p := range v.near {
		v.share.InPlaceDifference(p.holding.chunks)
	}
	return v.share
}

// welcome says whether what a peer offers may come. One that has never brought anything may have no more in
// hand than a peer pushes; of one that is far it is one chunk at a time: what is declined comes sooner from a
// near one that has accepted another.
func (d *demand) welcome(p *partner, chunk int) bool {
	if !p.view.Proven() && p.view.Claims() >= pushed {
		return false
	}
	share := d.fromAfar(&p.supplier)
	return share == nil || p.view.Claims() == 0 && share.Test(uint(chunk))
}

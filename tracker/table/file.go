package table

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"fanout/tracker/store"
)

// file is one published manifest, and what each part of the table knows of it. The table's mutex
// guards it.
type file struct {
	store.File           // of Files
	loadedAt   time.Time // from the store at the start, zero if published since

	// Of Origins.
	origins map[string]*Origin
	sent    map[string]int64 // by the process of an origin: what it last said that it has sent
	leftAt  time.Time        // when an origin left last; zero for never

	members map[string]*member // of Swarms
	dist    *distribution      // of Distributions; nil: none yet

	// Of Chunks.
	assigned *Assignment // nil: none yet; see Chunks.Static for when it counts
	uploaded bool        // assigned was
}

func newFile(s store.File) *file {
	return &file{File: s, origins: map[string]*Origin{}, sent: map[string]int64{}, members: map[string]*member{}}
}

// restoreFile is the file of what was stored.
func restoreFile(s store.File, now time.Time) (*file, error) {
	f := newFile(s)
	f.loadedAt = now
	if s.Table != nil {
		a, err := restore(s.Table.Owners)
		if err != nil {
			return nil, err
		}
		f.assigned, f.uploaded, f.Table = a, s.Table.Uploaded, nil
	}
	return f, nil
}

// disused reports whether nobody uses a superseded file that was swept. After a start the leases
// need time to come back.
func (f *file) disused(now time.Time, lease time.Duration) bool {
	return !f.SupersededAt.IsZero() && len(f.origins) == 0 && len(f.members) == 0 &&
		now.Sub(f.SupersededAt) >= keepSuperseded && now.Sub(f.loadedAt) >= 2*lease
}

func (f *file) view(now time.Time) FileView {
	v := FileView{
		ID: f.ID, Name: f.Name, Current: f.SupersededAt.IsZero(), Size: f.Size, ChunkSize: f.ChunkSize,
		Chunks: f.Chunks, PublishedAt: f.PublishedAt, Origins: f.liveOrigins(now),
	}
	for _, m := range f.members {
		if m.live(now) {
			v.Peers++
			if m.complete(f.Chunks) {
				v.PeersComplete++
			}
		}
	}
	return v
}

// reply answers an announce, but for what rollouts have to do with it. r chooses among more peers
// than there is room for.
func (f *file) reply(asker string, now time.Time, r *rand.Rand) Reply {
	active := 0
	var peers []SwarmPeer
	for id, m := range f.members {
		if m.live(now) && m.State == Downloading {
			active++
		}
		if id != asker && m.live(now) && m.shares() {
			peers = append(peers, SwarmPeer{ID: id, Address: m.Address})
		}
	}
	// The map's order is random, too, but cannot be reproduced from a seed.
	slices.SortFunc(peers, func(a, b SwarmPeer) int { return strings.Compare(a.ID, b.ID) })
	r.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	return Reply{ID: f.ID, Origins: f.liveOrigins(now), Peers: peers[:min(len(peers), MaxPeers)], Active: active}
}

// known is the last report of a peer, whether it is still listed or not.
func (f *file) known(id string) *member {
	if m := f.members[id]; m != nil {
		return m
	}
	if f.dist != nil && f.dist.peers[id] != nil {
		return f.dist.peers[id].last
	}
	return nil
}

func (f *file) membersByAddress(now time.Time) []*member {
	var members []*member
	for _, m := range f.members {
		if m.live(now) {
			members = append(members, m)
		}
	}
	slices.SortFunc(members, func(a, b *member) int { return a.Address.Compare(b.Address) })
	return members
}

// obtainable says that an origin, or the peers of the swarm together, have every chunk.
func (f *file) obtainable(now time.Time) bool {
	if len(f.liveOrigins(now)) > 0 {
		return true
	}
	all := make(Bitmap, len(fullBitmap(f.Chunks)))
	for _, m := range f.members {
		if !m.live(now) || !m.shares() {
			continue
		}
		for i := range min(len(all), len(m.Held)) {
			all[i] |= m.Held[i]
		}
	}
	return all.count() == f.Chunks
}

// bytes that a member holds; the last chunk may be shorter.
func (f *file) bytes(m *member) int64 {
	n := int64(m.heldCount) * f.ChunkSize
	if f.Chunks > 0 && m.Held.has(f.Chunks-1) {
		n -= int64(f.Chunks)*f.ChunkSize - f.Size
	}
	return n
}

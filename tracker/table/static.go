package table

import (
	"slices"
	"strings"

	"fanout/internal/chunks/trackerfile"
)

// Assignment says who owns which chunk. It does not change once made.
type Assignment struct {
	peers []Address // distinct
	owner []uint32  // chunk -> index into peers
}

// Chunks is how many chunks are assigned.
func (a *Assignment) Chunks() int { return len(a.owner) }

// Owner of a chunk.
func (a *Assignment) Owner(chunk int) Address { return a.peers[a.owner[chunk]] }

func (a *Assignment) owners() []string {
	owners := make([]string, len(a.owner))
	for i := range owners {
		owners[i] = a.Owner(i).String()
	}
	return owners
}

// roundRobin assigns the chunks to the peers in address order, one after the other: so every
// chunk has one owner, and no peer has more than one chunk more than another.
func roundRobin(peers []Address, chunks int) *Assignment {
	peers = slices.SortedFunc(slices.Values(peers), Address.Compare)
	peers = slices.CompactFunc(peers, func(a, b Address) bool { return a.Compare(b) == 0 })
	a := &Assignment{peers: peers, owner: make([]uint32, chunks)}
	for chunk := range a.owner {
		a.owner[chunk] = uint32(chunk % len(peers))
	}
	return a
}

// resolve makes an assignment of a tracker file whose owners are peers: their chunk
// addresses, or bare hosts where one peer has that.
func resolve(entries []trackerfile.Entry, peers []Address) (*Assignment, error) {
	a := &Assignment{owner: make([]uint32, len(entries))}
	known := map[string]uint32{} // text -> index into a.peers
	for chunk, e := range entries {
		index, ok := known[e.Owner]
		if !ok {
			peer, err := findPeer(e, chunk, peers)
			if err != nil {
				return nil, err
			}
			index = a.add(peer)
			known[e.Owner] = index
		}
		a.owner[chunk] = index
	}
	return a, nil
}

func (a *Assignment) add(peer Address) uint32 {
	i := slices.Index(a.peers, peer)
	if i < 0 {
		i = len(a.peers)
		a.peers = append(a.peers, peer)
	}
	return uint32(i)
}

func findPeer(e trackerfile.Entry, chunk int, peers []Address) (Address, error) {
	var sameHost []Address
	full, err := ParseAddress("", e.Owner)
	for _, p := range peers {
		if err == nil && p.Compare(full) == 0 {
			return p, nil
		}
		if hostIs(p, e.Owner) {
			sameHost = append(sameHost, p)
		}
	}
	switch len(sameHost) {
	case 1:
		return sameHost[0], nil
	case 0:
		return Address{}, fail(ErrInvalid, "line %d: chunk %d: %q is no registered peer; GET /v1/peers lists them",
			e.Line, chunk, e.Owner)
	}
	return Address{}, fail(ErrInvalid, "line %d: chunk %d: %q has %d peers, %s and %s among them; add the port",
		e.Line, chunk, e.Owner, len(sameHost), sameHost[0], sameHost[1])
}

// hostIs compares a peer's host with what was written, which may be another spelling of its IP.
func hostIs(p Address, written string) bool {
	if p.host == written {
		return true
	}
	other, err := ParseAddress("", "["+strings.Trim(written, "[]")+"]:1")
	return err == nil && p.ip.IsValid() && other.ip == p.ip
}

// restore is the assignment of stored owners, which are addresses by construction.
func restore(owners []string) (*Assignment, error) {
	a := &Assignment{owner: make([]uint32, len(owners))}
	known := map[string]uint32{}
	for chunk, text := range owners {
		index, ok := known[text]
		if !ok {
			peer, err := ParseAddress("owner", text)
			if err != nil {
				return nil, err
			}
			index = a.add(peer)
			known[text] = index
		}
		a.owner[chunk] = index
	}
	return a, nil
}

package table

import (
	"time"

	"fanout/internal/chunks/manifest"
)

// MaxPeers is how many peers an announce is answered with.
const MaxPeers = 64

// State of a download, as the peer reports it.
type State string

// The states.
const (
	Queued      State = "queued"
	Downloading State = "downloading"
	Paused      State = "paused"
	Complete    State = "complete"
	Failed      State = "failed"
	Cancelled   State = "cancelled"
)

// States are all states, in the order of a download's life.
func States() []State { return []State{Queued, Downloading, Paused, Complete, Failed, Cancelled} }

// Strategy of a download.
type Strategy string

// The strategies.
const (
	Direct Strategy = "direct"
	Static Strategy = "static"
	Swarm  Strategy = "swarm"
)

// Report is what a peer says about its download.
type Report struct {
	ID              string
	Address         Address
	Strategy        Strategy // Swarm if empty
	State           State    // Downloading if empty
	Held            Bitmap   // verified chunks; nil means none, or all if Complete
	Owned           Bitmap   // chunks that it brings from the origin; nil means none
	BytesFromOrigin int64
	BytesFromPeers  int64
	Instance        string        // of the process; empty if it does not tell
	Rollout         string        // that this report answers; empty for none
	EndedAgo        time.Duration // how long Complete, Failed or Cancelled has been so
	Error           string        // why it failed, or what it waits for
}

// SwarmPeer is a member of a swarm as others need it.
type SwarmPeer struct {
	ID      string
	Address Address
}

// Reply answers an announce.
type Reply struct {
	ID        manifest.ID
	Origins   []Origin    // in address order
	Peers     []SwarmPeer // in random order
	Active    int         // peers of the swarm that are downloading
	RolledOut bool        // a rollout asks for the file
	// Abandoned says that the rollout which the report names was ended, and that nobody can
	// serve what is missing.
	Abandoned bool
}

// member is a peer of a swarm with its lease. It does not change: the next announce replaces
// it.
type member struct {
	Report
	heldCount, ownedCount int
	seen, expires         time.Time
	version               uint64  // no two reports have the same
	rate                  float64 // bytes a second
	markAt                time.Time
	markBytes             int64 // received at markAt, from when on the next rate is measured
}

func (m *member) live(now time.Time) bool { return now.Before(m.expires) }

// shares reports whether others can get chunks from it.
func (m *member) shares() bool { return m.State == Downloading || m.State == Complete }

// static reports whether it takes part in a static download.
func (m *Report) static() bool {
	return m.Strategy == Static && m.State != Failed && m.State != Cancelled
}

// complete reports whether it has every chunk of that many. One that failed then has not got
// the file that was wanted.
func (m *member) complete(chunks int) bool {
	return m.State == Complete || m.State != Failed && chunks > 0 && m.heldCount == chunks
}

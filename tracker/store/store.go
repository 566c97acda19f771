// Package store keeps what the tracker must still know after a restart: manifests, what the
// names stand for, owner tables, what was withdrawn, rollouts and the peers that follow them.
// There are two implementations, one in a file (Open) and one in memory (NewMemory);
// storetest checks both against the contract below.
//
// It knows no leases, no peers' state and no HTTP: those refill by themselves.
package store

import (
	"errors"
	"time"

	"fanout/internal/chunks/manifest"
)

// Errors to tell apart with errors.Is.
var (
	ErrNotFound = errors.New("manifest not stored")
	ErrNoRoom   = errors.New("the tracker cannot store it") // for want of disk space
)

// File is a stored manifest without its digests.
type File struct {
	ID           manifest.ID
	Name         string
	Size         int64 // bytes
	ChunkSize    int64 // bytes
	Chunks       int
	PublishedAt  time.Time
	SupersededAt time.Time // zero while the name stands for this manifest
	Table        *OwnerTable
}

// OwnerTable says who owns which chunk in static downloads.
type OwnerTable struct {
	Owners   []string // chunk address of the owner, indexed by chunk
	Uploaded bool     // by a user; otherwise assigned by the tracker
}

// Withdrawal is what is left of a withdrawn file.
type Withdrawal struct {
	ID   manifest.ID
	Name string
	At   time.Time
}

// Follower is a peer that fetches what rollouts ask for.
type Follower struct {
	ID      string
	Address string // of its chunk listener
	SeenAt  time.Time
}

// Rollout asks peers to fetch a file. There is one a name.
type Rollout struct {
	ID        string // another one each time that it is asked for
	Manifest  manifest.ID
	Name      string
	All       bool     // every peer that follows rollouts is asked, else Peers are
	Peers     []string // sorted
	Strategy  string
	SHA256    string // empty if none was given
	StartedAt time.Time
	Outcomes  map[string]Outcome // by peer
	Sent      map[string]Sending // by the process of an origin
}

// Sending is the counter of what a process of an origin has sent of a file.
type Sending struct {
	Since int64 `json:"since"` // when the rollout began, or the process was first heard of
	Total int64 `json:"total"`
}

// Outcome is what is known of a peer that a rollout asks.
type Outcome struct {
	State      string    `json:"state,omitempty"` // of its download; empty before it has reported
	AskedAt    time.Time `json:"asked_at,omitzero"`
	BeganAt    time.Time `json:"began_at,omitzero"`    // its last work for the rollout
	FinishedAt time.Time `json:"finished_at,omitzero"` // when it was complete or failed
	// CompletedAt is when it was first complete; it may have lost the file since.
	CompletedAt time.Time `json:"completed_at,omitzero"`
	Chunks      int       `json:"chunks"`
	Bytes       int64     `json:"bytes"`
	FromOrigin  int64     `json:"from_origin"` // bytes since BeganAt
	FromPeers   int64     `json:"from_peers"`
	// What the download had received when the work began.
	OriginBefore int64  `json:"origin_before,omitempty"`
	PeersBefore  int64  `json:"peers_before,omitempty"`
	Error        string `json:"error,omitempty"`
}

// State is everything but the digests.
type State struct {
	Files     []File // in no particular order
	Withdrawn []Withdrawal
	Rollouts  []Rollout
	Followers []Follower
}

// Store is safe for concurrent use. A change that has returned nil is durable, as far as the
// implementation is at all; one that has failed has changed nothing. Times keep at least
// microseconds. Callers do not modify what they pass or get.
type Store interface {
	// Load reads everything.
	Load() (State, error)
	// Publish stores a manifest and makes its name stand for it. Another manifest that the
	// name stood for is superseded from then on. A withdrawal of the manifest is forgotten.
	// Publishing what is there already moves its time; its table stays.
	Publish(id manifest.ID, m *manifest.Manifest, at time.Time) error
	// Manifest gets a manifest with its digests, or ErrNotFound.
	Manifest(id manifest.ID) (*manifest.Manifest, error)
	// SetTable stores the table of a manifest, in place of the former; ErrNotFound.
	SetTable(id manifest.ID, t OwnerTable) error
	// ClearTable removes the table, if there is one.
	ClearTable(id manifest.ID) error
	// Withdraw removes a manifest with its table and rollout, and its name if that stands for
	// it, and remembers that it was withdrawn; ErrNotFound.
	Withdraw(id manifest.ID, at time.Time) error
	// Drop removes a superseded manifest with its table and rollout, if it is there, without
	// a trace.
	Drop(id manifest.ID) error
	// ForgetWithdrawal forgets that a manifest was withdrawn, if it was.
	ForgetWithdrawal(id manifest.ID) error
	// SetRollout stores the rollout of a name, in place of the former; ErrNotFound if its
	// manifest is not stored.
	SetRollout(r Rollout) error
	// EndRollout removes the rollout of a name, if there is one.
	EndRollout(name string) error
	// SetFollower stores a follower, in place of what was stored of it.
	SetFollower(f Follower) error
	// ForgetFollower removes a follower, if it is there.
	ForgetFollower(id string) error
	// Close ends the use of the store.
	Close() error
}

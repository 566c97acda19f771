package store

import (
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"fanout/internal/chunks/manifest"
)

// rollout is a Rollout as JSON; its name is the key.
type rollout struct {
	ID        string             `json:"id"`
	Manifest  string             `json:"manifest_id"`
	All       bool               `json:"all"`
	Peers     []string           `json:"peers,omitempty"`
	Strategy  string             `json:"strategy"`
	SHA256    string             `json:"sha256,omitempty"`
	StartedAt time.Time          `json:"started_at"`
	Outcomes  map[string]Outcome `json:"outcomes,omitempty"`
	Sent      map[string]Sending `json:"sent,omitempty"`
}

// follower is a Follower as JSON; its ID is the key.
type follower struct {
	Address string    `json:"address"`
	SeenAt  time.Time `json:"seen_at"`
}

func loadRollouts(tx *bolt.Tx) (rollouts []Rollout, followers []Follower, err error) {
	err = tx.Bucket(rolloutsBucket).ForEach(func(name, value []byte) error {
		r, err := decodeRollout(string(name), value)
		rollouts = append(rollouts, r)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	err = tx.Bucket(followersBucket).ForEach(func(id, value []byte) error {
		var f follower
		if err := json.Unmarshal(value, &f); err != nil {
			return fmt.Errorf("follower %s: %w", id, err)
		}
		followers = append(followers, Follower{ID: string(id), Address: f.Address, SeenAt: f.SeenAt})
		return nil
	})
	return rollouts, followers, err
}

func decodeRollout(name string, value []byte) (Rollout, error) {
	var r rollout
	err := json.Unmarshal(value, &r)
	var id manifest.ID
	if err == nil {
		id, err = manifest.ParseID(r.Manifest)
	}
	if err != nil {
		return Rollout{}, fmt.Errorf("rollout of %q: %w", name, err)
	}
	return Rollout{
		ID: r.ID, Manifest: id, Name: name, All: r.All, Peers: r.Peers, Strategy: r.Strategy, SHA256: r.SHA256,
		StartedAt: r.StartedAt, Outcomes: r.Outcomes, Sent: r.Sent,
	}, nil
}

// SetRollout implements Store.
func (s *Bolt) SetRollout(r Rollout) error {
	return s.update(func(tx *bolt.Tx) error {
		if tx.Bucket(manifestsBucket).Get(r.Manifest[:]) == nil {
			return ErrNotFound
		}
		return putJSON(tx.Bucket(rolloutsBucket), []byte(r.Name), rollout{
			ID: r.ID, Manifest: r.Manifest.String(), All: r.All, Peers: r.Peers, Strategy: r.Strategy, SHA256: r.SHA256,
			StartedAt: r.StartedAt, Outcomes: r.Outcomes, Sent: r.Sent,
		})
	})
}

// EndRollout implements Store.
func (s *Bolt) EndRollout(name string) error {
	return s.update(func(tx *bolt.Tx) error { return tx.Bucket(rolloutsBucket).Delete([]byte(name)) })
}

// endRolloutOf removes the rollout of a name if it is one of this manifest.
func endRolloutOf(tx *bolt.Tx, name string, id manifest.ID) error {
	bucket := tx.Bucket(rolloutsBucket)
	value := bucket.Get([]byte(name))
	if value == nil {
		return nil
	}
	r, err := decodeRollout(name, value)
	if err != nil || r.Manifest != id {
		return err
	}
	return bucket.Delete([]byte(name))
}

// SetFollower implements Store.
func (s *Bolt) SetFollower(f Follower) error {
	return s.update(func(tx *bolt.Tx) error {
		return putJSON(tx.Bucket(followersBucket), []byte(f.ID), follower{Address: f.Address, SeenAt: f.SeenAt})
	})
}

// ForgetFollower implements Store.
func (s *Bolt) ForgetFollower(id string) error {
	return s.update(func(tx *bolt.Tx) error { return tx.Bucket(followersBucket).Delete([]byte(id)) })
}

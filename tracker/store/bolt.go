package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/trackerfile"
)

// FileName of the database below the data directory.
const FileName = "tracker.db"

// lockTimeout is how long Open waits for another tracker to let go of the database, which is
// the time that one has for its shutdown in a restart.
const lockTimeout = 3 * time.Second

// Buckets. The keys are manifest IDs, 32 bytes, where nothing else is said.
var (
	manifestsBucket = []byte("manifests") // canonical encoding
	metaBucket      = []byte("meta")      // meta as JSON
	namesBucket     = []byte("names")     // name -> manifest ID that it stands for
	tablesBucket    = []byte("tables")    // 'U' uploaded or 'A' assigned, then a tracker file
	withdrawnBucket = []byte("withdrawn") // withdrawn as JSON
	rolloutsBucket  = []byte("rollouts")  // name -> rollout as JSON
	followersBucket = []byte("followers") // peer ID -> follower as JSON
)

type meta struct {
	PublishedAt  time.Time `json:"published_at"`
	SupersededAt time.Time `json:"superseded_at,omitzero"`
}

type withdrawn struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// Bolt is a Store in one file, by bbolt: a transaction a change, synced to the disk.
type Bolt struct{ db *bolt.DB }

var _ Store = (*Bolt)(nil)

// Open opens the store below dir, which it creates if need be. It waits a few seconds for
// another process that has it open.
func Open(dir string) (*Bolt, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	path := filepath.Join(dir, FileName)
	var db *bolt.DB
	err := guard(path, func() (err error) {
		db, err = bolt.Open(path, 0o644, &bolt.Options{Timeout: lockTimeout})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, damaged(path, err)
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is in use by another tracker: stop it or choose another --data-dir", path)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("data directory %s: cannot write %s: permission denied", dir, FileName)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := verify(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, b := range [][]byte{
			manifestsBucket, metaBucket, namesBucket, tablesBucket, withdrawnBucket, rolloutsBucket, followersBucket,
		} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", path, err), db.Close())
	}
	return &Bolt{db: db}, nil
}

// Close implements Store.
func (s *Bolt) Close() error { return s.db.Close() }

// Load implements Store.
func (s *Bolt) Load() (State, error) {
	var state State
	err := s.db.View(func(tx *bolt.Tx) error {
		err := tx.Bucket(manifestsBucket).ForEach(func(key, value []byte) error {
			f, err := loadFile(tx, manifest.ID(key), value)
			if err != nil {
				return fmt.Errorf("manifest %x: %w", key, err)
			}
			state.Files = append(state.Files, f)
			return nil
		})
		if err != nil {
			return err
		}
		err = tx.Bucket(withdrawnBucket).ForEach(func(key, value []byte) error {
			var w withdrawn
			if err := json.Unmarshal(value, &w); err != nil {
				return fmt.Errorf("withdrawal of %x: %w", key, err)
			}
			state.Withdrawn = append(state.Withdrawn, Withdrawal{ID: manifest.ID(key), Name: w.Name, At: w.At})
			return nil
		})
		if err != nil {
			return err
		}
		state.Rollouts, state.Followers, err = loadRollouts(tx)
		return err
	})
	if err != nil {
		return State{}, damaged(s.db.Path(), err)
	}
	return state, nil
}

func loadFile(tx *bolt.Tx, id manifest.ID, encoded []byte) (File, error) {
	m, err := manifest.Decode(encoded)
	if err != nil {
		return File{}, err
	}
	var about meta
	if err := json.Unmarshal(tx.Bucket(metaBucket).Get(id[:]), &about); err != nil {
		return File{}, err
	}
	t, err := decodeTable(tx.Bucket(tablesBucket).Get(id[:]), m.Chunks())
	if err != nil {
		return File{}, err
	}
	return describe(id, m, about.PublishedAt, about.SupersededAt, t), nil
}

// Publish implements Store.
func (s *Bolt) Publish(id manifest.ID, m *manifest.Manifest, at time.Time) error {
	return s.update(func(tx *bolt.Tx) error {
		names := tx.Bucket(namesBucket)
		if old := names.Get([]byte(m.Name)); old != nil && !bytes.Equal(old, id[:]) {
			if err := supersede(tx, old, at); err != nil {
				return err
			}
		}
		return errors.Join(
			tx.Bucket(manifestsBucket).Put(id[:], m.Encode()),
			putJSON(tx.Bucket(metaBucket), id[:], meta{PublishedAt: at}),
			names.Put([]byte(m.Name), id[:]),
			tx.Bucket(withdrawnBucket).Delete(id[:]),
		)
	})
}

func supersede(tx *bolt.Tx, id []byte, at time.Time) error {
	metas := tx.Bucket(metaBucket)
	var about meta
	if err := json.Unmarshal(metas.Get(id), &about); err != nil {
		return fmt.Errorf("manifest %x: %w", id, err)
	}
	about.SupersededAt = at
	return putJSON(metas, id, about)
}

func putJSON(b *bolt.Bucket, key []byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, data)
}

// Manifest implements Store.
func (s *Bolt) Manifest(id manifest.ID) (m *manifest.Manifest, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		data := tx.Bucket(manifestsBucket).Get(id[:])
		if data == nil {
			return ErrNotFound
		}
		m, err = manifest.Decode(data)
		return err
	})
	return m, err
}

// SetTable implements Store.
func (s *Bolt) SetTable(id manifest.ID, t OwnerTable) error {
	return s.update(func(tx *bolt.Tx) error {
		if tx.Bucket(manifestsBucket).Get(id[:]) == nil {
			return ErrNotFound
		}
		return tx.Bucket(tablesBucket).Put(id[:], encodeTable(t))
	})
}

// ClearTable implements Store.
func (s *Bolt) ClearTable(id manifest.ID) error {
	return s.update(func(tx *bolt.Tx) error { return tx.Bucket(tablesBucket).Delete(id[:]) })
}

// Withdraw implements Store.
func (s *Bolt) Withdraw(id manifest.ID, at time.Time) error {
	return s.update(func(tx *bolt.Tx) error {
		name, err := remove(tx, id)
		if err != nil {
			return err
		}
		return putJSON(tx.Bucket(withdrawnBucket), id[:], withdrawn{Name: name, At: at})
	})
}

// Drop implements Store.
func (s *Bolt) Drop(id manifest.ID) error {
	return s.update(func(tx *bolt.Tx) error {
		if _, err := remove(tx, id); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		return nil
	})
}

func remove(tx *bolt.Tx, id manifest.ID) (name string, err error) {
	manifests, names := tx.Bucket(manifestsBucket), tx.Bucket(namesBucket)
	data := manifests.Get(id[:])
	if data == nil {
		return "", ErrNotFound
	}
	m, err := manifest.Decode(data)
	if err != nil {
		return "", err
	}
	if bytes.Equal(names.Get([]byte(m.Name)), id[:]) {
		err = names.Delete([]byte(m.Name))
	}
	return m.Name, errors.Join(err, manifests.Delete(id[:]), endRolloutOf(tx, m.Name, id),
		tx.Bucket(metaBucket).Delete(id[:]), tx.Bucket(tablesBucket).Delete(id[:]))
}

// ForgetWithdrawal implements Store.
func (s *Bolt) ForgetWithdrawal(id manifest.ID) error {
	return s.update(func(tx *bolt.Tx) error { return tx.Bucket(withdrawnBucket).Delete(id[:]) })
}

func encodeTable(t OwnerTable) []byte {
	out := []byte{'A'}
	if t.Uploaded {
		out[0] = 'U'
	}
	for chunk, owner := range t.Owners {
		out = trackerfile.AppendLine(out, chunk, owner)
	}
	return out
}

func decodeTable(data []byte, chunks int) (*OwnerTable, error) {
	if len(data) == 0 {
		return nil, nil
	}
	entries, err := trackerfile.Parse(bytes.NewReader(data[1:]), chunks)
	if err != nil {
		return nil, err
	}
	t := &OwnerTable{Owners: make([]string, chunks), Uploaded: data[0] == 'U'}
	shared := map[string]string{} // few peers own many chunks
	for i, e := range entries {
		if _, ok := shared[e.Owner]; !ok {
			shared[e.Owner] = strings.Clone(e.Owner)
		}
		t.Owners[i] = shared[e.Owner]
	}
	return t, nil
}

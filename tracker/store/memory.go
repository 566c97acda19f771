package store

import (
	"maps"
	"slices"
	"sync"
	"time"

	"fanout/internal/chunks/manifest"
)

// Memory is a Store that lasts as long as the process.
type Memory struct {
	mu        sync.Mutex
	files     map[manifest.ID]*memoryFile
	names     map[string]manifest.ID
	withdrawn map[manifest.ID]Withdrawal
	rollouts  map[string]Rollout
	followers map[string]Follower
}

type memoryFile struct {
	manifest                  *manifest.Manifest
	publishedAt, supersededAt time.Time
	table                     *OwnerTable
}

var _ Store = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		files:     map[manifest.ID]*memoryFile{},
		names:     map[string]manifest.ID{},
		withdrawn: map[manifest.ID]Withdrawal{},
		rollouts:  map[string]Rollout{},
		followers: map[string]Follower{},
	}
}

// Load implements Store.
func (s *Memory) Load() (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var state State
	for id, f := range s.files {
		state.Files = append(state.Files, describe(id, f.manifest, f.publishedAt, f.supersededAt, f.table))
	}
	for _, w := range s.withdrawn {
		state.Withdrawn = append(state.Withdrawn, w)
	}
	state.Rollouts = slices.Collect(maps.Values(s.rollouts))
	state.Followers = slices.Collect(maps.Values(s.followers))
	return state, nil
}

func describe(id manifest.ID, m *manifest.Manifest, published, superseded time.Time, t *OwnerTable) File {
	return File{
		ID: id, Name: m.Name, Size: m.Size, ChunkSize: m.ChunkSize, Chunks: m.Chunks(),
		PublishedAt: published, SupersededAt: superseded, Table: t,
	}
}

// Publish implements Store.
func (s *Memory) Publish(id manifest.ID, m *manifest.Manifest, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.names[m.Name]; ok && old != id {
		s.files[old].supersededAt = at
	}
	f := s.files[id]
	if f == nil {
		f = &memoryFile{manifest: m}
		s.files[id] = f
	}
	f.publishedAt, f.supersededAt = at, time.Time{}
	s.names[m.Name] = id
	delete(s.withdrawn, id)
	return nil
}

// Manifest implements Store.
func (s *Memory) Manifest(id manifest.ID) (*manifest.Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[id]
	if f == nil {
		return nil, ErrNotFound
	}
	return f.manifest, nil
}

// SetTable implements Store.
func (s *Memory) SetTable(id manifest.ID, t OwnerTable) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[id]
	if f == nil {
		return ErrNotFound
	}
	f.table = &t
	return nil
}

// ClearTable implements Store.
func (s *Memory) ClearTable(id manifest.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[id]; f != nil {
		f.table = nil
	}
	return nil
}

// Withdraw implements Store.
func (s *Memory) Withdraw(id manifest.ID, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[id]
	if f == nil {
		return ErrNotFound
	}
	s.remove(id, f)
	s.withdrawn[id] = Withdrawal{ID: id, Name: f.manifest.Name, At: at}
	return nil
}

// Drop implements Store.
func (s *Memory) Drop(id manifest.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[id]; f != nil {
		s.remove(id, f)
	}
	return nil
}

func (s *Memory) remove(id manifest.ID, f *memoryFile) {
	delete(s.files, id)
	if s.names[f.manifest.Name] == id {
		delete(s.names, f.manifest.Name)
	}
	if s.rollouts[f.manifest.Name].Manifest == id {
		delete(s.rollouts, f.manifest.Name)
	}
}

// ForgetWithdrawal implements Store.
func (s *Memory) ForgetWithdrawal(id manifest.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.withdrawn, id)
	return nil
}

// SetRollout implements Store.
func (s *Memory) SetRollout(r Rollout) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files[r.Manifest] == nil {
		return ErrNotFound
	}
	s.rollouts[r.Name] = r
	return nil
}

// EndRollout implements Store.
func (s *Memory) EndRollout(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rollouts, name)
	return nil
}

// SetFollower implements Store.
func (s *Memory) SetFollower(f Follower) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followers[f.ID] = f
	return nil
}

// ForgetFollower implements Store.
func (s *Memory) ForgetFollower(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.followers, id)
	return nil
}

// Close implements Store.
func (s *Memory) Close() error { return nil }

// Package storetest is the contract of store.Store as tests, for every implementation.
package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanout/internal/chunks/manifest"
	"fanout/tracker/store"
)

var (
	t0 = time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	t1 = t0.Add(time.Hour)
	t2 = t1.Add(time.Hour)
)

// Run checks the stores that open gives. Called again with the same *testing.T, open gives
// the same store anew if it is durable; reopen is nil for one that is not.
func Run(t *testing.T, open func(t *testing.T) store.Store, reopen func(t *testing.T, s store.Store) store.Store) {
	for _, c := range []struct {
		what string
		act  func(t *testing.T, s store.Store)
		want store.State
	}{
		{"empty", func(t *testing.T, s store.Store) {}, store.State{}},
		{"publish", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			publish(t, s, empty, t1)
		}, store.State{Files: []store.File{file(a1, t0), file(empty, t1)}}},
		{"publish again", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			publish(t, s, a1, t1)
		}, store.State{Files: []store.File{file(a1, t1)}}},
		{"supersede", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			publish(t, s, a2, t1)
		}, store.State{Files: []store.File{superseded(a1, t0, t1), file(a2, t1)}}},
		{"supersede and return", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			publish(t, s, a2, t1)
			publish(t, s, a1, t2)
		}, store.State{Files: []store.File{file(a1, t2), superseded(a2, t1, t2)}}},
		{"withdraw", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			ok(t, s.Withdraw(a1.ID(), t1))
		}, store.State{Withdrawn: []store.Withdrawal{{ID: a1.ID(), Name: "a", At: t1}}}},
		{"withdraw a superseded one", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			publish(t, s, a2, t1)
			ok(t, s.Withdraw(a1.ID(), t2))
			publish(t, s, a2, t1) // its name is still known: a1 must not be looked for
		}, store.State{Files: []store.File{file(a2, t1)}, Withdrawn: []store.Withdrawal{{ID: a1.ID(), Name: "a", At: t2}}}},
		{"withdraw and publish again", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			ok(t, s.Withdraw(a1.ID(), t1))
			publish(t, s, a1, t2)
		}, store.State{Files: []store.File{file(a1, t2)}}},
		{"withdraw, then other content under the name", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			ok(t, s.Withdraw(a1.ID(), t1))
			publish(t, s, a2, t2)
			ok(t, s.ForgetWithdrawal(a1.ID()))
		}, store.State{Files: []store.File{file(a2, t2)}}},
		{"drop", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			publish(t, s, a2, t1)
			ok(t, s.Drop(a1.ID()))
			ok(t, s.Drop(a1.ID()))
		}, store.State{Files: []store.File{file(a2, t1)}}},
		{"table", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			ok(t, s.SetTable(a1.ID(), store.OwnerTable{Owners: []string{"x:1", "x:1"}}))
			ok(t, s.SetTable(a1.ID(), store.OwnerTable{Owners: []string{"x:1", "[::1]:2"}, Uploaded: true}))
			publish(t, s, a1, t1)
		}, store.State{Files: []store.File{withTable(file(a1, t1), true, "x:1", "[::1]:2")}}},
		{"table of an empty file", func(t *testing.T, s store.Store) {
			publish(t, s, empty, t0)
			ok(t, s.SetTable(empty.ID(), store.OwnerTable{Owners: []string{}, Uploaded: true}))
		}, store.State{Files: []store.File{withTable(file(empty, t0), true)}}},
		{"table cleared", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			ok(t, s.SetTable(a1.ID(), store.OwnerTable{Owners: []string{"x:1", "y:2"}}))
			ok(t, s.ClearTable(a1.ID()))
			ok(t, s.ClearTable(a2.ID()))
		}, store.State{Files: []store.File{file(a1, t0)}}},
		{"a withdrawal takes the table along", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			ok(t, s.SetTable(a1.ID(), store.OwnerTable{Owners: []string{"x:1", "y:2"}}))
			ok(t, s.Withdraw(a1.ID(), t1))
			publish(t, s, a1, t2)
		}, store.State{Files: []store.File{file(a1, t2)}}},
		{"rollout", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			publish(t, s, empty, t0)
			ok(t, s.SetRollout(rollout(a1, "1")))
			ok(t, s.SetRollout(rollout(a1, "2", "p", "q")))
			ok(t, s.SetRollout(rollout(empty, "3")))
		}, store.State{Files: []store.File{file(a1, t0), file(empty, t0)},
			Rollouts: []store.Rollout{rollout(a1, "2", "p", "q"), rollout(empty, "3")}}},
		{"outcomes", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			ok(t, s.SetRollout(withOutcome(rollout(a1, "1"), "p", store.Outcome{State: "downloading"})))
			ok(t, s.SetRollout(withOutcome(rollout(a1, "1"), "p", outcome)))
		}, store.State{Files: []store.File{file(a1, t0)}, Rollouts: []store.Rollout{withOutcome(rollout(a1, "1"), "p", outcome)}}},
		{"rollout ended", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			ok(t, s.SetRollout(rollout(a1, "1")))
			ok(t, s.EndRollout("a"))
			ok(t, s.EndRollout("a"))
		}, store.State{Files: []store.File{file(a1, t0)}}},
		{"a rollout outlives that its manifest is superseded", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			ok(t, s.SetRollout(rollout(a1, "1")))
			publish(t, s, a2, t1)
		}, store.State{Files: []store.File{superseded(a1, t0, t1), file(a2, t1)}, Rollouts: []store.Rollout{rollout(a1, "1")}}},
		{"a withdrawal takes the rollout along", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			ok(t, s.SetRollout(rollout(a1, "1")))
			ok(t, s.Withdraw(a1.ID(), t1))
			publish(t, s, a1, t2)
		}, store.State{Files: []store.File{file(a1, t2)}}},
		{"but not that of another manifest of the name", func(t *testing.T, s store.Store) {
			publish(t, s, a1, t0)
			publish(t, s, a2, t1)
			ok(t, s.SetRollout(rollout(a2, "1")))
			ok(t, s.Drop(a1.ID()))
		}, store.State{Files: []store.File{file(a2, t1)}, Rollouts: []store.Rollout{rollout(a2, "1")}}},
		{"followers", func(t *testing.T, s store.Store) {
			ok(t, s.SetFollower(store.Follower{ID: "p", Address: "x:1", SeenAt: t0}))
			ok(t, s.SetFollower(store.Follower{ID: "p", Address: "y:1", SeenAt: t1}))
			ok(t, s.SetFollower(store.Follower{ID: "q", Address: "x:1", SeenAt: t0}))
			ok(t, s.ForgetFollower("q"))
			ok(t, s.ForgetFollower("q"))
		}, store.State{Followers: []store.Follower{{ID: "p", Address: "y:1", SeenAt: t1}}}},
		{"what is not there", func(t *testing.T, s store.Store) {
			_, err := s.Manifest(a1.ID())
			notFound(t, err)
			notFound(t, s.Withdraw(a1.ID(), t0))
			notFound(t, s.SetTable(a1.ID(), store.OwnerTable{}))
			notFound(t, s.SetRollout(rollout(a1, "1")))
		}, store.State{}},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := open(t)
			c.act(t, s)
			check(t, s, c.want)
			if reopen != nil {
				s = reopen(t, s)
				check(t, s, c.want)
			}
			ok(t, s.Close())
		})
	}
}

var (
	a1    = &manifest.Manifest{Name: "a", Size: 40000, ChunkSize: 32768, Digests: []manifest.Digest{{1}, {2}}}
	a2    = &manifest.Manifest{Name: "a", Size: 40000, ChunkSize: 39999, Digests: []manifest.Digest{{3}, {4}}}
	empty = &manifest.Manifest{Name: "ü ß 漢", ChunkSize: 32768}
)

// check compares the state, and that every manifest in it is there.
func check(t *testing.T, s store.Store, want store.State) {
	t.Helper()
	got, err := s.Load()
	ok(t, err)
	byID := func(a, b store.File) int { return strings.Compare(a.ID.String(), b.ID.String()) }
	slices.SortFunc(got.Files, byID)
	slices.SortFunc(want.Files, byID)
	slices.SortFunc(got.Rollouts, func(a, b store.Rollout) int { return strings.Compare(a.Name, b.Name) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, f := range want.Files {
		m, err := s.Manifest(f.ID)
		if err != nil || m.ID() != f.ID {
			t.Errorf("manifest of %q: %v", f.Name, err)
		}
	}
}

func publish(t *testing.T, s store.Store, m *manifest.Manifest, at time.Time) {
	t.Helper()
	ok(t, s.Publish(m.ID(), m, at))
}

func file(m *manifest.Manifest, published time.Time) store.File {
	return store.File{ID: m.ID(), Name: m.Name, Size: m.Size, ChunkSize: m.ChunkSize, Chunks: m.Chunks(), PublishedAt: published}
}

func superseded(m *manifest.Manifest, published, at time.Time) store.File {
	f := file(m, published)
	f.SupersededAt = at
	return f
}

func withTable(f store.File, uploaded bool, owners ...string) store.File {
	if owners == nil {
		owners = []string{}
	}
	f.Table = &store.OwnerTable{Owners: owners, Uploaded: uploaded}
	return f
}

func rollout(m *manifest.Manifest, id string, peers ...string) store.Rollout {
	return store.Rollout{
		ID: id, Manifest: m.ID(), Name: m.Name, All: peers == nil, Peers: peers, Strategy: "swarm",
		SHA256: strings.Repeat("0", 64), StartedAt: t1,
	}
}

var outcome = store.Outcome{
	State: "failed", AskedAt: t0, BeganAt: t1, FinishedAt: t2, CompletedAt: t1, Chunks: 1, Bytes: 32768,
	FromOrigin: 1, FromPeers: 2, OriginBefore: 3, PeersBefore: 4, Error: "disk full",
}

func withOutcome(r store.Rollout, peer string, o store.Outcome) store.Rollout {
	r.Outcomes = map[string]store.Outcome{peer: o}
	r.Sent = map[string]store.Sending{"o@1": {Since: 1, Total: 3}}
	return r
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func notFound(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
}

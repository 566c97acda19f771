package table

import (
	"time"

	"fanout/tracker/store"
)

// noteOutcome takes a report into the rollout that it names. What names none, or another one,
// says nothing about this one: its peer may not have looked yet whether its file is there.
// before is the peer's report before, if there was one.
func (rs *Rollouts) noteOutcome(f *file, q, before *member) {
	r := rs.of(f)
	if r == nil || r.ID != q.Rollout || !r.asks(q.ID, rs.followers) {
		return
	}
	old := r.Outcomes[q.ID]
	if State(old.State) == Complete && (q.State == Complete || q.State == Paused) {
		return // said already; it stops serving
	}
	if q.State == Complete && old.State == "" && q.EndedAgo >= q.seen.Sub(r.StartedAt) {
		r.set(q.ID, had(r, f))
		return
	}
	o := old
	if old.State == "" || ended(State(old.State)) && active(q.State) {
		o = r.beginWork(old, q, before)
	}
	if q.BytesFromOrigin < o.OriginBefore || q.BytesFromPeers < o.PeersBefore {
		o.OriginBefore, o.PeersBefore = 0, 0 // it was begun anew
	}
	o.FromOrigin, o.FromPeers = q.BytesFromOrigin-o.OriginBefore, q.BytesFromPeers-o.PeersBefore
	if q.Held != nil { // else said of a download that does not run
		o.Chunks, o.Bytes = q.heldCount, f.bytes(q)
	}
	o.FinishedAt = finishedAt(old, o, q)
	if q.State == Complete && o.CompletedAt.IsZero() {
		o.CompletedAt = o.FinishedAt
	}
	o.State, o.Error = string(q.State), q.Error
	r.set(q.ID, o)
}

// noteSent takes the counter of an origin into the rollout that asks for the file.
func (rs *Rollouts) noteSent(f *file, key string, total int64) {
	if r := rs.of(f); r != nil && note(r.Sent, key, total) {
		r.dirty = true
	}
}

func (r *rollout) set(peer string, o store.Outcome) { r.Outcomes[peer], r.dirty = o, true }

// had is the outcome of a peer that had the file before the rollout.
func had(r *rollout, f *file) store.Outcome {
	return store.Outcome{
		State: string(Complete), AskedAt: r.StartedAt, BeganAt: r.StartedAt, FinishedAt: r.StartedAt, CompletedAt: r.StartedAt,
		Chunks: f.Chunks, Bytes: f.Size,
	}
}

// beginWork is the outcome of a peer that begins to fetch, for the first time or again: what
// it has received, and the time, count from here.
func (r *rollout) beginWork(old store.Outcome, q, before *member) store.Outcome {
	o := old
	if o.AskedAt.IsZero() {
		o.AskedAt = r.StartedAt // it was fetching already
	}
	if o.BeganAt = q.seen; old.State == "" {
		o.BeganAt = o.AskedAt
	}
	o.OriginBefore, o.PeersBefore = 0, 0
	if before != nil && before.BytesFromOrigin <= q.BytesFromOrigin && before.BytesFromPeers <= q.BytesFromPeers {
		o.OriginBefore, o.PeersBefore = before.BytesFromOrigin, before.BytesFromPeers
	}
	return o
}

// finishedAt is when the download of a report ended, zero for one that goes on. Clocks are
// corrected, of machines and by restarts, so it is kept within what can be.
func finishedAt(old, o store.Outcome, q *member) time.Time {
	switch {
	case !ended(q.State):
		return time.Time{}
	case old.State == string(q.State) && !old.FinishedAt.IsZero():
		return old.FinishedAt // the first report is the most exact
	}
	at := q.seen.Add(-q.EndedAgo)
	if at.Before(o.BeganAt) {
		at = o.BeganAt
	}
	return at
}

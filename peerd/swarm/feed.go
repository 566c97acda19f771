package swarm

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/wire"
)

const (
	// restLeast and restMost bound how long one that refuses, or does not send, is not asked.
	restLeast = 200 * time.Millisecond
	restMost  = 10 * time.Second
)

// source is what is still to be asked of one place, an owner or the origins.
type source struct {
	todo    *bitset.BitSet
	contact *contact // the owner; nil for the origins, of which there may be several
	feeds   int      // sessions
	// without is since when it has given nothing for want of a session, while feeds is 0.
	without time.Time
}

// dropped is what a source has lost with a session: it may come back, and what it owes waits for
// that, unless it comes only to leave again.
func (s *source) dropped(n *neighbour, now time.Time) {
	if s.feeds--; s.feeds == 0 && n.received.After(n.since) {
		s.without = now
	}
}

// patience is how long it may be without a session.
func (s *source) patience() time.Duration {
	var refusal *wire.RemoteError
	if s.contact != nil && errors.As(s.contact.err, &refusal) && refusal.Code == wire.CodeUnknownManifest {
		return untold
	}
	return unreachable
}

// leave gives up on a source: whoever holds its chunks is asked for them, or else an origin.
func (s *source) leave(loose *bitset.BitSet) {
	loose.InPlaceUnion(s.todo)
	s.todo.ClearAll()
}

// feed is what is kept of a neighbour that may be asked for chunks.
type feed struct {
	*neighbour
	source *source // whose chunks it brings; nil for one that is asked only for what it holds
	asked  map[int]request
	rest   rest
	probed time.Time // when it was last asked for a sign of life
}

// request is a GET that has not been answered.
type request struct {
	since time.Time
	from  *bitset.BitSet // where the chunk goes back to if the session ends
}

// chunks are those asked for, in order.
func (f *feed) chunks() []int { return slices.Sorted(maps.Keys(f.asked)) }

// owed returns since when the oldest of the chunks asked for is; false if there is none.
func (f *feed) owed() (since time.Time, any bool) {
	for _, r := range f.asked {
		if !any || r.since.Before(since) {
			since, any = r.since, true
		}
	}
	return since, any
}

// rest is a pause in asking, which grows until something comes.
type rest struct {
	until  time.Time
	length time.Duration // 0 if something has come since
}

// begin leaves one that does not send what it was asked for in peace: at first for so long, and
// for longer each time, until it sends something.
func (r *rest) begin(now time.Time, first time.Duration) {
	if now.Before(r.until) { // of what was asked before
		return
	}
	r.length = min(max(2*r.length, first), restMost)
	r.until = now.Add(r.length)
}

// lasts says that it is not to be asked now.
func (r *rest) lasts(now time.Time) bool { return now.Before(r.until) }

// windowOf is how many chunks a session may be asked for, of most: one that has sent nothing
// since it was left in peace is tried with one.
func (f *feed) windowOf(most int, now time.Time) int {
	switch {
	case f.rest.lasts(now):
		return 0
	case f.rest.length > 0:
		return 1
	}
	return most
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

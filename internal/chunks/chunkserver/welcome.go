package chunkserver

import (
	"slices"
	"sync"
	"time"

	"fanout/internal/chunks/wire"
)

const (
	// crossing is how long DATA stays welcome after its CANCEL, at least.
	crossing = 30 * time.Second
	// crossings is of how many CANCELs that is remembered.
	crossings = 256
)

// welcome says which DATA may come over a session: without it, a stranger could have buffers
// reserved for chunks that he never finishes. It never refuses what an honest side sends: there
// is at most one DATA for each GET, OFFER and ANY.
//
// A CANCEL crosses DATA for as long as either side takes to read what lies before it, which may be
// whole chunks over a slow link. So the time alone does not end it: the PONG of a later PING shows
// that it has been read, and what was sent before.
type welcome struct {
	mu        sync.Mutex
	due       map[int]int // by chunk: GETs sent and OFFERs heard that nothing has ended
	anys      int         // sent, and not answered
	cancelled []cancelled // in the order in which they were
	pings     int
	pongs     int
}

// cancelled is a CANCEL that DATA may be crossing.
type cancelled struct {
	chunk int
	at    time.Time
	pings int // sent before it
}

func newWelcome() *welcome { return &welcome{due: map[int]int{}} }

// said notes a line that is about to be sent.
func (w *welcome) said(m wire.Message, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch m.Kind {
	case wire.KindGet:
		w.due[m.Chunk]++
	case wire.KindAny:
		w.anys++
	case wire.KindPing:
		w.pings++
	case wire.KindCancel:
		if w.ended(m.Chunk) {
			w.cancelled = append(w.cancelled, cancelled{m.Chunk, now, w.pings})
			w.forget(now)
		}
	}
}

// heard notes a line that has come, before anybody answers it.
func (w *welcome) heard(m wire.Message, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch m.Kind {
	case wire.KindOffer:
		w.due[m.Chunk]++
	case wire.KindPong:
		w.pongs++
	case wire.KindNone:
		if m.Chunk == wire.NoChunk {
			w.anys = max(w.anys-1, 0)
		} else if !w.crosses(m.Chunk, now) {
			w.ended(m.Chunk)
		}
	}
}

// takes says whether DATA of a chunk is welcome, which has come.
func (w *welcome) takes(chunk int, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.crosses(chunk, now), w.ended(chunk):
		return true
	case w.anys > 0:
		w.anys--
		return true
	}
	return false
}

// crosses ends a CANCEL that has been crossed. It is asked before what is due, because that does
// not expire: of two DATA, the second may take its time.
func (w *welcome) crosses(chunk int, now time.Time) bool {
	w.forget(now)
	i := slices.IndexFunc(w.cancelled, func(c cancelled) bool { return c.chunk == chunk })
	if i >= 0 {
		w.cancelled = slices.Delete(w.cancelled, i, i+1)
	}
	return i >= 0
}

// ended ends one GET or OFFER of a chunk, if there is one.
func (w *welcome) ended(chunk int) bool {
	n := w.due[chunk]
	switch {
	case n == 0:
		return false
	case n == 1:
		delete(w.due, chunk)
	default:
		w.due[chunk] = n - 1
	}
	return true
}

// forget drops the CANCELs that nothing can cross any more, and those that are too many.
func (w *welcome) forget(now time.Time) {
	n := 0
	for n < len(w.cancelled) {
		c := w.cancelled[n]
		if len(w.cancelled)-n <= crossings && (now.Sub(c.at) < crossing || c.pings >= w.pongs) {
			break
		}
		n++
	}
	w.cancelled = slices.Delete(w.cancelled, 0, n)
}

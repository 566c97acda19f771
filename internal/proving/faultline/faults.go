package faultline

import (
	"sync"
	"time"
)

// Direction is a way through a Line.
type Direction int

// The directions.
const (
	ToTarget   Direction = iota // from who dialled the Line
	FromTarget                  // to who dialled the Line
)

// Faults is what befalls the bytes of one direction. The zero value is none. They are applied in
// the order of the fields: what is delayed is then held up, and what passes may be corrupted.
type Faults struct {
	// Delay is how long after it was read a piece, or the end of the stream, is passed on, at
	// the earliest. Connections themselves are made at once.
	Delay time.Duration
	// Jitter is by how much more a piece is delayed at most, drawn anew for each. What comes
	// later waits for what came before.
	Jitter time.Duration
	// Rate is how many bytes a second pass, over all connections together; 0 is any number.
	Rate int64
	// Stall passes nothing on, neither bytes nor an end, and keeps the connections.
	Stall bool
	// CorruptEvery changes one byte in so many, on average, to another value; 0 changes none.
	CorruptEvery int64
	// HalfCloseAfter ends the direction of a connection that has passed so many bytes in it
	// with a FIN, at once where it has already. The sender does not notice: what else it sends
	// is thrown away. The other direction goes on. 0 is never.
	HalfCloseAfter int64
	// ResetAfter resets a connection, both its sides, that has passed so many bytes in the
	// direction, at once where it has already. The last of them may get lost. 0 is never.
	ResetAfter int64
}

// way is one direction of a Line, for all its connections.
type way struct {
	mu      sync.Mutex
	faults  Faults
	changed chan struct{} // closed, and another one, by set
	free    time.Time     // when the rate lets something pass again
	passed  int64
}

func (w *way) set(f Faults) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults, w.free = f, time.Time{}
	close(w.changed)
	w.changed = make(chan struct{})
}

// now is what is set, and what is closed when that changes.
func (w *way) now() (Faults, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults, w.changed
}

// claim asks to pass so many bytes: how many may pass now, or how long to wait before asking
// again. None may, and at once it is to be asked again, if the faults are others by now: nothing
// passes a stall that is set. At a rate, a small part of a second's bytes is given out at a time,
// and no more before that time is over: so in any time no more passes than the rate says, and one
// such part.
func (w *way) claim(n int, f Faults, now time.Time) (int, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f != w.faults {
		return 0, 0
	}
	if f.Rate > 0 {
		if wait := w.free.Sub(now); wait > 0 {
			return 0, wait
		}
		n = int(min(int64(n), max(1, f.Rate/partsASecond)))
		w.free = now.Add(time.Duration(n) * time.Second / time.Duration(f.Rate))
	}
	w.passed += int64(n)
	return n, 0
}

// partsASecond is in how many parts a second's bytes pass, at least.
const partsASecond = 32

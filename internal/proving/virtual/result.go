package virtual

import (
	"fmt"
	"slices"
	"time"

	"fanout/internal/proving/bound"
)

// Result is what became of a plan.
type Result struct {
	Plan   Plan
	Chunks int
	// Bound is the least time in which those who are waited for could have had the file.
	Bound time.Duration
	// Times are when those who are waited for had everything, in order, since the beginning.
	Times []time.Duration
	// Missing are those who are waited for and have not completed.
	Missing []string
	// Origin is how many files the origins have sent, all together, Duplicates the part of all payload that was
	// held already when it came, Wrong that of wrong bytes.
	Origin, Duplicates, Wrong float64
	// Trunk is how many files the trunk from the origin's rack has carried.
	Trunk           float64
	Dials, Messages int
	// Events is how many entries the agenda had.
	Events uint64
	// Fingerprint is a hash of everything that was decided, and when: of two runs in which the
	// same happened it is the same.
	Fingerprint string
	Curve       []Point `json:"-"`
}

// Last is when the last of those who are waited for had everything.
func (r *Result) Last() time.Duration { return r.at(1) }

// Median is when half of them had.
func (r *Result) Median() time.Duration { return r.at(0.5) }

func (r *Result) at(part float64) time.Duration {
	if len(r.Times) == 0 {
		return 0
	}
	return r.Times[max(0, int(part*float64(len(r.Times))+0.5)-1)]
}

// Ratio is a time in bounds.
func (r *Result) Ratio(t time.Duration) float64 { return t.Seconds() / r.Bound.Seconds() }

// Err is ErrIncomplete with the names, if somebody has not completed.
func (r *Result) Err() error {
	if len(r.Missing) == 0 {
		return nil
	}
	names := r.Missing[:min(len(r.Missing), 5)]
	return fmt.Errorf("%w: %d of %d have, not %v", ErrIncomplete, len(r.Times), len(r.Times)+len(r.Missing), names)
}

func (l *lab) result() *Result {
	r := &Result{
		Plan: *l.plan, Chunks: l.chunks, Bound: l.least, Events: l.seq, Curve: l.curve,
		Fingerprint: fmt.Sprintf("%016x", l.hash.Sum64()),
	}
	var all stats
	for _, h := range l.hosts {
		all.fresh += h.stats.fresh
		all.duplicate += h.stats.duplicate
		all.wrong += h.stats.wrong
		r.Dials += h.stats.dials
		r.Messages += h.stats.messages
		switch {
		case h.Spare:
		case h.done > 0:
			r.Times = append(r.Times, h.done)
		default:
			r.Missing = append(r.Missing, h.Name)
		}
	}
	slices.Sort(r.Times)
	came := max(1, float64(all.fresh+all.duplicate+all.wrong))
	r.Origin = l.handedOut()
	if trunk := l.trunks[0]; trunk != nil {
		r.Trunk = float64(trunk.sent) * bound.Ethernet / float64(l.plan.Size)
	}
	r.Duplicates, r.Wrong = float64(all.duplicate)/came, float64(all.wrong)/came
	return r
}

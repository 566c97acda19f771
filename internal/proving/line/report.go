//go:build linux

package main

import "time"

// report is what happened since the last one. Overrun, Dropped and Refused should be 0, and
// Late a small part of Carried: otherwise it was the line that was measured.
type report struct {
	Carried  uint64 `json:"carried"`  // frames that arrived; a burst of TCP is one
	Bytes    uint64 `json:"bytes"`    // in them
	Segments uint64 `json:"segments"` // frames that entered, the segments of bursts counted one by one
	Lost     uint64 `json:"lost"`     // of Segments, lost on purpose
	Dropped  uint64 `json:"dropped"`  // frames for which the line had no memory
	Overrun  uint64 `json:"overrun"`  // frames the kernel dropped, as the line did not fetch them
	Refused  uint64 `json:"refused"`  // frames the far end did not take, being down

	// By how much frames left after they were due: half of them, 99 % and all at most.
	// What frames waited for the line to fetch them is not in it; TurnMax bounds it.
	Late50  int64  `json:"late_p50_us"`
	Late99  int64  `json:"late_p99_us"`
	LateMax int64  `json:"late_max_us"`
	Late    uint64 `json:"late"`        // frames later than a millisecond
	TurnMax int64  `json:"turn_max_us"` // the longest that the line did not look for frames
}

const (
	tooLate     = time.Millisecond
	bucketWidth = 20 * time.Microsecond
	buckets     = 1000
)

// tally is what a loop counts.
type tally struct {
	carried, bytes, segments, lost, dropped, refused, late uint64
	lateMax, turnMax                                       time.Duration
	lateness                                               [buckets]uint64 // frames by lateness; the last bucket is open
}

// left counts a frame that arrived.
func (t *tally) left(bytes int, late time.Duration) {
	t.carried++
	t.bytes += uint64(bytes)
	if late > tooLate {
		t.late++
	}
	t.lateMax = max(t.lateMax, late)
	t.lateness[min(late/bucketWidth, buckets-1)]++
}

func (t *tally) add(o *tally) {
	t.carried += o.carried
	t.bytes += o.bytes
	t.segments += o.segments
	t.lost += o.lost
	t.dropped += o.dropped
	t.refused += o.refused
	t.late += o.late
	t.lateMax = max(t.lateMax, o.lateMax)
	t.turnMax = max(t.turnMax, o.turnMax)
	for i, n := range o.lateness {
		t.lateness[i] += n
	}
}

// within is the lateness that the share of the frames did not exceed, to a bucket's width.
func (t *tally) within(share float64) time.Duration {
	wanted, seen := share*float64(t.carried), uint64(0)
	for i, n := range t.lateness[:buckets-1] {
		if seen += n; float64(seen) >= wanted {
			return min(time.Duration(i+1)*bucketWidth, t.lateMax)
		}
	}
	return t.lateMax
}

func (t *tally) report(overrun uint64) report {
	return report{
		Carried: t.carried, Bytes: t.bytes, Segments: t.segments, Lost: t.lost, Dropped: t.dropped, Overrun: overrun, Refused: t.refused,
		Late50: t.within(0.5).Microseconds(), Late99: t.within(0.99).Microseconds(), LateMax: t.lateMax.Microseconds(),
		Late: t.late, TurnMax: t.turnMax.Microseconds(),
	}
}

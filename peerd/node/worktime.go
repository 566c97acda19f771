package node

import (
	"time"

	"fanout/api/peerapi"
)

// worktime adds up how long a download has been under way: queued or downloading, but not
// paused, ended, or left alone by a daemon that was off. It goes by the monotonic clock, for
// the wall clock may be set meanwhile; so the times of day in the record cannot tell it.
type worktime struct {
	state  peerapi.DownloadState // entered last
	before time.Duration         // in the periods that are over
	since  time.Time             // when the present one began; zero between two
}

// working says that time in a state is work.
func working(s peerapi.DownloadState) bool {
	return s == peerapi.DownloadStateQueued || s == peerapi.DownloadStateDownloading
}

// enter notes the state that begins now. It is anew where a file that was complete is worked
// at again: its repair is counted by itself.
func (w *worktime) enter(s peerapi.DownloadState, now time.Time) (anew bool) {
	if anew = working(s) && w.state == peerapi.DownloadStateComplete; anew {
		*w = worktime{}
	}
	w.before = w.total(now)
	w.state, w.since = s, time.Time{}
	if working(s) {
		w.since = now
	}
	return anew
}

// stop ends the present period, in whatever state the download stays.
func (w *worktime) stop(now time.Time) { w.before, w.since = w.total(now), time.Time{} }

// total is all the time until now.
func (w *worktime) total(now time.Time) time.Duration {
	if w.since.IsZero() {
		return w.before
	}
	return w.before + max(0, now.Sub(w.since))
}

// workedBefore is what a record tells of the time worked. Those of earlier versions have only
// times of day, of which an end before the start tells nothing.
func (r *record) workedBefore() time.Duration {
	if r.Worked == 0 && over(r.State) {
		return max(0, r.Finished.Sub(r.Started))
	}
	return r.Worked
}

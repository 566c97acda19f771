package node

import (
	"context"
	"time"

	"fanout/api/peerapi"
)

// saveEvery is how often the record of a download under way is written: what a daemon that
// is killed had counted since the last time, seconds and bytes, is lost.
const saveEvery = 30 * time.Second

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

// track counts time from the state that begins; d.mu is held. The bytes of a repair are
// counted anew with its time: both are told in one line.
func (d *download) track() {
	if d.worked.enter(d.rec.State, time.Now()) {
		d.progress.Restore(0, 0)
	}
}

// rest ends the counting, and keeps what was counted, when the daemon ends before the
// download and no chunk can come any more; d.mu is held.
func (d *download) rest() {
	if active(d.rec.State) {
		d.worked.stop(time.Now())
		d.save()
	}
}

// saveNowAndThen keeps what is counted while a download is under way.
func (d *download) saveNowAndThen(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !d.saveIfWorking() {
				return
			}
		}
	}
}

func (d *download) saveIfWorking() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !working(d.rec.State) {
		return false
	}
	d.save()
	return true
}

package push

import (
	"fmt"
	"time"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/progress"
)

// sayAfter is how long something must be waited for before it is said.
const sayAfter = 3 * time.Second

// display shows people how far a push is: in a bar, if there is one, and where none is drawn,
// what has been waited for a while.
type display struct {
	rollouts *rollouts
	bar      *progress.Bar // nil draws none
	say      func(string)  // may be nil
	waiting  waiting
}

// waiting is what a push waits for.
type waiting struct {
	forWhat string
	since   time.Time
	said    bool
}

// draw shows one bar for the whole fleet, and the slowest peer below it.
func (d *display) draw() {
	if len(d.rollouts.seen) < d.rollouts.files {
		return // files are being digested, which has a bar of its own
	}
	s := progress.State{}
	complete, counted, away := 0, 0, 0
	for _, r := range d.rollouts.live() {
		for _, peer := range peersOf(r) {
			if off(peer) && !d.rollouts.wait {
				away++
				continue // else the bar would never be full
			}
			counted++
			s.Done += peer.BytesDone
			s.Total += r.Size
			s.Rate += rate(peer)
		}
		complete += r.Complete
	}
	s.What = fmt.Sprintf("%d/%d peers", complete, counted)
	if d.rollouts.files > 1 {
		s.What = fmt.Sprintf("%d files, %d/%d copies", d.rollouts.files, complete, counted)
	}
	if away > 0 {
		s.What += fmt.Sprintf(", %d off", away)
	}
	s.Detail = d.detail()
	d.bar.Draw(s)
}

// detail is the line below the bar.
func (d *display) detail() string {
	if d.rollouts.trouble != "" {
		return d.rollouts.trouble
	}
	r, last := d.rollouts.slowest()
	if last == nil {
		ids := d.rollouts.off()
		if len(ids) == 0 {
			return "waiting for peers that follow rollouts"
		}
		return "waiting for peers that are off: " + enumerate(ids)
	}
	percent := 100 * float64(last.BytesDone) / float64(r.Size)
	text := fmt.Sprintf("slowest: %s, %.0f %%", last.Id, percent)
	if d.rollouts.files > 1 {
		text += " of " + r.File
	}
	if v := rate(*last); v >= 1 {
		text += fmt.Sprintf(", %s, %s left", progress.Bytes(int64(v))+"/s", progress.Left(r.Size-last.BytesDone, v))
	}
	if last.Error != nil {
		text += ", " + plain(last.Error)
	}
	return text
}

func rate(p trackerapi.RolloutPeer) float64 {
	if p.RateBytesPerSecond == nil {
		return 0
	}
	return *p.RateBytesPerSecond
}

// tell says what is waited for, once, where no bar shows it.
func (d *display) tell(forWhat string) {
	if forWhat != d.waiting.forWhat {
		d.waiting = waiting{forWhat: forWhat, since: time.Now()}
	}
	drawn := d.bar != nil && d.rollouts.all()
	if forWhat == "" || drawn || d.waiting.said || d.say == nil || time.Since(d.waiting.since) < sayAfter {
		return
	}
	d.waiting.said = true
	d.bar.Clear()
	d.say(forWhat)
}

package push

import (
	"time"
)

// sayAfter is how long something must be waited for before it is said.
const sayAfter = 3 * time.Second

// waiting is what a push waits for.
type waiting struct {
	forWhat string
	since   time.Time
	said    bool
}

// waits is what keeps the push from its end, as far as somebody has said so: the tracker,
// what is on the way to it, or the peer that is the furthest behind.
func (p *Push) waits() string {
	if p.trouble != "" {
		return p.trouble
	}
	if !p.all() && p.cfg.Trouble != nil {
		if err := p.cfg.Trouble(); err != nil {
			return err.Error()
		}
	}
	if _, last := p.slowest(); last != nil && last.Error != nil {
		return last.Id + ": " + plain(last.Error)
	}
	return ""
}

// say tells what is waited for, once, where no bar shows it.
func (p *Push) say() {
	w := p.waits()
	if w != p.waiting.forWhat {
		p.waiting = waiting{forWhat: w, since: time.Now()}
	}
	drawn := p.cfg.Bar != nil && p.all()
	if w == "" || drawn || p.waiting.said || p.cfg.Say == nil || time.Since(p.waiting.since) < sayAfter {
		return
	}
	p.waiting.said = true
	p.cfg.Bar.Clear()
	p.cfg.Say(w)
}

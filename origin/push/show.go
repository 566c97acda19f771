package push

import (
	"fmt"
	"slices"

	"github.com/maruel/natural"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/progress"
)

// draw shows one bar for the whole fleet, and the slowest peer below it.
func (p *Push) draw() {
	if len(p.rollouts) < p.cfg.Files {
		return // files are being digested, which has a bar of its own
	}
	s := progress.State{}
	complete, counted, away := 0, 0, 0
	for _, r := range p.live() {
		for _, peer := range peersOf(r) {
			if off(peer) && !p.cfg.Wait {
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
	if p.cfg.Files > 1 {
		s.What = fmt.Sprintf("%d files, %d/%d copies", p.cfg.Files, complete, counted)
	}
	if away > 0 {
		s.What += fmt.Sprintf(", %d off", away)
	}
	s.Detail = p.detail()
	p.cfg.Bar.Draw(s)
}

// detail is the line below the bar.
func (p *Push) detail() string {
	if p.trouble != "" {
		return p.trouble
	}
	r, last := p.slowest()
	if last == nil {
		var ids []string
		for _, r := range p.live() {
			ids = append(ids, who(r, off)...)
		}
		if len(ids) == 0 {
			return "waiting for peers that follow rollouts"
		}
		slices.SortFunc(ids, natural.Compare)
		return "waiting for peers that are off: " + enumerate(slices.Compact(ids)) // each once, for all files
	}
	percent := 100 * float64(last.BytesDone) / float64(r.Size)
	text := fmt.Sprintf("slowest: %s, %.0f %%", last.Id, percent)
	if p.cfg.Files > 1 {
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

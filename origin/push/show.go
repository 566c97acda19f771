package push

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"fanout/api/trackerapi"
	"fanout/internal/oneline"
	"fanout/internal/progress"
)

// draw shows one bar for the whole fleet, and the slowest peer below it.
func (p *Push) draw() {
	if len(p.rollouts) < p.cfg.Files {
		return // files are being digested, which has a bar of its own
	}
	s := progress.State{}
	complete, counted, away := 0, 0, 0
	for _, r := range p.rollouts {
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
		for _, r := range p.rollouts {
			ids = append(ids, who(r, off)...)
		}
		if len(ids) == 0 {
			return "waiting for peers that follow rollouts"
		}
		return "waiting for peers that are off: " + enumerate(ids)
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
		text += ", " + oneline.Of(*last.Error, oneline.Max)
	}
	return text
}

func rate(p trackerapi.RolloutPeer) float64 {
	if p.RateBytesPerSecond == nil {
		return 0
	}
	return *p.RateBytesPerSecond
}

// Table writes who has what, and what it took.
func (p *Push) Table(out io.Writer) error {
	for i, r := range p.rollouts {
		if i > 0 {
			fmt.Fprintln(out)
		}
		var lines strings.Builder
		w := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PEER\tSTATE\tTIME\tFROM ORIGIN\tFROM PEERS\tERROR")
		for _, peer := range peersOf(r) {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", peer.Id, state(peer), took(peer),
				progress.Bytes(peer.BytesFromOrigin), progress.Bytes(peer.BytesFromPeers), text(peer.Error))
		}
		_ = w.Flush() // into memory
		for line := range strings.Lines(lines.String()) {
			fmt.Fprintln(out, strings.TrimRight(line, " \n"))
		}
		if _, err := fmt.Fprintln(out, total(r)); err != nil {
			return err
		}
	}
	return nil
}

func total(r *trackerapi.Rollout) string {
	s := fmt.Sprintf("%s, %s: %d of %d peers have it", r.File, progress.Bytes(r.Size), r.Complete, r.Asked)
	if r.DurationSeconds != nil {
		s += fmt.Sprintf(", the last after %s", seconds(r.DurationSeconds))
	}
	return s + fmt.Sprintf("; the origin sent %.2f times its size", r.OriginRatio)
}

// state is a peer's state for people.
func state(p trackerapi.RolloutPeer) string {
	switch {
	case off(p):
		return "off"
	case p.State == trackerapi.RolloutStatePending:
		return "asked"
	}
	return string(p.State)
}

func took(p trackerapi.RolloutPeer) string {
	if p.State == trackerapi.RolloutStateComplete && p.DurationSeconds != nil && *p.DurationSeconds == 0 {
		return "had it"
	}
	return seconds(p.DurationSeconds)
}

func seconds(s *float64) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f s", *s)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return oneline.Of(*s, oneline.Max) // as a peer has put it
}

// document is what JSON writes.
type document struct {
	Complete bool                  `json:"complete"` // every peer that was asked has every file
	Rollouts []*trackerapi.Rollout `json:"rollouts"` // as the tracker answers GET …/rollout
}

// JSON writes the same as one JSON document.
func (p *Push) JSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	d := document{p.Complete(), p.rollouts}
	if d.Rollouts == nil {
		d.Rollouts = []*trackerapi.Rollout{}
	}
	return e.Encode(d)
}

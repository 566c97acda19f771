package push

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/oneline"
	"fanout/internal/daemon/progress"
)

// Report is who has what, and what it took.
type Report struct {
	Complete bool                  `json:"complete"` // every peer that was asked has every file, and some were
	Rollouts []*trackerapi.Rollout `json:"rollouts"` // as the tracker answers GET …/rollout; not null
	files    int                   // that were to be published, which may be more
}

// Table writes who has what, and what it took: of one file for each peer, of several for each
// peer in sum.
func (rep Report) Table(out io.Writer) error {
	switch {
	case len(rep.Rollouts) == 0:
		return nil
	case rep.files > 1:
		return rep.sums(out)
	}
	r := rep.Rollouts[0]
	var t table
	t.row("PEER", "STATE", "TIME", "FROM ORIGIN", "FROM PEERS", "ERROR")
	for _, peer := range peersOf(r) {
		t.row(peer.Id, state(peer), took(peer), progress.Bytes(peer.BytesFromOrigin), progress.Bytes(peer.BytesFromPeers), plain(peer.Error))
	}
	return t.write(out, total(r))
}

// table is one of aligned columns.
type table struct{ text strings.Builder }

func (t *table) row(cells ...string) { fmt.Fprintln(&t.text, strings.Join(cells, "\t")) }

// write writes the rows, and lines below them.
func (t *table) write(out io.Writer, lines ...string) error {
	var aligned strings.Builder
	w := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	_, _ = io.WriteString(w, t.text.String()) // into memory
	_ = w.Flush()
	for line := range strings.Lines(aligned.String()) {
		if _, err := fmt.Fprintln(out, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, line); err != nil {
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

// plain is what a peer says, on one line and without what a terminal would obey.
func plain(s *string) string {
	if s == nil {
		return ""
	}
	return oneline.Of(*s, oneline.Max)
}

// JSON writes the report as one JSON document.
func (rep Report) JSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(rep)
}

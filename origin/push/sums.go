package push

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/maruel/natural"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/progress"
)

// sum is a peer over several files.
type sum struct {
	files, complete       int // asked for, and there
	worst                 trackerapi.RolloutPeer
	fetched               bool // something came over the network
	began, ended          time.Time
	fromOrigin, fromPeers int64
}

// sums writes a row for each peer, what went wrong by file, and one line about all files.
func (rep Report) sums(out io.Writer) error {
	peers := map[string]*sum{}
	for _, r := range rep.Rollouts {
		for _, peer := range peersOf(r) {
			if peers[peer.Id] == nil {
				peers[peer.Id] = &sum{worst: peer}
			}
			peers[peer.Id].add(peer)
		}
	}
	var t table
	t.row("PEER", "FILES", "STATE", "TIME", "FROM ORIGIN", "FROM PEERS")
	for _, id := range slices.SortedFunc(maps.Keys(peers), func(a, b string) int {
		return cmp.Or(natural.Compare(a, b), cmp.Compare(a, b))
	}) {
		s := peers[id]
		t.row(id, fmt.Sprintf("%d of %d", s.complete, s.files), state(s.worst), s.took(),
			progress.Bytes(s.fromOrigin), progress.Bytes(s.fromPeers))
	}
	return t.write(out, append(rep.failures(), rep.totals(peers))...)
}

func (s *sum) add(p trackerapi.RolloutPeer) {
	s.files++
	if p.State == trackerapi.RolloutStateComplete {
		s.complete++
	}
	if severity(p) > severity(s.worst) {
		s.worst = p
	}
	s.fromOrigin += p.BytesFromOrigin
	s.fromPeers += p.BytesFromPeers
	if p.BeganAt == nil || p.FinishedAt == nil || p.DurationSeconds == nil || *p.DurationSeconds == 0 {
		return
	}
	if !s.fetched || p.BeganAt.Before(s.began) {
		s.began = *p.BeganAt
	}
	if p.FinishedAt.After(s.ended) {
		s.ended = *p.FinishedAt
	}
	s.fetched = true
}

// severity orders the states: the greatest is what is said of a peer.
func severity(p trackerapi.RolloutPeer) int {
	switch {
	case p.State == trackerapi.RolloutStateComplete:
		return 0
	case failed(p):
		return 3
	case off(p):
		return 2
	}
	return 1
}

// took is from the first file's begin to the last one's end.
func (s *sum) took() string {
	switch {
	case s.complete < s.files && !failed(s.worst):
		return "-"
	case !s.fetched && s.complete == s.files:
		return "had it"
	case !s.fetched:
		return "-"
	}
	seconds := s.ended.Sub(s.began).Seconds()
	return fmt.Sprintf("%.1f s", max(seconds, 0))
}

// failures are lines about what failed, or waits, and why: each reason of a peer once.
func (rep Report) failures() (lines []string) {
	var c clauses
	for _, r := range sorted(rep.Rollouts) {
		for _, peer := range peersOf(r) {
			if !failed(peer) && peer.Error == nil {
				continue
			}
			s := fmt.Sprintf("%s: %s", peer.Id, state(peer))
			if peer.Error != nil {
				s += ": " + plain(peer.Error)
			}
			c.add(r.File, s)
		}
	}
	for _, text := range c.texts {
		lines = append(lines, enumerate(c.files[text])+": "+text)
	}
	return lines
}

// totals is the line about all files.
func (rep Report) totals(peers map[string]*sum) string {
	var size, sent int64
	began, ended := rep.Rollouts[0].StartedAt, time.Time{}
	for _, r := range rep.Rollouts {
		size += r.Size
		sent += r.OriginBytesSent
		if r.StartedAt.Before(began) {
			began = r.StartedAt
		}
		if r.DurationSeconds == nil {
			continue
		}
		if end := r.StartedAt.Add(time.Duration(*r.DurationSeconds * float64(time.Second))); end.After(ended) {
			ended = end
		}
	}
	whole := 0
	for _, s := range peers {
		if s.complete == s.files && s.files == rep.files {
			whole++
		}
	}
	files := fmt.Sprintf("%d files", len(rep.Rollouts))
	if n := rep.files; n > len(rep.Rollouts) {
		files = fmt.Sprintf("%d of %d files", len(rep.Rollouts), n)
	}
	s := fmt.Sprintf("%s, %s: %d of %d peers have all of them", files, progress.Bytes(size), whole, len(peers))
	if !ended.IsZero() {
		s += fmt.Sprintf(", the last after %.1f s", ended.Sub(began).Seconds())
	}
	return s + fmt.Sprintf("; the origin sent %.2f times their size", float64(sent)/float64(max(size, 1)))
}

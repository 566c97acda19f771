package push

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/maruel/natural"

	"fanout/api/trackerapi"
)

// shownNames is how many peers or files a line names.
const shownNames = 5

// missing says who has not got what: files of which the same is to be said share a part.
func (p *Push) missing() string {
	var parts []string
	files := map[string][]string{} // what is to be said -> of which files
	for _, r := range p.sorted() {
		if r.Asked > 0 && r.Complete == r.Asked {
			continue
		}
		s := lack(r)
		if files[s] == nil {
			parts = append(parts, s)
		}
		files[s] = append(files[s], r.File)
	}
	for i, s := range parts {
		parts[i] = enumerate(files[s]) + ": " + s
	}
	if n := p.cfg.Files - len(p.rollouts); n > 0 {
		s := fmt.Sprintf("%d of %d files not published yet", n, p.cfg.Files)
		if p.trouble != "" {
			s += " (" + p.trouble + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// lack says who has not got a file.
func lack(r *trackerapi.Rollout) string {
	s := fmt.Sprintf("%d of %d peers have it", r.Complete, r.Asked)
	for _, g := range []struct {
		what string
		in   func(trackerapi.RolloutPeer) bool
	}{{"failed", failed}, {"off", off}, {"not done", running}} {
		if ids := who(r, g.in); len(ids) > 0 {
			s += "; " + g.what + ": " + enumerate(ids)
		}
	}
	return s
}

// sorted are the rollouts by file name, as people count.
func (p *Push) sorted() []*trackerapi.Rollout {
	return slices.SortedFunc(slices.Values(p.rollouts), func(a, b *trackerapi.Rollout) int {
		return cmp.Or(natural.Compare(a.File, b.File), cmp.Compare(a.File, b.File))
	})
}

// peersOf are the peers of a rollout by ID, as people count: web-2 before web-10.
func peersOf(r *trackerapi.Rollout) []trackerapi.RolloutPeer {
	if r.Peers == nil {
		return nil
	}
	return slices.SortedFunc(slices.Values(*r.Peers), func(a, b trackerapi.RolloutPeer) int {
		return cmp.Or(natural.Compare(a.Id, b.Id), cmp.Compare(a.Id, b.Id))
	})
}

// who are the peers of a kind.
func who(r *trackerapi.Rollout, in func(trackerapi.RolloutPeer) bool) (ids []string) {
	for _, p := range peersOf(r) {
		if in(p) {
			ids = append(ids, p.Id)
		}
	}
	return ids
}

func enumerate(names []string) string {
	if len(names) > shownNames {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shownNames], ", "), len(names)-shownNames)
	}
	return strings.Join(names, ", ")
}

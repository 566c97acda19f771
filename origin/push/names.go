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

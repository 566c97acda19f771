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

// sorted are rollouts by file name, as people count.
func sorted(rollouts []*trackerapi.Rollout) []*trackerapi.Rollout {
	return slices.SortedFunc(slices.Values(rollouts), func(a, b *trackerapi.Rollout) int {
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

func failed(p trackerapi.RolloutPeer) bool {
	return p.State == trackerapi.RolloutStateFailed || p.State == trackerapi.RolloutStateCancelled
}

func ended(p trackerapi.RolloutPeer) bool {
	return failed(p) || p.State == trackerapi.RolloutStateComplete
}

func off(p trackerapi.RolloutPeer) bool { return !ended(p) && !p.Online }

func running(p trackerapi.RolloutPeer) bool { return !ended(p) && p.Online }

package exchange

import "iter"

// To yields the sessions that an action is for: all but one of a Tell's; none where it is not
// for sessions to carry out, as Dial is not.
func To(a Action) iter.Seq[ID] {
	return func(yield func(ID) bool) {
		switch a := a.(type) {
		case Tell:
			for _, id := range a.To {
				if id != a.But && !yield(id) {
					return
				}
			}
		case Send:
			yield(a.To)
		case SendBits:
			yield(a.To)
		case Upload:
			yield(a.To)
		case HandOut:
			yield(a.To)
		case Withdraw:
			yield(a.To)
		case Fail:
			yield(a.To)
		case Close:
			yield(a.ID)
		case Bye:
			yield(a.ID)
		}
	}
}

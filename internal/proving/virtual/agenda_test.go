package virtual

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// recorder notes what happens, and has more happen.
type recorder struct {
	*agenda
	happened [][2]int // moment, about
	then     func(about int)
}

func (r *recorder) act(_, about int) {
	r.happened = append(r.happened, [2]int{int(r.now), about})
	if r.then != nil {
		r.then(about)
	}
}

// Whatever is entered when: it happens in the order of its moments, and of its entry where those
// are the same; nothing happens in the past.
func TestAgendaOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &recorder{agenda: &agenda{}}
		entered := 0
		enter := func() {
			r.enter(moment(rapid.IntRange(0, 20).Draw(t, "at")), r, 0, entered)
			entered++
		}
		r.then = func(int) {
			if entered < 60 && rapid.Bool().Draw(t, "more") {
				enter()
			}
		}
		for range rapid.IntRange(0, 30).Draw(t, "entries") {
			enter()
		}
		for r.next() {
		}
		if len(r.happened) != entered {
			t.Fatalf("%d of %d happened", len(r.happened), entered)
		}
		if !slices.IsSortedFunc(r.happened, func(a, b [2]int) int {
			if a[0] != b[0] {
				return a[0] - b[0]
			}
			return a[1] - b[1]
		}) {
			t.Fatalf("out of order: %v", r.happened)
		}
	})
}

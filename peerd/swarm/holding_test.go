package swarm

import (
	"testing"

	"fanout/internal/chunks/wire"
)

// Whatever a neighbour says it holds, or was sent, counts once; what it refuses it does not hold.
func TestHolding(t *testing.T) {
	r := newRig(t, Swarm, 4, func(r *rig) { r.held[3] = true }).begin()
	a := r.caller("a")
	n := a.neighbour()
	a.shows(0, 1)
	a.says(wire.KindHave, 1)
	a.gives(2)
	if n.count != 3 || n.complete() || !n.has(2) || n.has(3) {
		t.Errorf("%d chunks, complete %v", n.count, n.complete())
	}
	a.says(wire.KindGet, 3)
	a.takes()
	if !n.complete() {
		t.Error("not complete with what was sent")
	}
	a.says(wire.KindNone, 0)
	a.says(wire.KindNone, wire.NoChunk) // the answer to ANY, about no chunk
	if n.complete() || n.has(0) || n.count != 3 {
		t.Errorf("complete %v with a chunk refused", n.complete())
	}
	n.add(wire.NoChunk)
	if n.count != 3 {
		t.Error("no chunk counts")
	}
}

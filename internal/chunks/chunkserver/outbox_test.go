package chunkserver

import (
	"testing"

	"fanout/internal/chunks/wire"
)

// HAVEs that wait together go on one line where the other side can read that, and no other line
// changes its meaning for it.
func TestHavesAreJoined(t *testing.T) {
	have := func(chunk int) wire.Message { return wire.Message{Kind: wire.KindHave, Chunk: chunk} }
	get := wire.Message{Kind: wire.KindGet, Chunk: 3}
	none := wire.Message{Kind: wire.KindNone, Chunk: 3}
	bye := wire.Message{Kind: wire.KindBye, Wait: 7}
	for _, tc := range []struct {
		name    string
		version int
		say     []wire.Message
		want    string
	}{
		{"nothing", 2, nil, ""},
		{"one", 2, []wire.Message{have(3)}, "HAVE 3\n"},
		{"a run", 2, []wire.Message{have(4), have(2), have(3)}, "HAVE 2-4\n"},
		{"a list", 2, []wire.Message{have(9), have(2), have(3), have(9)}, "HAVE 2-3,9\n"},
		{"around what is another matter", 2, []wire.Message{have(2), get, have(3)}, "GET 3\nHAVE 2-3\n"},
		{"one that was lost", 2, []wire.Message{have(2), have(3), none, have(4)}, "HAVE 2-3\nNONE 3\nHAVE 4\n"},
		{"one that was found again", 2, []wire.Message{none, have(3)}, "NONE 3\nHAVE 3\n"},
		{"before the last line", 2, []wire.Message{have(2), bye, have(3), get}, "HAVE 2\nBYE 7\n"},
		{"version 1", 1, []wire.Message{have(4), have(2), get, have(3)}, "HAVE 4\nHAVE 2\nGET 3\nHAVE 3\n"},
	} {
		o := newOutbox(tc.version)
		for _, m := range tc.say {
			if waiting := o.sayLater(m); waiting == 0 {
				t.Errorf("%s: nothing waits after %v", tc.name, m)
			}
		}
		if got := string(o.take()); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if got := o.take(); len(got) != 0 {
			t.Errorf("%s: %q is taken twice", tc.name, got)
		}
	}
}

// The writer is woken at once for a line that is urgent, and once for all that are not.
func TestOutboxWakes(t *testing.T) {
	o := newOutbox(2)
	for chunk := range 3 {
		o.sayLater(wire.Message{Kind: wire.KindHave, Chunk: chunk})
	}
	if len(o.late) != 1 || len(o.wake) != 0 {
		t.Errorf("late %d, now %d; want the writer to be woken late", len(o.late), len(o.wake))
	}
	o.say(wire.Message{Kind: wire.KindHave, Chunk: 3})
	if len(o.wake) != 1 {
		t.Error("the writer is not woken for what is urgent")
	}
	if got := string(o.take()); got != "HAVE 0-3\n" {
		t.Errorf("it takes %q", got)
	}
}

package exchange

import (
	"slices"
	"testing"
)

// Who carries out finds by To alone whose an action is.
func TestTo(t *testing.T) {
	for _, tt := range []struct {
		action Action
		want   []ID
	}{
		{Send{To: 1}, []ID{1}},
		{Tell{To: []ID{3, 1, 2}, But: 1}, []ID{3, 2}},
		{Tell{To: []ID{3, 1, 2}}, []ID{3, 1, 2}},
		{Tell{To: []ID{4}, But: 4}, nil},
		{SendBits{To: 1}, []ID{1}},
		{Upload{To: 1}, []ID{1}},
		{HandOut{To: 1}, []ID{1}},
		{Withdraw{To: 1}, []ID{1}},
		{Fail{To: 1}, []ID{1}},
		{Close{ID: 1}, []ID{1}},
		{Bye{ID: 1}, []ID{1}},
		{Dial{}, nil},
		{Announce{}, nil},
		{Own{}, nil},
		{Distrust{}, nil},
		{Complete{}, nil},
		{GiveUp{}, nil},
	} {
		if got := slices.Collect(To(tt.action)); !slices.Equal(got, tt.want) {
			t.Errorf("%#v is for %v, want %v", tt.action, got, tt.want)
		}
	}
	for id := range To(Tell{To: []ID{1, 2}}) { // may be left early
		if id != 1 {
			t.Error("went on")
		}
		break
	}
}

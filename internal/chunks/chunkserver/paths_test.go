package chunkserver

import (
	"testing"
	"time"
)

func TestUneven(t *testing.T) {
	const quick, slow = 30 * time.Microsecond, 2 * time.Millisecond
	for _, tc := range []struct {
		what  string
		paths []time.Duration
		after time.Duration
		want  bool
	}{
		{"nothing sent yet", nil, 0, false},
		{"quick ones", []time.Duration{quick, quick}, 0, false},
		{"slow ones", []time.Duration{slow, 90 * time.Millisecond}, 0, false},
		{"both", []time.Duration{quick, slow}, 0, true},
		{"the slow one first", []time.Duration{slow, quick}, 0, true},
		{"one in between", []time.Duration{quick, 700 * time.Microsecond}, 0, false},
		{"nobody knows the other", []time.Duration{quick, 0}, 0, false},
		{"the other is not measured yet", []time.Duration{quick, unmeasured}, 0, false},
		{"both, a while ago", []time.Duration{quick, slow}, remembered, true},
		{"both, longer ago", []time.Duration{quick, slow}, remembered + 1, false},
	} {
		var p paths
		now := time.Now()
		for _, minRTT := range tc.paths {
			p.sends(minRTT, now)
		}
		if got := p.uneven(now.Add(tc.after)); got != tc.want {
			t.Errorf("%s: uneven = %v", tc.what, got)
		}
	}
}

package chunkserver

import "testing"

func TestNewLimiter(t *testing.T) {
	if NewLimiter(0) != nil {
		t.Error("0 must be unlimited")
	}
	for rate, burst := range map[int64]int{1: burstLeast, 10 << 20: 10 << 20 / 100, 10 << 30: burstMost} {
		if l := NewLimiter(rate); l.Burst() != burst || int64(l.Limit()) != rate {
			t.Errorf("limit %v with burst %d, want %d with %d", l.Limit(), l.Burst(), rate, burst)
		}
	}
}

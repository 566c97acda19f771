package room

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The capacity is the greatest rate of a period, fades while less is sent, and outlasts idleness.
func TestUplink(t *testing.T) {
	type send struct {
		after time.Duration // the one before
		bytes int
	}
	const half = period / 2
	faded := func(rate float64, periods int) float64 { return rate * math.Pow(fading, float64(periods)) }
	for _, tc := range []struct {
		name  string
		sends []send
		want  float64
	}{
		{"nothing", nil, 0},
		{"a period that is not over", []send{{0, 1000}, {half, 1000}}, 0},
		{"one period", []send{{0, 1000}, {half, 1000}, {half, 5000}}, 10_000},
		{"its last moment", []send{{0, 1000}, {period - 1, 1000}, {1, 0}}, 10_000},
		{"more in the next", []send{{0, 1000}, {period, 3000}, {period, 0}}, 15_000},
		{"less in the next", []send{{0, 3000}, {period, 1000}, {period, 0}}, faded(15_000, 1)},
		{"not much less", []send{{0, 3000}, {period, 2990}, {period, 0}}, 14_950},
		{"a pause", []send{{0, 3000}, {10 * period, 0}}, faded(15_000, 9)},
		{"seven seconds", []send{{0, 3000}, {7 * time.Second, 0}}, faded(15_000, 34)},
		{"idle", []send{{0, 3000}, {period, 0}, {idle, 0}}, 15_000},
		{"idle for an hour, then as before", []send{{0, 3000}, {period, 0}, {time.Hour, 3000}, {period, 0}}, 15_000},
		{"idle for an hour, then less", []send{{0, 3000}, {period, 0}, {time.Hour, 10}, {period, 0}}, faded(15_000, 1)},
		{"idle after half a period", []send{{0, 3000}, {half, 3000}, {idle, 10}, {period, 0}}, 50},
	} {
		var u Uplink
		now := time.Unix(1000, 0)
		for _, s := range tc.sends {
			now = now.Add(s.after)
			u.Sent(s.bytes, now)
		}
		if math.Abs(u.Capacity-tc.want) > 1e-6 {
			t.Errorf("%s: %.1f bytes a second, want %.1f", tc.name, u.Capacity, tc.want)
		}
	}
	if half := faded(1, int(7*time.Second/period)); half < 0.45 || half > 0.55 {
		t.Errorf("%.2f is left after seven seconds", half)
	}
}

// The capacity is never more than was sent in some time as long as a period, and never fades faster
// than it may.
func TestUplinkProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type send struct {
			at    time.Time
			bytes int
		}
		var u Uplink
		var sends []send
		now := time.Unix(1000, 0)
		for range rapid.IntRange(1, 100).Draw(t, "sends") {
			gap := time.Duration(rapid.OneOf(rapid.IntRange(0, 50), rapid.IntRange(0, 12_000)).Draw(t, "ms")) * time.Millisecond
			now = now.Add(gap)
			bytes := rapid.IntRange(0, slice).Draw(t, "bytes")
			before := u.Capacity
			u.Sent(bytes, now)
			sends = append(sends, send{now, bytes})
			if least := before * math.Pow(fading, math.Ceil(float64(gap)/float64(period))) * (1 - 1e-9); u.Capacity < least {
				t.Fatalf("from %.0f to %.0f within %v", before, u.Capacity, gap)
			}
		}
		most := 0
		for i := range sends {
			within := 0
			for _, s := range sends[i:] {
				if s.at.Sub(sends[i].at) < period {
					within += s.bytes
				}
			}
			most = max(most, within)
		}
		if u.Capacity > float64(most)/period.Seconds()*(1+1e-9) {
			t.Fatalf("capacity %.0f, and never more than %d bytes were sent in a period", u.Capacity, most)
		}
	})
}

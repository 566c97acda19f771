package chunkserver

import "golang.org/x/time/rate"

// Bursts of a limiter in bytes: about 10 ms of the rate, within bounds, so that a limited
// daemon's traffic looks like that of a link of the rate.
const (
	burstLeast = 16 << 10
	burstMost  = 256 << 10
)

// NewLimiter limits to so many payload bytes a second; 0 is unlimited, which is nil.
func NewLimiter(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond == 0 {
		return nil
	}
	burst := min(max(bytesPerSecond/100, burstLeast), burstMost)
	return rate.NewLimiter(rate.Limit(bytesPerSecond), int(burst))
}

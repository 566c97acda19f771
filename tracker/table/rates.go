package table

import "time"

// RateSeconds is how far back the rates go.
const RateSeconds = 300

// longestSpan bounds the time over which the bytes of one report are spread.
const longestSpan = 30 * time.Second

// rates counts bytes by second, in a ring. The zero value is ready.
type rates struct {
	ring [RateSeconds]float64
	last int64 // the latest second that is in the ring, since 1970
}

// add spreads bytes evenly over the time in which they came.
func (r *rates) add(from, to time.Time, bytes float64) {
	if bytes <= 0 {
		return
	}
	from = later(from, to.Add(-longestSpan))
	span := to.Sub(from).Seconds()
	r.advance(to.Unix())
	if span <= 0 {
		r.put(to.Unix(), bytes)
		return
	}
	for second := from.Unix(); second <= to.Unix(); second++ {
		begin, end := time.Unix(second, 0), time.Unix(second+1, 0)
		overlap := earlier(end, to).Sub(later(begin, from)).Seconds()
		r.put(second, bytes*overlap/span)
	}
}

// advance empties the seconds that begin.
func (r *rates) advance(second int64) {
	if second-r.last > RateSeconds {
		r.last = second - RateSeconds
	}
	for r.last < second {
		r.last++
		r.ring[r.last%RateSeconds] = 0
	}
}

func (r *rates) put(second int64, bytes float64) {
	if second > r.last-RateSeconds && second <= r.last {
		r.ring[second%RateSeconds] += bytes
	}
}

// since are the bytes of n seconds up to the one before now, the oldest first.
func (r *rates) since(now time.Time, n int) []float64 {
	r.advance(now.Unix())
	series := make([]float64, n)
	for i := range series {
		if second := now.Unix() - int64(n-i); second > r.last-RateSeconds && second >= 0 {
			series[i] = r.ring[second%RateSeconds]
		}
	}
	return series
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

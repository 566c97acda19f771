//go:build linux

package main

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Whatever comes and goes when: each frame leaves once, in order, when it is due and not
// earlier, with the bytes it came with, unless it was counted as dropped or lost.
func TestEveryFrameLeavesOnceInOrderWhenItIsDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		delay := time.Duration(rapid.IntRange(0, 50).Draw(t, "delay"))
		loss := rapid.SampledFrom([]float64{0, 0, 0.3}).Draw(t, "loss")
		limit := rapid.IntRange(1, 4).Draw(t, "blocks")
		c := newCarrier(delay, loss, limit)
		a, b := pair()
		type sent struct {
			to  *end
			due int64
			len int
			seq uint64
		}
		var way []sent // the model: what is on the way
		var now int64
		var seq, arrived uint64
		leave := func(t *rapid.T) {
			for {
				f, data, ok := c.queue.front()
				if !ok {
					if len(way) != 0 {
						t.Fatalf("%d frames are gone", len(way))
					}
					return
				}
				want := way[0]
				if f.to != want.to || f.due != want.due || len(data) != want.len || binary.BigEndian.Uint64(data) != want.seq {
					t.Fatalf("frame %d of %d bytes, due %d, leaves instead of %+v", binary.BigEndian.Uint64(data), len(data), f.due, want)
				}
				if f.due > now {
					return
				}
				c.tally.left(len(data), time.Duration(now-f.due))
				c.queue.pop()
				arrived++
				way = way[1:]
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				from := rapid.SampledFrom([]*end{a, b}).Draw(t, "from")
				n := rapid.IntRange(8, maxFrame).Draw(t, "bytes")
				for range rapid.IntRange(1, 60).Draw(t, "frames") {
					seq++
					binary.BigEndian.PutUint64(c.space(), seq)
					before := c.tally
					c.enter(from, n, now)
					if c.tally.lost == before.lost && c.tally.dropped == before.dropped {
						way = append(way, sent{from.far, now + int64(delay), n, seq})
					}
				}
			},
			"wait": func(t *rapid.T) {
				now += rapid.Int64Range(0, 40).Draw(t, "time")
				leave(t)
			},
			"": func(t *rapid.T) {
				if got := arrived + uint64(len(way)) + c.tally.lost + c.tally.dropped; got != seq || c.tally.segments != seq {
					t.Fatalf("%d frames accounted for, %d came", got, seq)
				}
				if c.queue.pool.made > limit {
					t.Fatalf("%d blocks, at most %d", c.queue.pool.made, limit)
				}
			},
		})
		now += int64(delay)
		leave(t)
		if c.tally.carried != arrived || len(way) != 0 {
			t.Fatalf("%d of %d frames counted, %d still on the way", c.tally.carried, arrived, len(way))
		}
		if loss == 0 && c.tally.lost != 0 {
			t.Fatalf("%d frames lost", c.tally.lost)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	c := newCarrier(time.Hour, 0, 2)
	a, _ := pair()
	fits := 2 * ((blockSize-maxFrame)/1514 + 1) // a frame needs the room of the longest one
	for range fits + 10 {
		c.space()
		c.enter(a, 1514, 0)
	}
	if c.tally.dropped != 10 {
		t.Errorf("%d frames dropped, want 10", c.tally.dropped)
	}
	for range fits {
		c.queue.pop()
	}
	if c.space(); c.full {
		t.Error("there is no room where all frames have left")
	}
}

func TestLossIsAsAskedForAndTheSameForASeed(t *testing.T) {
	const frames = 100_000
	for _, loss := range []float64{0, 0.001, 0.01, 0.2, 1} {
		run := func(seed uint64) (which []int) {
			c := newCarrier(0, loss, 1)
			a := &end{rng: rand.New(rand.NewPCG(seed, 0))}
			a.far = a
			for i := range frames {
				c.space()
				before := c.tally.lost
				if c.enter(a, 64, 0); c.tally.lost > before {
					which = append(which, i)
				} else {
					c.queue.pop()
				}
			}
			return which
		}
		got := run(7)
		// Six standard deviations: never, with a right generator; and the seed is fixed.
		if d, most := math.Abs(float64(len(got))-loss*frames), 6*math.Sqrt(frames*loss*(1-loss)); d > most {
			t.Errorf("loss %g: %d of %d frames lost", loss, len(got), frames)
		}
		if !slices.Equal(got, run(7)) {
			t.Errorf("loss %g: the same seed loses others", loss)
		}
		if loss > 0 && loss < 1 && slices.Equal(got, run(8)) {
			t.Errorf("loss %g: another seed loses the same", loss)
		}
	}
}

func TestReport(t *testing.T) {
	many := make([]time.Duration, 100)
	for i := range many {
		many[i] = time.Duration(i) * 100 * time.Microsecond
	}
	for _, c := range []struct {
		name string
		late []time.Duration
		want report
	}{
		{"nothing", nil, report{}},
		{"one", []time.Duration{130 * time.Microsecond}, report{Carried: 1, Bytes: 60, Late50: 130, Late99: 130, LateMax: 130}},
		{"at the limit", []time.Duration{time.Millisecond}, report{Carried: 1, Bytes: 60, Late50: 1000, Late99: 1000, LateMax: 1000}},
		{"hundred", many, report{Carried: 100, Bytes: 6000, Late50: 4920, Late99: 9820, LateMax: 9900, Late: 89}},
		{"beyond the buckets", []time.Duration{0, 0, time.Minute}, report{Carried: 3, Bytes: 180, Late50: 20, Late99: 6e7, LateMax: 6e7, Late: 1}},
	} {
		// What two loops counted adds up.
		var sum, first, second tally
		for i, l := range c.late {
			[]*tally{&first, &second}[i%2].left(60, l)
		}
		sum.add(&first)
		sum.add(&second)
		if got := sum.report(0); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func newCarrier(delay time.Duration, loss float64, blocks int) *carrier {
	return &carrier{delay: delay, loss: loss, queue: queue{pool: &pool{limit: blocks}}}
}

// pair is the two ends of a link.
func pair() (a, b *end) {
	a, b = &end{name: "a", rng: rand.New(rand.NewPCG(1, 0))}, &end{name: "b", rng: rand.New(rand.NewPCG(1, 1))}
	a.far, b.far = b, a
	return a, b
}

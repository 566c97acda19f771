package room

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// An offer that is not answered lapses, and the pause before the next one doubles.
func TestOfferLapses(t *testing.T) {
	const ms = time.Millisecond
	for name, answer := range map[string]func(o *Offer, now time.Time){
		"Taken":  func(o *Offer, _ time.Time) { o.Taken() },
		"Passed": func(o *Offer, now time.Time) { o.Passed(now, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			var o Offer
			now := time.Unix(1000, 0)
			if o.Open(now) || !o.May(now, false) {
				t.Fatal("nothing was offered yet")
			}
			lapse := func(pause time.Duration) {
				t.Helper()
				o.Make(now)
				now = now.Add(openFor - 1)
				if !o.Open(now) || o.May(now, true) {
					t.Fatal("it may still be answered")
				}
				now = now.Add(1)
				if o.Open(now) {
					t.Fatal("it is open for too long")
				}
				now = now.Add(pause - 1)
				if o.May(now, false) || o.May(now, true) { // news are no answer
					t.Fatalf("the pause is less than %v", pause)
				}
				now = now.Add(1)
				if !o.May(now, false) {
					t.Fatalf("the pause is more than %v", pause)
				}
			}
			for _, pause := range []time.Duration{250, 500, 1000, 2000, 4000, 8000, 8000, 8000} {
				lapse(pause * ms)
			}
			o.Make(now)
			now = now.Add(apart)
			answer(&o, now)
			if o.Open(now) || !o.May(now, false) {
				t.Fatal("it was answered")
			}
			lapse(250 * ms)
			answer(&o, now) // late, or without having been asked
			lapse(250 * ms)
			lapse(500 * ms)
		})
	}
}

// Two offers are some time apart, however fast they are answered.
func TestOffersAreApart(t *testing.T) {
	var o Offer
	now := time.Unix(1000, 0)
	o.Make(now)
	o.Taken()
	now = now.Add(apart - 1)
	if o.May(now, false) || o.May(now, true) {
		t.Error("the next one comes too early")
	}
	if now = now.Add(1); !o.May(now, false) {
		t.Error("the next one comes too late")
	}
}

// Who has passed is made no offer for so long, unless there is news or it asks itself.
func TestOfferPassed(t *testing.T) {
	made := time.Unix(1000, 0)
	for _, tc := range []struct {
		name  string
		after time.Duration // the PASS
		news  bool
		asks  bool
		want  bool
	}{
		{"at once", 0, false, false, false},
		{"shortly before", time.Second - 1, false, false, false},
		{"then", time.Second, false, false, true},
		{"news", 0, true, false, true},
		{"it has asked", 0, false, true, true},
	} {
		var o Offer
		o.Make(made)
		now := made.Add(apart)
		o.Passed(now, 1000)
		if tc.asks {
			o.Taken()
		}
		now = now.Add(tc.after)
		if got := o.May(now, tc.news); got != tc.want || o.Open(now) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// Whatever happens in whatever order, Open and May say what a plain account of it says.
func TestOfferProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o Offer
		now := time.Unix(1000, 0)
		var made, quiet time.Time // the model
		lapsed, open := 0, false
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				ms := rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(0, 10_000)).Draw(t, "ms")
				now = now.Add(time.Duration(ms) * time.Millisecond)
			},
			"make": func(*rapid.T) {
				if o.May(now, false) {
					o.Make(now)
					made, open = now, true
				}
			},
			"taken": func(*rapid.T) {
				o.Taken()
				quiet, lapsed, open = time.Time{}, 0, false
			},
			"passed": func(t *rapid.T) {
				ms := rapid.IntRange(0, 2000).Draw(t, "for")
				o.Passed(now, ms)
				quiet, lapsed, open = now.Add(time.Duration(ms)*time.Millisecond), 0, false
			},
			"": func(t *rapid.T) {
				if open && now.Sub(made) >= openFor {
					pause := pauseFirst
					for range min(lapsed, 10) {
						pause *= 2
					}
					open, quiet = false, now.Add(min(pause, pauseMost))
					lapsed++
				}
				if got := o.Open(now); got != open {
					t.Fatalf("open %v, want %v", got, open)
				}
				for _, news := range []bool{false, true} {
					want := !open && now.Sub(made) >= apart && (!now.Before(quiet) || news && lapsed == 0)
					if got := o.May(now, news); got != want {
						t.Fatalf("may with news %v: %v, want %v", news, got, want)
					}
				}
			},
		})
	})
}

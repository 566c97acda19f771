package chunkserver

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fanout/internal/chunks/wire"
)

// play has lines said (">GET 3") and heard ("<OFFER 3"), and time passed ("+31s"). It returns what
// became of the DATA that were heard, "+" for a welcome one.
func play(w *welcome, script string) (became string) {
	now := time.Unix(0, 0)
	for _, step := range strings.Split(script, " ") {
		if step[0] == '+' {
			d, err := time.ParseDuration(step[1:])
			if err != nil {
				panic(err)
			}
			now = now.Add(d)
			continue
		}
		word, number, _ := strings.Cut(step[1:], ":")
		chunk, err := strconv.Atoi(number)
		if err != nil {
			chunk = wire.NoChunk
		}
		m := wire.Message{Chunk: chunk}
		for m.Kind = wire.KindBits; m.Kind.String() != word; m.Kind++ {
		}
		switch {
		case step[0] == '>':
			w.said(m, now)
		case m.Kind != wire.KindData:
			w.heard(m, now)
		case w.takes(chunk, now):
			became += "+"
		default:
			became += "-"
		}
	}
	return became
}

func TestWelcome(t *testing.T) {
	for _, tc := range []struct{ name, script, want string }{
		{"asked for", ">GET:3 <DATA:3", "+"},
		{"asked for, sent twice", ">GET:3 <DATA:3 <DATA:3", "+-"},
		{"asked for twice", ">GET:3 >GET:3 <DATA:3 <DATA:3", "++"},
		{"asked for long ago, by a peer whose owner was slow", ">GET:3 +1h <DATA:3", "+"},
		{"another was asked for", ">GET:3 <DATA:4", "-"},
		{"refused", ">GET:3 <NONE:3 <DATA:3", "-"},
		{"refused, asked for again", ">GET:3 <NONE:3 >GET:3 <DATA:3", "+"},
		{"offered", "<OFFER:3 +1h <DATA:3", "+"},
		{"offered once, sent twice", "<OFFER:3 <DATA:3 <DATA:3", "+-"},
		{"the offer crosses a GET, and both are answered", ">GET:3 <OFFER:3 <DATA:3 <DATA:3", "++"},
		{"and the offer is declined", ">GET:3 <OFFER:3 >CANCEL:3 +1h <DATA:3", "+"},
		{"and that crosses its chunk", ">GET:3 <OFFER:3 >CANCEL:3 <DATA:3 +1h <DATA:3", "++"},
		{"nothing was asked for", "<DATA:3", "-"},
		{"the other side was asked by itself", "<GET:3 <DATA:3", "-"},
		{"any", ">ANY >ANY <DATA:3 <DATA:3 <DATA:4", "++-"},
		{"any, of which one was refused", ">ANY >ANY <NONE:- <DATA:3 <DATA:4", "+-"},
		{"NONE that nobody asked for", "<NONE:- <NONE:3 >ANY <DATA:3", "+"},
		{"any, and the chunk was asked for as well", ">GET:3 >ANY <DATA:3 <DATA:3 <DATA:4", "++-"},
		{"any, of a chunk that was cancelled", ">GET:3 >ANY >CANCEL:3 <DATA:3 <DATA:3 <DATA:4", "++-"},
		{"cancelled, crossing", ">GET:3 >CANCEL:3 +29s <DATA:3", "+"},
		{"cancelled, crossing twice", ">GET:3 >CANCEL:3 <DATA:3 <DATA:3", "+-"},
		{"cancelled, but nothing proves that it has been read", ">GET:3 >PING >CANCEL:3 <PONG +1h <DATA:3", "+"},
		{"cancelled long ago", ">GET:3 >CANCEL:3 >PING <PONG +31s <DATA:3", "-"},
		{"cancelled, and read at once", ">GET:3 >CANCEL:3 >PING <PONG +29s <DATA:3", "+"},
		{"cancelled, and asked for again", ">GET:3 >CANCEL:3 >GET:3 <DATA:3 >PING <PONG +1h <DATA:3", "++"},
		{"cancelled, refused, and asked for again", ">GET:3 >CANCEL:3 >GET:3 <NONE:3 +1h <DATA:3", "+"},
		{"cancelled when it had come", ">GET:3 <DATA:3 >CANCEL:3 <DATA:3", "+-"},
		{"the offer is declined", "<OFFER:3 >CANCEL:3 <DATA:3", "+"},
		{"the offer was declined long ago", "<OFFER:3 >CANCEL:3 >PING <PONG +31s <DATA:3", "-"},
	} {
		if got := play(newWelcome(), tc.script); got != tc.want {
			t.Errorf("%s: %s: %s, want %s", tc.name, tc.script, got, tc.want)
		}
	}
}

// Of CANCELs, the last 256 are remembered.
func TestWelcomeRemembersSoMany(t *testing.T) {
	w := newWelcome()
	for c := range 300 {
		play(w, ">GET:"+strconv.Itoa(c)+" >CANCEL:"+strconv.Itoa(c))
	}
	for c := range 300 {
		want := "+"
		if c < 300-crossings {
			want = "-"
		}
		if got := play(w, "<DATA:"+strconv.Itoa(c)); got != want {
			t.Errorf("chunk %d: %s, want %s", c, got, want)
		}
	}
	if len(w.due) != 0 || len(w.cancelled) != 0 {
		t.Errorf("left over: %v, %v", w.due, w.cancelled)
	}
}

// An honest side is never cut, whatever crosses what: it sends a DATA or NONE for each GET and ANY,
// one DATA for each OFFER, and none for what has been cancelled, once it knows.
func TestWelcomeToTheHonest(t *testing.T) {
	for seed := range uint64(2000) {
		if !honest(t, rand.New(rand.NewPCG(seed, 0))) {
			t.Fatalf("in the run of seed %d", seed)
		}
	}
}

// honest lets two sides talk at random.
func honest(t *testing.T, r *rand.Rand) bool {
	w, now := newWelcome(), time.Unix(0, 0)
	var there, here []wire.Message // lines on their way, in order
	var owed []wire.Message        // the GETs, OFFERs and ANYs that the other side has not answered
	anys := r.IntN(2)              // one that is open hides what is wrong with the rest
	for range 300 {
		chunk := r.IntN(2)
		switch kind := wire.Kind(r.IntN(20)); {
		case kind == wire.KindAny && anys > 0, kind == wire.KindGet, kind == wire.KindCancel, kind == wire.KindPing:
			m := wire.Message{Kind: kind, Chunk: chunk}
			w.said(m, now)
			there = append(there, m)
		case kind == wire.KindOffer:
			m := wire.Message{Kind: kind, Chunk: chunk}
			owed, here = append(owed, m), append(here, m)
		case kind == 0:
			now = now.Add(crossing)
		case r.IntN(3) == 0 && len(there) > 0: // the other side reads
			m := there[0]
			there = there[1:]
			switch m.Kind {
			case wire.KindPing:
				here = append(here, wire.Message{Kind: wire.KindPong})
			case wire.KindCancel:
				due := func(o wire.Message) bool { return o.Kind != wire.KindAny && o.Chunk == m.Chunk }
				if i := slices.IndexFunc(owed, due); i >= 0 {
					owed = slices.Delete(owed, i, i+1)
				}
			default:
				owed = append(owed, m)
			}
		case r.IntN(2) == 0 && len(owed) > 0: // it answers
			i := r.IntN(len(owed))
			m := wire.Message{Kind: wire.KindData, Chunk: owed[i].Chunk}
			if owed[i].Kind != wire.KindOffer && r.IntN(3) == 0 {
				m.Kind = wire.KindNone
			}
			if owed[i].Kind == wire.KindAny && m.Kind == wire.KindNone {
				m.Chunk = wire.NoChunk
			}
			owed, here = slices.Delete(owed, i, i+1), append(here, m)
		case len(here) > 0: // this side reads
			m := here[0]
			here = here[1:]
			if w.heard(m, now); m.Kind == wire.KindData && !w.takes(m.Chunk, now) {
				t.Errorf("DATA %d is not welcome: due %v, %d ANY, cancelled %v", m.Chunk, w.due, w.anys, w.cancelled)
				return false
			}
		}
	}
	return true
}

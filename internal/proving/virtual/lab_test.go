package virtual

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fanout/peerd/swarm"
)

var errNever = errors.New("never")

func newRand(a, b uint64) *rand.Rand { return rand.New(rand.NewPCG(a, b)) }

// small is a plan that takes no time.
func small(scenario string, strategy swarm.Strategy) Plan {
	p := Defaults(scenario)
	p.Strategy, p.Size = strategy, 4<<20
	return p
}

// spared is how many files of a hundred chunks or so the origin of equal peers may send: what is more
// than one is what it gives away at the end for want of anything better to do.
const spared = 1.1

// In every scenario everybody who is waited for completes, not before the bound, and no promise is
// broken; among equals the origin sends everything once, unless all of it comes from there. In a
// swarm it sends a little more at the end, when nobody asks for more to send on.
func TestScenarios(t *testing.T) {
	names, _ := Scenarios()
	for _, name := range names {
		for _, strategy := range []swarm.Strategy{swarm.Swarm, swarm.Static, swarm.Direct} {
			t.Run(name+"/"+string(strategy), func(t *testing.T) {
				r, err := Run(t.Context(), small(name, strategy))
				if name == "subnets" && strategy != swarm.Swarm {
					if !errors.Is(err, ErrNeedsSwarm) {
						t.Errorf("it says %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if r.Err() != nil || len(r.Times) == 0 {
					t.Errorf("%v, %d have it", r.Err(), len(r.Times))
				}
				if ratio := r.Ratio(r.Last()); ratio < 0.99 {
					t.Errorf("took %.3f of the bound", ratio)
				}
				most := 1.0
				switch strategy {
				case swarm.Direct:
					most = math.Inf(1)
				case swarm.Swarm:
					most = spared
				}
				if name == "equal" && (r.Origin < 1 || r.Origin > most) {
					t.Errorf("the origin sent %.3f files", r.Origin)
				}
				if strategy == swarm.Direct && r.Origin < float64(len(r.Times)) {
					t.Errorf("the origin sent %.2f files to %d peers", r.Origin, len(r.Times))
				}
			})
		}
	}
}

// What a scenario is about does happen.
func TestScenariosAreWhatTheySay(t *testing.T) {
	run := func(name string) (*lab, *Result) {
		p := small(name, swarm.Swarm)
		p.Size = 8 << 20
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		l := newLab(&p, p.members(newRand(1, 0)))
		r, err := happen(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		return l, r
	}
	count := func(l *lab, is func(*host) bool) (n int) {
		for _, h := range l.hosts {
			if is(h) {
				n++
			}
		}
		return n
	}
	dead := func(h *host) bool { return h.dead }
	if l, _ := run("killed"); count(l, dead) != 1 {
		t.Error("nobody was killed")
	}
	if l, _ := run("origin-dies"); count(l, dead) != 1 || count(l, func(h *host) bool { return h.Origin && h.dead && h.stats.sent < l.plan.Size/5 }) != 1 {
		t.Error("no origin was killed, or too late")
	}
	if l, _ := run("churn"); count(l, dead) != 1 || count(l, func(h *host) bool { return strings.HasPrefix(h.Name, "late") && h.done > 0 }) != 1 {
		t.Error("nobody was killed, or came late and completed")
	}
	if l, _ := run("leave"); count(l, dead) < 7 {
		t.Error("they stayed")
	}
	if l, _ := run("frozen"); count(l, func(h *host) bool { return h.frozen && !h.has(l.chunks-1) }) != 1 {
		t.Error("nobody froze")
	}
	if _, r := run("lying"); r.Wrong == 0 {
		t.Error("no wrong bytes came")
	}
	if l, _ := run("silent"); l.hosts[len(l.hosts)-1].stats.sent != 0 || l.hosts[len(l.hosts)-1].stats.messages == 0 {
		t.Error("the silent one sent something, or nobody talked to it")
	}
	if l, r := run("slow-seeder"); l.hosts[len(l.hosts)-1].stats.sent == 0 || r.Origin < 0.5 {
		t.Error("the seeder did not help, or the origin left everything to it")
	}
	if _, r := run("racks"); r.Trunk < 1 || r.Trunk > 4 { // half of the eight are behind it, each of whom needs the file
		t.Errorf("%.2f files went across the trunk", r.Trunk)
	}
	_, equal := run("equal")
	if equal.Trunk != 0 {
		t.Error("there is a trunk between equals")
	}
	for _, name := range []string{"half-slow", "most-slow", "racks", "frozen"} {
		if _, r := run(name); r.Last() <= equal.Last() {
			t.Errorf("%s took %v, equal links %v", name, r.Last(), equal.Last())
		}
	}
	if l, _ := run("one-slow"); l.hosts[8].held.Count() >= uint(l.chunks) || l.hosts[8].stats.fresh == 0 {
		t.Error("the slow one was as fast as the others, or got nothing")
	}
	if l, _ := run("subnets"); !crossed(l) {
		t.Error("there are sessions between the subnets, or none with the two that are in both")
	}
}

// Two origins take as long as one with the uplinks of both; when one dies, the other sends the
// rest alone.
func TestBoundsOfTwoOrigins(t *testing.T) {
	alone := Defaults("equal")
	alone.Rate *= 2 * originPart
	one := alone.least(alone.members(newRand(1, 0)))
	for name, want := range map[string]float64{"two-origins": 1, "origin-dies": 1.0/3 + 2*2.0/3} {
		p := Defaults(name)
		if got := p.least(p.members(newRand(1, 0))).Seconds() / one.Seconds(); got < want-0.01 || got > want+0.01 {
			t.Errorf("%s: %.3f times as long as one origin, want %.3f", name, got, want)
		}
	}
}

// crossed says that machines of the second subnet have the file, and talk to none of the first.
func crossed(l *lab) bool {
	across := 0
	for _, h := range l.hosts {
		for _, e := range h.open {
			if e.Subnets&e.other.Subnets == 0 {
				return false
			}
			if e.Subnets == 2 && e.other.Subnets == 3 {
				across++
			}
		}
	}
	return across > 0
}

// A plan with the same seed happens in the same way, event by event; one with another does not.
func TestRepeats(t *testing.T) {
	for _, name := range []string{"equal", "churn", "racks"} {
		p := small(name, swarm.Swarm)
		once := func() string {
			r, err := Run(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			all, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(all)
		}
		first := once()
		if again := once(); again != first {
			t.Errorf("%s happened in two ways:\n%s\n%s", name, first, again)
		}
		if p.Seed++; once() == first {
			t.Errorf("%s: another seed changed nothing", name)
		}
	}
}

// handouts counts how often the chunks of a run are handed out.
type handouts map[int]int

func (h handouts) check(s *step) error {
	if s.what == beginsChunk && s.any && s.chunk >= 0 {
		h[s.chunk]++
	}
	return nil
}

func (h handouts) all() (n int) {
	for _, times := range h {
		n += times
	}
	return n
}

// The swarm of eight equal peers: the origin hands nothing out twice, and gives little away beside
// that, and no peer dials another more than once.
func TestSwarmOfEight(t *testing.T) {
	p := Defaults("equal")
	p.Size, p.Chunk = 100*64<<10, 64<<10
	l, out := newLab(&p, p.members(newRand(1, 0))), handouts{}
	l.checkers = append(l.checkers, out)
	r, err := happen(t.Context(), l)
	if err != nil || r.Err() != nil {
		t.Fatal(err, r.Err())
	}
	if out.all() != len(out) || len(out) < r.Chunks*9/10 { // some are given away before their turn has come
		t.Errorf("of %d chunks %d were handed out, in %d handouts", r.Chunks, len(out), out.all())
	}
	if r.Origin < 1 || r.Origin > spared || r.Chunks != 100 || r.Dials > 8+8*7 {
		t.Errorf("the origin sent %.3f files of %d chunks, there were %d dials", r.Origin, r.Chunks, r.Dials)
	}
}

// Of two or three equal peers none takes all the handouts, so that there are no uplinks to spare.
func TestFewEquals(t *testing.T) {
	for _, peers := range []int{2, 3} {
		for seed := range uint64(3) {
			p := Defaults("equal")
			p.Peers, p.Seed = peers, 1+seed
			r, err := Run(t.Context(), p)
			if err != nil || r.Err() != nil {
				t.Fatal(err, r.Err())
			}
			if r.Origin > 1.05 || r.Ratio(r.Last()) > 1.07 {
				t.Errorf("%d peers, seed %d: the origin sent %.3f files, and it took %.3f bounds", peers, p.Seed, r.Origin, r.Ratio(r.Last()))
			}
		}
	}
}

// Two origins are as fast as one with the uplinks of both, and send hardly any chunk twice; so is
// the one that is left when the other dies.
func TestTwoOrigins(t *testing.T) {
	for _, name := range []string{"two-origins", "origin-dies"} {
		for _, peers := range []int{4, 8} {
			p := Defaults(name)
			p.Peers = peers
			r, err := Run(t.Context(), p)
			if err != nil || r.Err() != nil {
				t.Fatal(err, r.Err())
			}
			if r.Origin > 1.02 || r.Ratio(r.Last()) > 1.05 {
				t.Errorf("%s, %d peers: the origins sent %.3f files, and it took %.3f bounds", name, peers, r.Origin, r.Ratio(r.Last()))
			}
		}
	}
}

// Whatever the number of origins, peers and chunks, whoever is slow, comes late or dies: every peer that
// lives completes, and the origin hands a chunk out a second time only if it may have been lost with
// its owner, or to somebody who comes late. What it gives away beside that, for want of anything
// better to do, may be everything to everybody: they may be so slow.
func TestAnySwarm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := Defaults("equal")
		p.Strategy = rapid.SampledFrom([]swarm.Strategy{swarm.Swarm, swarm.Swarm, swarm.Swarm, swarm.Static, swarm.Direct}).Draw(rt, "strategy")
		p.Chunk = 16 << 10
		p.Size = p.Chunk*int64(rapid.IntRange(0, 40).Draw(rt, "chunks")) + 1
		p.Seed = rapid.Uint64().Draw(rt, "seed")
		p.Peers = rapid.IntRange(2, 8).Draw(rt, "peers")
		if err := p.Check(); err != nil {
			rt.Fatal(err)
		}
		all := p.members(newRand(p.Seed, 0))
		for n := range rapid.IntRange(0, 2).Draw(rt, "more origins") {
			o := all[0]
			o.Name = fmt.Sprintf("origin%d", n+2)
			o.Up = float64(rapid.IntRange(3, 100).Draw(rt, "origin's Mbit/s up")) * 1e6
			o.DiesAt = rapid.SampledFrom([]float64{0, 0, 0.1, 0.5}).Draw(rt, "origin dies at")
			all = append(all, o)
		}
		deaths := 0
		for i := range all[1:] {
			if all[1+i].Origin {
				continue
			}
			m := &all[1+i]
			m.Up = float64(rapid.IntRange(3, 100).Draw(rt, "Mbit/s up")) * 1e6
			m.Down = float64(rapid.IntRange(3, 100).Draw(rt, "Mbit/s down")) * 1e6
			m.Starts = time.Duration(rapid.SampledFrom([]int{0, 0, 0, 50, 1000}).Draw(rt, "starts at ms")) * time.Millisecond
			if m.DiesAt = rapid.SampledFrom([]float64{0, 0, 0, 0, 0.1, 0.5, 0.99}).Draw(rt, "dies at"); m.DiesAt > 0 {
				m.Spare = true
				deaths++
			}
		}
		l, out := newLab(&p, all), handouts{}
		l.checkers = append(l.checkers, out)
		r, err := happen(t.Context(), l)
		if err != nil {
			rt.Fatal(err)
		}
		if err := fair(l, r, out, deaths); err != nil {
			rt.Fatal(err)
		}
	})
}

// fair says what of a run's outcome should not be.
func fair(l *lab, r *Result, out handouts, deaths int) error {
	n, most, origins := len(l.hosts)-1, l.chunks, 0
	for _, h := range l.hosts {
		if h.Origin {
			origins++
		} else if h.DiesAt > 0 {
			// What it held, what was on its way to it, and what became an orphan for a moment.
			most += int(h.held.Count()) + 2 + l.chunks/4
		}
		if h.Starts > 0 { // those who had everything may have left the origin, which then hands it out again
			most += l.chunks
		}
	}
	if p := l.plan.Strategy; p == swarm.Direct || p == swarm.Static && deaths > 0 {
		most = n * l.chunks
	}
	if origins > 1 {
		most *= origins // of so few chunks all may be on their way at once
	}
	sent := int(math.Ceil(l.handedOut()*float64(l.plan.Size)/float64(l.chunkSize) - 1e-6))
	if l.plan.Strategy == swarm.Swarm {
		if everything := origins * n * l.chunks; sent > everything {
			return fmt.Errorf("%d origins sent %d chunks; everything to everybody is %d", origins, sent, everything)
		}
		sent = out.all()
	}
	switch {
	case r.Err() != nil:
		return r.Err()
	case sent > most:
		return fmt.Errorf("%d origins sent %d chunks, at most %d were due; it took %v", origins, sent, most, r.Last())
	case deaths == 0 && r.Dials > 2*n*n:
		return fmt.Errorf("%d dials among %d peers", r.Dials, n)
	}
	return nil
}

// A plan that cannot be is refused, by what is wrong with it.
func TestBadPlans(t *testing.T) {
	for _, tt := range []struct {
		change func(*Plan)
		says   string
	}{
		{func(p *Plan) { p.Scenario = "other" }, "give one of equal,"},
		{func(p *Plan) { p.Strategy = "torrent" }, "direct, static or swarm"},
		{func(p *Plan) { p.Peers = 1 }, "give 2 to 20000"},
		{func(p *Plan) { p.Size = 0 }, "a file of 0 bytes"},
		{func(p *Plan) { p.Chunk = -1 }, "chunks of -1 bytes"},
		{func(p *Plan) { p.Chunk = 1 }, "chunk"},
		{func(p *Plan) { p.Rate = 0 }, "links of 0"},
		{func(p *Plan) { p.Trunk = 0 }, "a trunk of 0"},
		{func(p *Plan) { p.Rate = 1e13 }, "give 1e+12 or less"},
		{func(p *Plan) { p.Trunk = 1e13 }, "give 1e+12 or less"},
		{func(p *Plan) { p.Size, p.Rate, p.Trunk = 1<<40, 1000, 500 }, "years: give higher rates"},
		{func(p *Plan) { p.Peers = mostPeers + 1 }, "give 2 to 20000"},
		{func(p *Plan) { p.Peers, p.Chunk = 2000, 4<<10 }, "2000 peers of 16384 chunks: give fewer peers,"},
		{func(p *Plan) { p.Scenario, p.Strategy = "subnets", swarm.Static }, "subnets with static"},
		{func(p *Plan) { p.Queue = 1 }, "queues of 1 packets"},
		{func(p *Plan) { p.Delay = -1 }, "delay of -1ns"},
	} {
		p := Defaults("equal")
		tt.change(&p)
		if _, err := Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("it says %v, want %q", err, tt.says)
		}
	}
}

// Whom nobody can reach is named at the end of a run, which there is.
func TestIncomplete(t *testing.T) {
	p := small("equal", swarm.Swarm)
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	all := p.members(newRand(1, 0))
	all[3].Subnets = 2
	r, err := happen(t.Context(), newLab(&p, all))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), "p3") {
		t.Errorf("it says %v", err)
	}
}

// Who watches a run sees its curve, from nothing to everything.
func TestWatch(t *testing.T) {
	var seen []Point
	r, err := Watch(t.Context(), small("equal", swarm.Swarm), func(p Point) { seen = append(seen, p) })
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, r.Curve) || seen[0].Mean != 0 || seen[len(seen)-1].Least != 1 {
		t.Errorf("seen are %v, the curve is %v", seen, r.Curve)
	}
}

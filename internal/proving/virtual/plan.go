package virtual

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"fanout/internal/chunks/manifest"
	"fanout/internal/proving/bound"
	"fanout/peerd/swarm"
)

// Strategy is how a download is done.
type Strategy = swarm.Strategy

// Plan is what is to happen.
type Plan struct {
	Scenario string
	Strategy Strategy
	Peers    int
	Size     int64 // of the file, in bytes
	Chunk    int64 // of a chunk; 0 for the size that origin chooses
	// Rate is of every link that the scenario does not make slower, in bits a second on the wire.
	Rate  float64
	Trunk float64       // between racks, in bits a second on the wire
	Delay time.Duration // from one host to another, beside queues
	Queue int           // packets that the queue of a link holds, at the receivers and trunks
	// OneKernel says that all machines share a kernel, as those of Mininet do: a packet then counts
	// as one in the queue of the sender's machine until the receiver has it (Linux keeps its socket
	// across network namespaces), so that TCP small queues hold senders back as no real network
	// does, and nearly nothing is lost.
	OneKernel bool
	Seed      uint64
}

// Defaults is a scenario's usual plan: a star like that of the lab in mininet/, of links of
// 100 Mbit/s, half of that between racks, whose queues hold 1,000 packets.
func Defaults(scenario string) Plan {
	p := Plan{
		Scenario: scenario, Strategy: swarm.Swarm, Peers: 8, Size: 64 << 20, Rate: 100e6,
		Delay: 50 * time.Microsecond, Queue: 1000, OneKernel: true, Seed: 1,
	}
	if scenario == "small" {
		p.Peers, p.Size, p.Rate = 32, 4<<20, 5e6
	}
	p.Trunk = p.Rate / 2
	return p
}

// Member is a machine of a plan.
type Member struct {
	Name     string
	Up, Down float64 // bits a second on the wire; 0 is unlimited
	Rack     int     // racks are connected by trunks
	Subnets  uint    // a bit each; machines reach each other if they have one in common
	Starts   time.Duration
	Origin   bool // hands the file out
	Whole    bool // has the file at the beginning, as an origin has
	Silent   bool // says that it has the file, and sends nothing
	Lying    bool // says so, and sends wrong bytes
	// FreezesAt, DiesAt are parts of the file: with so much of it the machine stops to do
	// anything, its connections staying open; or it is killed. 0 is never. Of an origin, which
	// has everything, it is what it has sent that counts.
	FreezesAt, DiesAt float64
	// Leaves says that it is stopped as soon as it has everything.
	Leaves bool
	// Spare says that nobody waits for it: it need not complete.
	Spare bool
}

// scenario makes the members of a plan; the first is the origin.
type scenario struct {
	name, what string
	change     func(p *Plan, m []Member, r *rand.Rand) []Member
}

const (
	slowPart = 5   // the slow have a fifth of the rate
	verySlow = 10  // or a tenth
	crawling = 20  // or a twentieth
	slowest  = 100 // or a hundredth

	originPart = 0.4 // of the rate, of each of two origins: together they are what is waited for
)

// twoThirds are the last of the peers.
func twoThirds(m []Member) []Member { return m[1+(len(m)-1)/3:] }

// secondOrigin makes the origin one of two with slow links.
func secondOrigin(m []Member) []Member {
	m[0].Up *= originPart
	second := m[0]
	second.Name = "origin2"
	return append(m, second)
}

var scenarios = []scenario{
	{"equal", "every link has the same rate", nil},
	{"half-slow", "half of the peers have a fifth of the uplink", func(_ *Plan, m []Member, _ *rand.Rand) []Member {
		for i := range m[1:] {
			if i >= (len(m)-1)/2 {
				m[1+i].Up /= slowPart
			}
		}
		return m
	}},
	{"one-slow", "one peer has a tenth of the rate, both ways", func(_ *Plan, m []Member, _ *rand.Rand) []Member {
		last := &m[len(m)-1]
		last.Up, last.Down, last.Spare = last.Up/verySlow, last.Down/verySlow, true
		return m
	}},
	{"few-fast", "two thirds of the peers have a twentieth of the rate, both ways; the others are waited for", func(_ *Plan, m []Member, _ *rand.Rand) []Member {
		slow := twoThirds(m)
		for i, s := range slow {
			slow[i].Up, slow[i].Down, slow[i].Spare = s.Up/crawling, s.Down/crawling, true
		}
		return m
	}},
	{"most-slow", "two thirds of the peers have a fifth of the uplink", func(_ *Plan, m []Member, _ *rand.Rand) []Member {
		slow := twoThirds(m)
		for i := range slow {
			slow[i].Up /= slowPart
		}
		return m
	}},
	{"racks", "half of the peers are behind a trunk", func(_ *Plan, m []Member, _ *rand.Rand) []Member {
		for i := range m[1:] {
			if i >= len(m)/2 {
				m[1+i].Rack = 1
			}
		}
		return m
	}},
	{"killed", "one peer is killed with half of the file", func(_ *Plan, m []Member, _ *rand.Rand) []Member {
		m[1].DiesAt, m[1].Spare = 0.5, true
		return m
	}},
	{"churn", "a tenth of the peers are killed on their way, and as many come", func(p *Plan, m []Member, r *rand.Rand) []Member {
		n := max(1, (len(m)-1)/10)
		for _, i := range r.Perm(len(m) - 1)[:min(n, len(m)-1)] {
			m[1+i].DiesAt, m[1+i].Spare = 0.05+0.9*r.Float64(), true
		}
		least := bound.PeerToPeer(p.Size, goodput(p.Rate), bound.Equal(p.Peers, bound.Link{Up: goodput(p.Rate), Down: goodput(p.Rate)}))
		for i := range n {
			m = append(m, Member{Name: fmt.Sprintf("late%d", i+1), Up: p.Rate, Down: p.Rate, Subnets: 1,
				Starts: time.Duration((0.1 + 0.8*r.Float64()) * float64(least))})
		}
		return m
	}},
	{"leave", "every peer is stopped when it has everything", func(_ *Plan, m []Member, _ *rand.Rand) []Member {
		for i := range m[1:] {
			m[1+i].Leaves = true
		}
		return m
	}},
	{"frozen", "one peer stops with 30 % of the file, its connections staying open", func(_ *Plan, m []Member, _ *rand.Rand) []Member {
		m[1].FreezesAt, m[1].Spare = 0.3, true
		return m
	}},
	{"silent", "one more member says that it has the file, and sends nothing", func(p *Plan, m []Member, _ *rand.Rand) []Member {
		return append(m, Member{Name: "silent", Up: p.Rate, Down: p.Rate, Subnets: 1, Silent: true, Spare: true})
	}},
	{"lying", "one more member says that it has the file, and sends wrong bytes", func(p *Plan, m []Member, _ *rand.Rand) []Member {
		return append(m, Member{Name: "liar", Up: p.Rate, Down: p.Rate, Subnets: 1, Lying: true, Spare: true})
	}},
	{"subnets", "the origin and half of the peers reach the others by two peers alone", func(_ *Plan, m []Member, _ *rand.Rand) []Member {
		for i := range m[1:] {
			switch n := len(m) - 1; {
			case i < 2:
				m[1+i].Subnets = 3
			case i >= n/2:
				m[1+i].Subnets = 2
			}
		}
		return m
	}},
	{"slow-seeder", "one more peer has the file, and a hundredth of the uplink", func(p *Plan, m []Member, _ *rand.Rand) []Member {
		return append(m, Member{Name: "seeder", Up: p.Rate / slowest, Down: p.Rate, Subnets: 1, Whole: true, Spare: true})
	}},
	{"two-origins", "two origins have two fifths of the uplink each", func(_ *Plan, m []Member, _ *rand.Rand) []Member {
		return secondOrigin(m)
	}},
	{"origin-dies", "of two such origins one is killed when a third of the file is handed out", func(_ *Plan, m []Member, _ *rand.Rand) []Member {
		m = secondOrigin(m)
		m[len(m)-1].DiesAt = 1.0 / 3 / 2
		return m
	}},
	{"small", "few chunks, slow links and many peers: 4 MiB to 32 at 5 Mbit/s", nil},
}

// Scenarios are the names of all scenarios, and what each is.
func Scenarios() (names, what []string) {
	for _, s := range scenarios {
		names, what = append(names, s.name), append(what, s.what)
	}
	return names, what
}

// members makes a plan's machines.
func (p *Plan) members(r *rand.Rand) []Member {
	all := []Member{{Name: "origin", Up: p.Rate, Down: p.Rate, Subnets: 1, Origin: true, Whole: true, Spare: true}}
	for i := range p.Peers {
		all = append(all, Member{
			Name: fmt.Sprintf("p%d", i+1), Up: p.Rate, Down: p.Rate, Subnets: 1,
			Starts: time.Duration(r.Int64N(int64(startWithin))),
		})
	}
	for _, s := range scenarios {
		if s.name == p.Scenario && s.change != nil {
			all = s.change(p, all, r)
		}
	}
	return all
}

// startWithin is how long it takes until all peers have been told to begin.
const startWithin = 10 * time.Millisecond

// What bounds a plan, for machines' memory is bounded: ten thousand peers of a thousand chunks take
// 7 GiB and more than an hour.
const (
	mostPeers  = 20_000
	mostChunks = 20 << 20 // of all peers
	mostRate   = 1e12     // bits a second; above it, nothing takes any time
	// longestBound is far below what overflows when a run takes many times as long.
	longestBound = 365 * 24 * time.Hour
)

// ErrNeedsSwarm is Check's of a scenario in which some cannot reach the origin, and which another
// strategy than swarm cannot complete.
var ErrNeedsSwarm = errors.New("not everybody reaches the origin, which only swarm can do without")

// Check says what of a plan cannot be.
func (p *Plan) Check() error {
	names, _ := Scenarios()
	switch {
	case !slices.Contains(names, p.Scenario):
		return fmt.Errorf("there is no scenario %q: give one of %s", p.Scenario, strings.Join(names, ", "))
	case !slices.Contains([]Strategy{swarm.Direct, swarm.Static, swarm.Swarm}, p.Strategy):
		return fmt.Errorf("there is no strategy %q: give direct, static or swarm", p.Strategy)
	case p.Peers < 2 || p.Peers > mostPeers:
		return fmt.Errorf("%d peers: give 2 to %d", p.Peers, mostPeers)
	case p.Size < 1:
		return fmt.Errorf("a file of %d bytes: give one with some", p.Size)
	case p.Chunk < 0:
		return fmt.Errorf("chunks of %d bytes: give a size above 0, or 0 for the usual", p.Chunk)
	case p.Rate > mostRate || p.Trunk > mostRate:
		return fmt.Errorf("links of %g and a trunk of %g bit/s: give %g or less", p.Rate, p.Trunk, float64(mostRate))
	case p.Rate <= 0 || p.Trunk <= 0:
		return fmt.Errorf("links of %g and a trunk of %g bit/s: give rates, without which there is nothing to wait for", p.Rate, p.Trunk)
	case p.Delay < 0 || p.Queue < 2:
		return fmt.Errorf("a delay of %v and queues of %d packets: give 0 or more, and 2 or more", p.Delay, p.Queue)
	case p.Scenario == "subnets" && p.Strategy != swarm.Swarm:
		return fmt.Errorf("%s with %s: %w", p.Scenario, p.Strategy, ErrNeedsSwarm)
	}
	if err := manifest.CheckSize(p.Size, p.chunkSize()); err != nil {
		return err
	}
	// The slowest link of any scenario, if everything went over it.
	if s := float64(p.Size) * float64(p.Peers) / goodput(min(p.Rate, p.Trunk)/slowest); s > longestBound.Seconds() {
		return fmt.Errorf("%d bytes for %d peers over links of %g and a trunk of %g bit/s may take %.3g years: give higher rates",
			p.Size, p.Peers, p.Rate, p.Trunk, s/(365*24*3600))
	}
	if chunks := p.chunks(); chunks*p.Peers > mostChunks {
		return fmt.Errorf("%d peers of %d chunks: give fewer peers, a smaller file or larger chunks, of which all may have %d", p.Peers, chunks, mostChunks)
	}
	return nil
}

// chunks is how many the file has.
func (p *Plan) chunks() int { return int((p.Size + p.chunkSize() - 1) / p.chunkSize()) }

// chunkSize is a chunk's, in bytes.
func (p *Plan) chunkSize() int64 {
	if p.Chunk > 0 {
		return p.Chunk
	}
	return manifest.ChunkSizeFor(p.Size)
}

// goodput is the payload in bytes a second of a rate in bits a second on the wire.
func goodput(rate float64) float64 { return rate / 8 * bound.Ethernet }

// least is the bound for the members that are waited for; what the others have and can send
// helps them.
func (p *Plan) least(all []Member) time.Duration {
	var waited []bound.Link
	var whole, helpers float64 // uplinks of those who have everything, and of those who help for a while
	var lost float64           // files that origins send before they die
	var latest time.Duration
	far := 0 // behind a trunk
	for _, m := range all {
		switch up, down := goodput(m.Up), goodput(m.Down); {
		case m.Whole && m.DiesAt > 0:
			helpers += up
			lost += m.DiesAt
		case m.Whole:
			whole += up
		case m.Spare:
			if !m.Silent && !m.Lying {
				helpers += up
			}
		default:
			waited = append(waited, bound.Link{Up: up, Down: down})
			if m.Rack != 0 {
				far++
			}
			if m.Starts > startWithin {
				latest = max(latest, m.Starts+seconds(float64(p.Size)/down))
			}
		}
	}
	if p.Strategy == swarm.Direct {
		copies := float64(p.Size) * float64(far) / goodput(p.Trunk)
		rest := float64(p.Size) * (float64(len(waited)) - lost) / whole
		return max(latest, bound.ClientServer(p.Size, whole+helpers, waited), seconds(rest), seconds(copies))
	}
	least := max(latest, bound.PeerToPeer(p.Size, whole+helpers, waited), seconds(float64(p.Size)*(1-lost)/whole))
	if far > 0 {
		least = max(least, seconds(float64(p.Size)/goodput(p.Trunk)))
	}
	return least
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

package virtual

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/room"
	"fanout/peerd/swarm"
)

const (
	// beginning is what the daemons' clocks show when a run begins.
	beginning = 1 << 30 // seconds after 1970
	// longest is how many times the bound a run may take before it is given up, and atLeast how
	// long in any case: what waits for a timeout takes no less in a small file.
	longest = 60
	atLeast = 5 * time.Minute
	// dialWithin is how long a dial waits for an answer, as chunkserver does.
	dialWithin = 10 * time.Second
	// drawn is how many points a curve has per bound.
	drawn = 100
)

// lab is a run.
type lab struct {
	*agenda
	plan      *Plan
	chunks    int
	chunkSize int64
	owners    []string
	hosts     []*host // an origin first
	byAddress map[string]*host
	trunks    map[int]*link // out of a rack
	tracker   *tracker
	awaited   int // members that are waited for and have not completed
	checkers  []checker
	broken    error
	hash      hash.Hash64
	curve     []Point
	seen      func(Point) // nil if nobody watches
	least     time.Duration
}

// Point is how far all were at a time.
type Point struct {
	At                time.Duration
	Least, Mean, Most float64 // parts of the file that those who are waited for hold
	Origin            float64 // files that all origins have sent
}

// Run lets a plan happen. An error of a run is a plan that cannot be, an end of ctx, or a broken
// promise; a run in which not everybody completed is none, see [Result].
func Run(ctx context.Context, p Plan) (*Result, error) {
	return Watch(ctx, p, nil)
}

// Watch is Run, and shows every point of the curve as it is drawn.
func Watch(ctx context.Context, p Plan, seen func(Point)) (*Result, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	l := newLab(&p, p.members(rand.New(rand.NewPCG(p.Seed, 0))))
	l.seen = seen
	return happen(ctx, l)
}

func happen(ctx context.Context, l *lab) (*Result, error) {
	l.enter(0, l, 0, 0)
	end := longest*l.least + atLeast
	for n := 0; l.awaited > 0 && l.now < end && l.broken == nil && l.next(); n++ {
		if n%(1<<16) == 0 && ctx.Err() != nil {
			l.draw()
			return nil, fmt.Errorf("%w at %v of its time, when the peers held %.0f %% of the file",
				stopped{ctx.Err()}, l.now.Round(time.Millisecond), 100*l.curve[len(l.curve)-1].Mean)
		}
	}
	l.watch(step{what: over, lab: l})
	if l.broken != nil {
		return nil, fmt.Errorf("after %v: %w", l.now, l.broken)
	}
	l.draw()
	return l.result(), nil
}

func newLab(p *Plan, members []Member) *lab {
	l := &lab{
		agenda: &agenda{}, plan: p, chunks: p.chunks(), chunkSize: p.chunkSize(),
		byAddress: map[string]*host{}, trunks: map[int]*link{}, checkers: checkers(len(members)), hash: fnv.New64a(),
		least: p.least(members),
	}
	l.tracker = &tracker{lab: l, rand: rand.New(rand.NewPCG(p.Seed, 1)), at: map[*host]int{}}
	for i, m := range members {
		slots := room.PeerSlots
		if m.Origin {
			slots = room.OriginSlots
		}
		h := &host{
			lab: l, Member: m, number: i, address: m.Name + ":1",
			up: &link{rate: m.Up / 8}, down: &link{rate: m.Down / 8, queue: p.Queue},
			rand: rand.New(rand.NewPCG(p.Seed, uint64(i)+2)),
			held: bitset.New(uint(l.chunks)), room: room.New[*end](slots, requests),
		}
		if m.Whole || m.Silent || m.Lying {
			h.held.FlipRange(0, uint(l.chunks))
		}
		if l.trunks[m.Rack] == nil {
			l.trunks[m.Rack] = &link{rate: p.Trunk / 8, queue: p.Queue}
		}
		if !m.Spare {
			l.awaited++
		}
		l.hosts = append(l.hosts, h)
		l.byAddress[h.address] = h
		l.enter(m.Starts, h, starts, 0)
	}
	if p.Strategy == swarm.Static {
		l.owners = make([]string, l.chunks)
		for c := range l.owners {
			l.owners[c] = l.hosts[1+c%p.Peers].address
		}
	}
	return l
}

// stopped is the end of a context, in a user's words.
type stopped struct{ error }

func (stopped) Error() string   { return "stopped" }
func (s stopped) Unwrap() error { return s.error }

// act draws a point of the curve.
func (l *lab) act(int, int) {
	l.draw()
	l.enter(l.now+max(l.least/drawn, time.Millisecond), l, 0, 0)
}

func (l *lab) draw() {
	p := Point{At: l.now, Least: 1, Origin: l.handedOut()}
	n := 0
	for _, h := range l.hosts {
		if h.Spare {
			continue
		}
		part := float64(h.held.Count()) / float64(l.chunks)
		p.Least, p.Most = min(p.Least, part), max(p.Most, part)
		p.Mean += part
		n++
	}
	p.Mean /= float64(max(n, 1))
	l.curve = append(l.curve, p)
	if l.seen != nil {
		l.seen(p)
	}
}

// handedOut is how many files the origins have sent.
func (l *lab) handedOut() float64 {
	var sent int64
	for _, h := range l.hosts {
		if h.Origin {
			sent += h.stats.sent
		}
	}
	return float64(sent) / float64(l.plan.Size)
}

// clock is what the daemons' clocks show at a moment.
func (l *lab) clock(at moment) time.Time { return time.Unix(beginning, 0).Add(at) }

// moment is when the clocks show a time.
func (l *lab) moment(t time.Time) moment { return t.Sub(time.Unix(beginning, 0)) }

// length is a chunk's, in bytes.
func (l *lab) length(chunk int) int {
	return int(min(l.chunkSize, l.plan.Size-int64(chunk)*l.chunkSize))
}

// path is the links from one host to another.
func (l *lab) path(from, to *host) []*link {
	if from.Rack == to.Rack {
		return []*link{from.up, to.down}
	}
	return []*link{from.up, l.trunks[from.Rack], to.down}
}

// dial opens a session from one host to an address, or fails to.
func (l *lab) dial(from *host, address string) {
	d := &dialling{lab: l, from: from, address: address, to: l.byAddress[address]}
	switch to := d.to; {
	case to.Subnets&from.Subnets == 0:
		l.enter(l.now+dialWithin, d, refused, 0)
	case !to.started || to.dead:
		l.enter(l.now+2*l.plan.Delay, d, refused, 0)
	default:
		// A round trip for the connection, and one for the handshake; both in what queues there are.
		there, back := l.plan.Delay, l.plan.Delay
		for _, k := range l.path(from, to) {
			there += k.wait(l.now)
		}
		for _, k := range l.path(to, from) {
			back += k.wait(l.now)
		}
		l.enter(l.now+2*there+back, d, met, 0)
		l.enter(l.now+2*(there+back), d, opens, 0)
	}
}

// dialling is a dial under way.
type dialling struct {
	*lab
	from, to *host
	address  string
	here     *end // of who has dialled, once the other side knows of the session
}

// A dialling's entries in the agenda.
const (
	refused = iota
	met     // the other side has its session
	opens   // and the dialling one, too
)

func (d *dialling) act(what, _ int) {
	switch {
	case what == refused || what == met && d.to.dead:
		d.from.take(exchange.NotDialled{Address: d.address, Err: errRefused})
	case what == met && d.to.frozen: // the kernel answers, and the daemon does not
		d.enter(d.now+dialWithin, d, refused, 0)
	case what == met && !d.from.dead:
		d.here = d.connect()
		there := d.here.other
		there.opened = true
		d.to.take(exchange.Opened{ID: there.id, Peer: d.from.Name, Version: 2})
	case what == opens && d.here != nil && !d.here.closed:
		d.here.opened = true
		d.from.take(exchange.Opened{ID: d.here.id, Peer: d.to.Name, Address: d.address, Version: 2})
		d.here.receive() // what the other side has said at once
	case what == opens && d.here != nil: // over already, for a reason that the other side has told
		why := d.here.other.why
		if why == nil {
			why = errLost
		}
		d.from.take(exchange.NotDialled{Address: d.address, Err: why})
	}
}

// connect makes the two ends of a session.
func (d *dialling) connect() *end {
	a, b := &end{host: d.from}, &end{host: d.to}
	a.other, b.other = b, a
	there, back := d.path(d.from, d.to), d.path(d.to, d.from)
	a.out = newStream(d.agenda, a, b, there, back, d.plan.Delay)
	b.out = newStream(d.agenda, b, a, back, there, d.plan.Delay)
	a.out.oneKernel, b.out.oneKernel = d.plan.OneKernel, d.plan.OneKernel
	a.in, b.in = b.out, a.out
	d.from.join(a)
	d.to.join(b)
	return a
}

// completed is that a host has everything.
func (l *lab) completed(h *host) {
	h.done = l.now
	if !h.Spare {
		l.awaited--
	}
	if h.Leaves {
		l.enter(l.now, h, stops, 0)
	}
}

// watch shows a step to all checkers.
func (l *lab) watch(s step) {
	for _, c := range l.checkers {
		if err := c.check(&s); err != nil && l.broken == nil {
			l.broken = err
			if s.by != nil {
				l.broken = fmt.Errorf("%s %w", s.by.Name, err)
			}
		}
	}
}

// note has something that was decided become part of the run's fingerprint.
func (l *lab) note(h *host, decided any) {
	fmt.Fprintf(l.hash, "%d %d %T%v\n", l.now, h.number, decided, decided)
}

// ErrIncomplete is a run's in which somebody who is waited for has not completed.
var ErrIncomplete = errors.New("not everybody has completed")

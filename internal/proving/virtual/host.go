package virtual

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/bitmap"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/room"
	"fanout/internal/chunks/wire"
	"fanout/origin/handout"
	"fanout/peerd/swarm"
)

const (
	requests = 1024 // that may wait for a session
	// thinks is how long after something has happened a daemon decides: what has happened
	// until then is decided about together, as a busy loop does.
	thinks = 200 * time.Microsecond
)

var (
	errStalled = errors.New("stalled")
	errRefused = errors.New("connection refused")
	errLost    = errors.New("connection lost")
)

// stats is what a host has done.
type stats struct {
	sent, fresh, duplicate, wrong int64 // payload bytes
	messages                      int   // lines that have come
	dials                         int
}

// host is a machine with a daemon.
type host struct {
	*lab
	Member
	number   int
	address  string
	up, down *link
	rand     *rand.Rand
	held     *bitset.BitSet
	room     *room.Room[*end]
	ends     []*end // by ID; nil once closed
	open     []*end
	decider  decider
	thinking bool
	started  bool
	frozen   bool
	dead     bool
	done     moment // when everything was here; 0 if it never was
	stats    stats
}

// decider is the code of a daemon that decides.
type decider interface {
	take(ev exchange.Event)
	think()
	choose(to *end) int // the chunk of an ANY
}

// The host's entries in the agenda.
const (
	starts = iota
	think  // decide
	lends  // look for slow receivers
	tick
	dies  // is killed
	stops // is told to end, and takes its leave of the tracker
)

func (h *host) act(what, _ int) {
	if h.dead {
		return
	}
	switch what {
	case starts:
		h.start()
	case think:
		if h.thinking = false; !h.frozen {
			h.decider.think()
		}
	case lends:
		h.lend()
	case tick:
		h.tick()
	case dies:
		h.die()
		h.tracker.stopped(h)
	case stops:
		h.die()
		h.tracker.drop(h)
	}
}

func (h *host) start() {
	h.started = true
	switch {
	case h.Origin:
		h.decider = &desk{h: h, desk: handout.New(h.Name, h.chunks, h.rand)}
	case h.Silent || h.Lying:
		h.decider = &liar{h}
	default:
		h.decider = &peer{h: h, engine: swarm.New(h.config(), h.clock(h.now))}
	}
	h.think(0)
	h.enter(h.now+swarm.TickEvery, h, tick, 0)
	h.enter(h.now+room.Look, h, lends, 0)
}

func (h *host) config() swarm.Config {
	return swarm.Config{
		Self: h.Name, Address: h.address, Strategy: h.plan.Strategy, Owners: h.owners,
		Chunks: h.chunks, ChunkSize: h.chunkSize, Held: h.has, Rand: h.rand, Requests: requests,
	}
}

func (h *host) has(chunk int) bool { return h.held.Test(uint(chunk)) }

// take tells the daemon what has happened.
func (h *host) take(ev exchange.Event) {
	if h.dead || h.frozen {
		return
	}
	h.decider.take(ev)
	h.think(thinks)
}

func (h *host) think(after moment) {
	if !h.thinking {
		h.thinking = true
		h.enter(h.now+after, h, think, 0)
	}
}

func (h *host) tick() {
	h.enter(h.now+swarm.TickEvery, h, tick, 0)
	if h.frozen {
		return
	}
	for _, e := range slices.Clone(h.open) {
		e.news()
		e.tend()
	}
	h.take(exchange.Tick{})
	h.spare()
}

// die takes the host off the network: from now on it says and decides nothing.
func (h *host) die() {
	h.dead = true
	for _, e := range slices.Clone(h.open) {
		e.shut(errLost, nil)
	}
}

// chosen is the chunk of an ANY.
type chosen struct {
	to    exchange.ID
	chunk int
}

// handOut chooses the chunk of an ANY.
func (h *host) handOut(to *end) int {
	chunk := h.decider.choose(to)
	h.note(h, chosen{to.id, chunk})
	return chunk
}

// join makes one side of a session a member's.
func (h *host) join(e *end) {
	if len(h.ends) == 0 {
		h.ends = append(h.ends, nil) // IDs count from 1
	}
	e.id = exchange.ID(len(h.ends))
	h.ends = append(h.ends, e)
	h.open = append(h.open, e)
	h.room.Join(e)
}

func (h *host) leave(e *end) {
	h.ends[e.id] = nil
	h.open = slices.DeleteFunc(h.open, func(o *end) bool { return o == e })
}

// share grants the upload slots that are free.
func (h *host) share() {
	for e, chunk, ok := h.room.Next(h.clock(h.now)); ok; e, chunk, ok = h.room.Next(h.clock(h.now)) {
		e.grant(chunk)
	}
}

// lend gives the slots of slow receivers on.
func (h *host) lend() {
	h.enter(h.now+room.Look, h, lends, 0)
	if h.frozen {
		return
	}
	for _, e := range h.room.Lend(h.clock(h.now)) {
		h.take(exchange.Lent{To: e.id})
		h.share()
		h.spare()
	}
}

// spare tells the daemon that its uplink has room.
func (h *host) spare() {
	if sends, busy := h.room.Free(); sends > 0 && len(h.open) > 0 {
		h.take(exchange.Spare{Sends: sends, Busy: busy})
	}
}

// land notes a chunk that has come.
func (h *host) land(e *end, chunk int, took moment, corrupt bool) {
	l := exchange.Landed{From: e.id, Chunk: chunk, Took: took}
	n := int64(h.length(chunk))
	switch {
	case h.has(chunk): // nobody looks at what is held already
		h.stats.duplicate += n
	case corrupt:
		l.Err = manifest.ErrDigest
		h.stats.wrong += n
	default:
		l.Fresh = true
		h.held.Set(uint(chunk))
		h.stats.fresh += n
	}
	h.watch(step{what: landedChunk, by: h, on: e, chunk: chunk})
	h.take(l)
	if l.Err != nil {
		e.fail(wire.CodeBanned, l.Err)
	}
	h.progressed()
}

// progressed is where a plan's events that depend on progress happen.
func (h *host) progressed() {
	part := float64(h.held.Count()) / float64(h.chunks)
	if h.Origin {
		part = float64(h.stats.sent) / float64(h.plan.Size)
	}
	switch {
	case h.FreezesAt > 0 && part >= h.FreezesAt && !h.frozen:
		h.frozen = true
		h.tracker.stopped(h)
	case h.DiesAt > 0 && part >= h.DiesAt:
		h.enter(h.now, h, dies, 0)
	}
}

// carry does what a daemon has decided; it returns what followed at once.
func (h *host) carry(a exchange.Action) (follows exchange.Event) {
	h.note(h, a)
	switch a := a.(type) {
	case exchange.Dial:
		h.stats.dials++
		h.dial(h, a.Address)
	case exchange.Announce:
		h.tracker.announced(h)
	case exchange.Complete:
		h.completed(h)
	case exchange.Tell:
		h.watch(step{what: toldHave, by: h, chunk: a.Chunk})
		h.each(a)
	default:
		follows = h.each(a)
	}
	return follows
}

// each has the ends that an action is for carry it out.
func (h *host) each(a exchange.Action) (follows exchange.Event) {
	for id := range exchange.To(a) {
		if e := h.ends[id]; e != nil {
			follows = e.carry(a)
		}
	}
	return follows
}

// carry does an end's part of an action, as chunkserver.Session.Carry does.
func (e *end) carry(a exchange.Action) (follows exchange.Event) {
	var err error
	switch a := a.(type) {
	case exchange.Send:
		e.queue(line{a.Kind, int32(a.Chunk), int32(a.Amount)}, false)
	case exchange.Tell:
		e.queue(line{kind: wire.KindHave, chunk: int32(a.Chunk)}, a.Later)
	case exchange.SendBits:
		e.bits = bitmap.Encode(e.held, e.chunks)
		e.say(wire.KindBits, 0)
	case exchange.Upload:
		_, err = e.room.Add(e, a.Chunk)
		e.share()
	case exchange.HandOut:
		_, err = e.room.Add(e, room.Any)
		e.share()
	case exchange.Withdraw:
		if e.room.Cancel(e, a.Chunk) {
			follows = exchange.Withdrawn{To: e.id, Chunk: a.Chunk}
		}
	case exchange.Fail:
		e.fail(a.Code, a.Err)
	case exchange.Close:
		e.shut(errLost, nil)
	case exchange.Bye:
		e.shut(&wire.Bye{For: a.For}, nil)
	}
	if err != nil {
		e.fail(wire.CodeTooMany, err)
	}
	return follows
}

package transfer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/exchange"
	"fanout/peerd/swarm"
)

const eventBuffer = 256

// Dialer opens sessions.
type Dialer interface {
	Dial(ctx context.Context, addr string, t *chunkserver.Target) error
}

// Source says where bytes came from.
type Source string

// The sources.
const (
	FromOrigin Source = "origin"
	FromPeer   Source = "peer"
)

// Observer counts what arrives. Landed is called from many goroutines, VerifyFailed from the
// download's.
type Observer interface {
	// Landed counts a verified chunk; a duplicate is one that was held already.
	Landed(from Source, bytes int, took time.Duration, duplicate bool)
	// VerifyFailed counts a chunk whose bytes were wrong.
	VerifyFailed(peer string, chunk int)
}

// Config is what a download is made of.
type Config struct {
	Self     string // this peer's ID
	Address  string // this peer's chunk address, as others know it
	Strategy swarm.Strategy
	Target   chunkserver.Target // all but the Handler, which is the download
	Dialer   Dialer
	Tracker  Tracker
	Observer Observer
	Rand     *rand.Rand
	// Requests is how many GETs of one session may wait here for their chunks.
	Requests int
	// Progress is where the download can be seen; it may outlive it and serve the next.
	Progress *Progress
	// Complete is called once, when the last chunk has been stored.
	Complete func()
}

// Download is one download. Make it with New, give it a goroutine with Run.
type Download struct {
	cfg      Config
	target   chunkserver.Target
	events   chan exchange.Event
	stopped  chan struct{}
	changed  chan struct{} // the tracker should be told
	asked    chan struct{} // the tracker wants to be told
	wg       sync.WaitGroup
	sessions sessions

	announcing sync.Mutex // one report to the tracker at a time
	withdrawn  bool       // so said its last answer

	// What follows belongs to the goroutine of Run.
	engine *swarm.Engine
	fatal  error
	stored int // chunks, at the last tick
}

// New makes a download.
func New(cfg Config) *Download {
	return &Download{
		cfg: cfg, target: cfg.Target,
		events: make(chan exchange.Event, eventBuffer), stopped: make(chan struct{}),
		changed: make(chan struct{}, 1), asked: make(chan struct{}, 1),
	}
}

// Target is what the chunk server needs to serve this download's sessions.
func (d *Download) Target() *chunkserver.Target {
	t := d.target
	t.Handler = &handler{d: d}
	return &t
}

// Run downloads, and then serves, until ctx ends, which is no error, or the store fails.
func (d *Download) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer d.wg.Wait()
	defer cancel()
	defer d.hangUp()
	owners, err := d.owners(ctx)
	if err != nil {
		return nil // ctx ended
	}
	d.wg.Go(func() { <-ctx.Done(); d.leave() })
	d.begin(owners)
	tick := time.NewTicker(swarm.TickEvery)
	defer tick.Stop()
	for {
		d.engine.Settle(time.Now(), func(a exchange.Action) exchange.Event { return d.carry(ctx, a) })
		if d.fatal != nil {
			return d.fatal
		}
		select {
		case <-ctx.Done():
			return nil
		case ev := <-d.events:
			d.take(ev)
			d.drain()
		case <-d.changed:
			d.take(exchange.Wanted{})
		case <-d.asked:
			d.take(exchange.Wanted{Asked: true})
		case now := <-tick.C:
			d.tick(now)
		}
	}
}

func (d *Download) begin(owners []string) {
	m, store := d.target.Manifest, d.target.Store
	d.engine = swarm.New(swarm.Config{
		Self: d.cfg.Self, Address: d.cfg.Address, Strategy: d.cfg.Strategy, Owners: owners,
		Chunks: m.Chunks(), ChunkSize: m.ChunkSize, Held: store.Has, Rand: d.cfg.Rand, Requests: d.cfg.Requests,
	}, time.Now())
}

func (d *Download) take(ev exchange.Event) { d.engine.Take(time.Now(), ev) }

// drain takes what else has happened before anything is decided: deciding costs more.
func (d *Download) drain() {
	for range eventBuffer {
		select {
		case ev := <-d.events:
			d.take(ev)
		default:
			return
		}
	}
}

// post tells the download's goroutine what has happened; false if it has stopped.
func (d *Download) post(ev exchange.Event) bool {
	select {
	case d.events <- ev:
		return true
	case <-d.stopped:
		return false
	}
}

// spare tells that the uplink, which belongs to all sessions of the daemon, has room.
func (d *Download) spare(s *chunkserver.Session) {
	if sends, busy := s.Free(); sends > 0 {
		d.post(exchange.Spare{Sends: sends, Busy: busy})
	}
}

func (d *Download) hangUp() {
	close(d.stopped)
	d.sessions.end()
}

func (d *Download) tick(now time.Time) {
	for _, r := range d.sessions.received() {
		d.engine.Take(now, r)
	}
	d.engine.Take(now, exchange.Tick{})
	if s := d.sessions.any(); s != nil {
		if sends, busy := s.Free(); sends > 0 {
			d.engine.Take(now, exchange.Spare{Sends: sends, Busy: busy})
		}
	}
	noted, tracker := d.cfg.Progress.reasons()
	d.cfg.Progress.measure(now, d.target.Store.Bytes(), d.engine.Trouble(noted, tracker))
	d.lookForLost(now)
}

// lookForLost tells of chunks that are stored although no word of them has come, which it does
// between two ticks: it was lost with an earlier run of the download.
func (d *Download) lookForLost(now time.Time) {
	store := d.target.Store
	d.drain()
	stored := store.Count()
	if stored == d.stored && stored > d.engine.Count() {
		for c := range d.target.Manifest.Chunks() {
			if store.Has(c) && !d.engine.Has(c) {
				d.engine.Take(now, exchange.Landed{Chunk: c, Fresh: true})
			}
		}
	}
	d.stored = stored
}

// carry does one thing; it returns what became of it, if that is known at once.
func (d *Download) carry(ctx context.Context, a exchange.Action) (became exchange.Event) {
	for id := range exchange.To(a) {
		if s := d.sessions.find(id); s != nil {
			became = s.Carry(a)
		}
	}
	switch a := a.(type) {
	case exchange.Dial:
		d.dial(ctx, a)
	case exchange.Announce:
		d.wg.Go(func() { d.announce(ctx) })
	case exchange.Own:
		d.cfg.Progress.own(a.Chunk)
	case exchange.Distrust:
		if a.Origin {
			d.cfg.Progress.note(fmt.Sprintf("the origin %s sent wrong bytes for chunk %d: has its file changed on disk?", a.Peer, a.Chunk))
		}
		d.cfg.Progress.verifyFailures.Add(1)
		d.cfg.Observer.VerifyFailed(a.Peer, a.Chunk)
	case exchange.Complete:
		d.cfg.Progress.settle(d.target.Store.Bytes())
		d.cfg.Complete()
	case exchange.GiveUp:
		if d.fatal == nil {
			d.fatal = a.Err
		}
	}
	return became
}

func (d *Download) dial(ctx context.Context, a exchange.Dial) {
	t := d.target
	t.Handler = &handler{d, a.Address, a.Origin}
	d.wg.Go(func() {
		if err := d.cfg.Dialer.Dial(ctx, a.Address, &t); err != nil {
			d.post(exchange.NotDialled{Address: a.Address, Err: err})
		}
	})
}

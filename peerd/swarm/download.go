package swarm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/wire"
)

// Strategy is how a download is done.
type Strategy string

// The strategies.
const (
	Direct Strategy = "direct" // every chunk from the origin
	Static Strategy = "static" // every chunk from the owner that the tracker file names
	Swarm  Strategy = "swarm"  // owners emerge; they push, the rest is pulled
)

const (
	tickEvery   = 100 * time.Millisecond
	eventBuffer = 256
	maxLinks    = 128 // sessions of one download; a joiner is told of 64 peers
)

// ErrWithdrawn is a Tracker's answer about a file that was taken back.
var ErrWithdrawn = errors.New("withdrawn")

// Tracker is what a download needs of the tracker.
type Tracker interface {
	// Announce reports and learns whom to talk to. After ErrWithdrawn
	// to announce again is of no use.
	Announce(ctx context.Context, r Report) (Reply, error)
	// Owners is the tracker file: the chunk address of every chunk's owner.
	Owners(ctx context.Context) ([]string, error)
}

// Report is what a peer tells the tracker.
type Report struct {
	Complete              bool
	Left                  bool // it leaves the swarm
	Held, Owned           []byte
	FromOrigin, FromPeers int64
}

// Reply is the tracker's answer.
type Reply struct {
	Origins, Peers []Contact
	Interval       time.Duration // when to announce again
}

// Contact is a daemon that can be dialled.
type Contact struct{ ID, Address string }

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
	Strategy Strategy
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
	events   chan func()
	stopped  chan struct{}
	announce chan struct{} // announce sooner than the interval says
	answer   chan struct{} // the same, also of a file that was withdrawn
	wg       sync.WaitGroup
	sessions sessions

	// What follows belongs to the goroutine of Run.
	ctx      context.Context
	strategy strategy
	links    map[session]*link
	contacts map[string]*contact // by address
	dials    int                 // under way
	alone    time.Time           // when the tracker was last asked for want of company
	banned   map[string]time.Time
	fatal    error
	finished bool
	counted  int  // chunks that were here at the beginning, or have been heard of since
	whole    bool // the store was complete at the last tick
}

// session is what the download uses of a chunkserver.Session.
type session interface {
	Peer() string
	Dialled() bool
	LastReceived() time.Time
	Send(kind wire.Kind, chunk int)
	SendLater(kind wire.Kind, chunk int)
	SendBits()
	Upload(chunk int) error
	CancelUpload(chunk int) bool
	Fail(code string, err error)
	Close()
}

// strategy decides what is asked of whom. Its methods are called from the goroutine of
// Run, and fill after everything that may have changed something.
type strategy interface {
	opened(l *link)
	closed(l *link)
	got(l *link, m wire.Message)
	holds(l *link, chunk int) // it has had the chunk for some time, or has it from here
	heard(l *link, chunk int) // it has just got the chunk
	landed(l *link, a chunkserver.Landing)
	waits(chunk int) bool // whether a GET for this missing chunk may wait for it
	met(r Reply)
	tick(now time.Time)
	fill(now time.Time)
}

// New makes a download.
func New(cfg Config) *Download {
	return &Download{
		cfg: cfg, target: cfg.Target,
		events: make(chan func(), eventBuffer), stopped: make(chan struct{}), announce: make(chan struct{}, 1), answer: make(chan struct{}, 1),
		links: map[session]*link{}, contacts: map[string]*contact{}, banned: map[string]time.Time{},
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
	d.ctx = ctx
	defer d.wg.Wait()
	defer cancel()
	defer d.hangUp()
	if err := d.choose(ctx); err != nil {
		return nil // ctx ended
	}
	d.wg.Go(func() { d.announceLoop(ctx) })
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	d.counted = d.target.Store.Count()
	d.checkComplete(true)
	for d.fatal == nil {
		select {
		case <-ctx.Done():
			return nil
		case f := <-d.events:
			f()
			d.drain()
		case now := <-tick.C:
			d.tick(now)
		}
		d.strategy.fill(time.Now())
	}
	return d.fatal
}

// choose makes the strategy, for which static needs the tracker file.
func (d *Download) choose(ctx context.Context) error {
	switch d.cfg.Strategy {
	case Swarm:
		d.strategy = newDynamic(d)
	case Direct:
		d.strategy = newAssigned(d, nil)
	default:
		if d.target.Store.Complete() { // nothing to ask for: the table is of no use
			d.strategy = newAssigned(d, nil)
			return nil
		}
		owners, err := d.owners(ctx)
		if err != nil {
			return err
		}
		d.strategy = newAssigned(d, owners)
	}
	return nil
}

// drain takes what else has happened before anything is decided: deciding costs more.
func (d *Download) drain() {
	for range eventBuffer {
		select {
		case f := <-d.events:
			f()
		default:
			return
		}
	}
}

// post gives the download's goroutine something to do; false if it has stopped.
func (d *Download) post(f func()) bool {
	select {
	case d.events <- f:
		return true
	case <-d.stopped:
		return false
	}
}

func (d *Download) hangUp() {
	close(d.stopped)
	for s := range d.links {
		s.Close()
	}
	d.sessions.end()
}

func (d *Download) tick(now time.Time) {
	d.redial(now)
	d.strategy.tick(now)
	d.cfg.Progress.measure(now, d.target.Store.Bytes(), d.trouble(now))
	d.checkComplete(d.whole) // word of a chunk was lost, with an earlier run of the download
	d.whole = d.target.Store.Complete()
}

func (d *Download) has(chunk int) bool { return d.target.Store.Has(chunk) }

func (d *Download) chunks() int { return d.target.Manifest.Chunks() }

// count counts a chunk that has been stored. It may be called from any goroutine.
func (d *Download) count(from *contact, a chunkserver.Landing) {
	if a.Err != nil {
		return
	}
	source := FromPeer
	if from != nil && from.origin {
		source = FromOrigin
	}
	d.cfg.Progress.landed(source, a)
	d.cfg.Observer.Landed(source, a.Bytes, a.Took, !a.Fresh)
}

// checkComplete ends the fetching once everything is here, and counted: the store has a
// chunk a moment before word of it is here, unless that is known not to come.
func (d *Download) checkComplete(sure bool) {
	if d.finished || !d.target.Store.Complete() || !sure && d.counted < d.chunks() {
		return
	}
	d.finished = true
	d.cfg.Progress.settle(d.target.Store.Bytes())
	d.cfg.Complete()
	d.announceSoon()
}

// fail ends the download for a reason that trying again will not mend by itself.
func (d *Download) fail(err error) {
	if d.fatal == nil && !errors.Is(err, os.ErrClosed) {
		d.fatal = err
	}
}

// ban drops a daemon that sent wrong bytes: a peer for good, an origin, without which
// there may be no download, for a while.
func (d *Download) ban(l *link, chunk int) {
	until := time.Now().Add(24 * 365 * time.Hour)
	if l.origin {
		until = time.Now().Add(10 * time.Second)
		d.cfg.Progress.note(fmt.Sprintf("the origin %s sent wrong bytes for chunk %d: has its file changed on disk?", l.id, chunk))
	}
	d.banned[banKey(l.id, l.contact)] = until
	d.cfg.Progress.verifyFailures.Add(1)
	d.cfg.Observer.VerifyFailed(l.id, chunk)
}

// banKey is what a ban goes by: a peer's ID; for an origin, the address that was dialled, so
// that nobody who merely says its ID can have it banned.
func banKey(id string, c *contact) string {
	if c != nil && c.origin {
		return "origin " + c.Address
	}
	return id
}

func (d *Download) isBanned(key string) bool { return time.Now().Before(d.banned[key]) }

// handler posts what happens on sessions to the download. contact is the one that was
// dialled, nil for accepted sessions.
type handler struct {
	d       *Download
	contact *contact
}

func (h *handler) Opened(s *chunkserver.Session) {
	if h.d.sessions.add(s) {
		h.d.post(func() { h.d.opened(s, h.contact) })
	}
}

func (h *handler) Got(s *chunkserver.Session, m wire.Message, payload []byte) {
	h.d.post(func() { h.d.got(s, m, payload) })
}

func (h *handler) Landed(s *chunkserver.Session, l chunkserver.Landing) {
	h.d.count(h.contact, l) // here and now: Run may end before it hears of it
	h.d.post(func() { h.d.landed(s, h.contact, l) })
}

func (h *handler) Sent(s *chunkserver.Session, chunk int) {
	h.d.post(func() { h.d.sent(s, chunk) })
}

func (h *handler) Closed(s *chunkserver.Session, err error) {
	h.d.sessions.remove(s)
	h.d.post(func() { h.d.closed(s, err) })
}

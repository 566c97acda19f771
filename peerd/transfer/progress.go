package transfer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/bits-and-blooms/bitset"

	"fanout/internal/chunks/bitmap"
	"fanout/internal/chunks/chunkserver"
)

// quiet is how long nothing may come before the download says what it waits for.
const quiet = 3 * time.Second

// rateOver is the time over which the rate is averaged.
const rateOver = 2 * time.Second

// Progress is what can be seen of a download from outside, while it runs and after.
type Progress struct {
	fromOrigin, fromPeers      atomic.Int64
	duplicates, verifyFailures atomic.Int64

	mu       sync.Mutex
	owned    *bitset.BitSet
	rate     float64 // bytes a second
	bytes    int64   // at the time of last
	last     time.Time
	moved    time.Time
	trouble  string
	noted    string
	tracker  error
	watchers map[chan struct{}]struct{}
}

// NewProgress makes the progress of a download of so many chunks.
func NewProgress(chunks int) *Progress {
	return &Progress{owned: bitset.New(uint(chunks)), watchers: map[chan struct{}]struct{}{}}
}

// Snapshot is the state of a download at one moment.
type Snapshot struct {
	FromOrigin, FromPeers      int64 // bytes of verified chunks
	Duplicates, VerifyFailures int64
	Rate                       float64 // bytes a second
	Trouble                    string  // what it waits for, if nothing has come for a while
}

// Snapshot returns the state now.
func (p *Progress) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Snapshot{
		FromOrigin: p.fromOrigin.Load(), FromPeers: p.fromPeers.Load(),
		Duplicates: p.duplicates.Load(), VerifyFailures: p.verifyFailures.Load(),
		Rate: p.rate, Trouble: p.trouble,
	}
}

// Restore sets the bytes that were counted before a restart.
func (p *Progress) Restore(fromOrigin, fromPeers int64) {
	p.fromOrigin.Store(fromOrigin)
	p.fromPeers.Store(fromPeers)
}

// Watch returns a channel that gets a value when the download has moved on, and a
// function that ends the watch.
func (p *Progress) Watch() (moved <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchers[c] = struct{}{}
	return c, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watchers, c)
	}
}

// Wake tells the watchers to look again.
func (p *Progress) Wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (p *Progress) landed(from Source, a chunkserver.Landing) {
	switch {
	case !a.Fresh:
		p.duplicates.Add(int64(a.Bytes))
		return
	case from == FromOrigin:
		p.fromOrigin.Add(int64(a.Bytes))
	default:
		p.fromPeers.Add(int64(a.Bytes))
	}
	p.Wake()
}

func (p *Progress) own(chunk int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owned.Set(uint(chunk))
}

func (p *Progress) ownedBits(chunks int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bitmap.Encode(p.owned, chunks)
}

// measure updates the rate, an exponential average, and what the download waits for.
func (p *Progress) measure(now time.Time, bytes int64, trouble string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.IsZero() || bytes < p.bytes { // begun, or begun again
		p.last, p.moved, p.bytes, p.rate, p.trouble = now, now, bytes, 0, ""
		return
	}
	dt := now.Sub(p.last)
	if dt <= 0 {
		return
	}
	if bytes > p.bytes {
		p.moved, p.noted = now, ""
	}
	weight := min(1, float64(dt)/float64(rateOver))
	p.rate += weight * (float64(bytes-p.bytes)/dt.Seconds() - p.rate)
	p.last, p.bytes = now, bytes
	p.trouble = ""
	if now.Sub(p.moved) > quiet {
		p.trouble = trouble
	}
}

// settle ends the measuring: a download that is complete has no rate.
func (p *Progress) settle(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate, p.bytes, p.trouble, p.noted = 0, bytes, "", ""
}

// note keeps a reason that the download may not move, until it moves.
func (p *Progress) note(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noted = reason
}

// noteTracker keeps the tracker's last error, nil when it answered.
func (p *Progress) noteTracker(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tracker = err
}

func (p *Progress) reasons() (noted string, tracker error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.noted, p.tracker
}

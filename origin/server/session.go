package server

import (
	"sync"
	"sync/atomic"
	"time"

	"fanout/internal/chunks/bitmap"
	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
	"fanout/origin/handout"
)

// swarm answers the sessions about one manifest: chunks to those who ask for them by
// number, handouts to those who take any.
type swarm struct {
	manifest *manifest.Manifest
	events   Events
	gate     gate

	mu     sync.Mutex
	pool   *handout.Pool
	takers map[*chunkserver.Session]*handout.Taker
	asked  time.Time // when a chunk was last asked for

	sent *atomic.Int64 // bytes of this content since the process began
	news chan struct{} // has a value when sent has grown
}

// Events counts what the sessions of an origin do.
type Events interface {
	HandedOut()
	Requested()
	SentBytes(n int)
}

func newSwarm(m *manifest.Manifest, events Events) *swarm {
	return &swarm{
		manifest: m, events: events,
		pool: handout.New(m.Chunks()), takers: map[*chunkserver.Session]*handout.Taker{},
		sent: &atomic.Int64{}, news: make(chan struct{}, 1),
	}
}

// Opened implements chunkserver.Handler.
func (w *swarm) Opened(s *chunkserver.Session) {
	w.mu.Lock()
	w.takers[s] = w.pool.Join()
	anew := time.Since(w.asked) > lull
	w.mu.Unlock()
	w.gate.came(anew)
	s.SendBits()
}

// Got implements chunkserver.Handler.
func (w *swarm) Got(s *chunkserver.Session, m wire.Message, payload []byte) {
	switch m.Kind {
	case wire.KindGet, wire.KindAny:
		w.mu.Lock()
		w.asked = time.Now()
		w.mu.Unlock()
	}
	switch m.Kind {
	case wire.KindGet:
		w.events.Requested()
		s.Carry(exchange.Upload{To: s.ID(), Chunk: m.Chunk})
	case wire.KindAny:
		w.gate.pass(func() { s.Carry(exchange.HandOut{To: s.ID()}) })
	case wire.KindCancel:
		s.CancelUpload(m.Chunk)
	case wire.KindOffer:
		s.Send(wire.KindCancel, m.Chunk)
	case wire.KindHave:
		w.hold(s, m.Chunk)
	case wire.KindBits:
		w.holdAll(s, payload)
	}
}

// next chooses a handout at the moment of sending.
func (w *swarm) next(s *chunkserver.Session) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	chunk, ok := w.pool.Next(w.takers[s])
	if !ok {
		return wire.NoChunk
	}
	w.events.HandedOut()
	return chunk
}

func (w *swarm) hold(s *chunkserver.Session, chunk int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pool.Hold(w.takers[s], chunk)
}

func (w *swarm) holdAll(s *chunkserver.Session, payload []byte) {
	bits, err := bitmap.Decode(payload, w.manifest.Chunks())
	if err != nil {
		s.Fail(wire.CodeBadLength, err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for c, ok := bits.NextSet(0); ok; c, ok = bits.NextSet(c + 1) {
		w.pool.Hold(w.takers[s], int(c))
	}
}

// Landed implements chunkserver.Handler: an origin has everything already.
func (w *swarm) Landed(*chunkserver.Session, chunkserver.Landing) {}

// Sent implements chunkserver.Handler. No chunk is sent where everything is handed out.
func (w *swarm) Sent(_ *chunkserver.Session, chunk int) {
	if chunk == wire.NoChunk {
		return
	}
	w.events.SentBytes(w.manifest.Length(chunk))
	w.sent.Add(int64(w.manifest.Length(chunk)))
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// Closed implements chunkserver.Handler. What its peer took and nobody else has goes back
// into the pool.
func (w *swarm) Closed(s *chunkserver.Session, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pool.Leave(w.takers[s])
	delete(w.takers, s)
}

// lastAsked is when a chunk was last asked for. Peers that have everything keep their
// session, and do not count.
func (w *swarm) lastAsked() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

// closeAll ends every session.
func (w *swarm) closeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.takers {
		s.Close()
	}
}

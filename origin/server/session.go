package server

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
	"fanout/origin/handout"
)

// swarm carries out, on the sessions about one manifest, what its desk decides, and counts.
type swarm struct {
	manifest *manifest.Manifest
	events   Events

	mu       sync.Mutex
	desk     *handout.Desk
	sessions map[exchange.ID]*chunkserver.Session
	due      *time.Timer // for the desk's next Tick; nil before the first

	sent *atomic.Int64 // bytes of this content since the process began
	news chan struct{} // has a value when sent has grown
}

// Events counts what the sessions of an origin do.
type Events interface {
	HandedOut()
	Requested()
	SentBytes(n int)
}

// newSwarm makes one for the origin with the ID self.
func newSwarm(self string, m *manifest.Manifest, events Events) *swarm {
	return &swarm{
		manifest: m, events: events,
		desk:     handout.New(self, m.Chunks(), rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))),
		sessions: map[exchange.ID]*chunkserver.Session{},
		sent:     &atomic.Int64{}, news: make(chan struct{}, 1),
	}
}

// take tells the desk of an event, and carries out what it answers.
func (w *swarm) take(ev exchange.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.desk.Take(time.Now(), ev) {
		for id := range exchange.To(a) {
			if s, ok := w.sessions[id]; ok {
				s.Carry(a) // whether a chunk could be withdrawn is all one to the desk
			}
		}
	}
	w.schedule()
}

// schedule has the desk's next Tick come when it is due.
func (w *swarm) schedule() {
	at, ok := w.desk.Due()
	switch wait := time.Until(at); {
	case !ok:
	case w.due == nil:
		w.due = time.AfterFunc(wait, w.tick)
	default:
		w.due.Reset(wait)
	}
}

// tick tells the desk that it is time, and of what room there is.
func (w *swarm) tick() {
	w.take(exchange.Tick{})
	w.mu.Lock()
	var some *chunkserver.Session // the uplink belongs to all
	for _, some = range w.sessions {
		break
	}
	w.mu.Unlock()
	if some != nil {
		w.spare(some)
	}
}

func (w *swarm) spare(s *chunkserver.Session) {
	if sends, busy := s.Free(); sends > 0 {
		w.take(exchange.Spare{Sends: sends, Busy: busy})
	}
}

// Opened implements chunkserver.Handler.
func (w *swarm) Opened(s *chunkserver.Session) {
	w.mu.Lock()
	w.sessions[s.ID()] = s
	w.mu.Unlock()
	w.take(exchange.Opened{ID: s.ID(), Peer: s.Peer(), Version: s.Version()})
}

// Got implements chunkserver.Handler.
func (w *swarm) Got(s *chunkserver.Session, m wire.Message, payload []byte) {
	if m.Kind == wire.KindGet {
		w.events.Requested()
	}
	w.take(exchange.Got{From: s.ID(), Message: m, Payload: payload})
}

// handOut chooses a chunk at the moment of sending.
func (w *swarm) handOut(s *chunkserver.Session) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	chunk := w.desk.Choose(s.ID())
	if chunk != wire.NoChunk {
		w.events.HandedOut()
	}
	return chunk
}

// Landed implements chunkserver.Handler: an origin has everything already.
func (w *swarm) Landed(*chunkserver.Session, chunkserver.Landing) {}

// Sent implements chunkserver.Handler. No chunk is sent where everything is handed out.
func (w *swarm) Sent(s *chunkserver.Session, chunk int) {
	defer w.spare(s)
	if chunk == wire.NoChunk {
		return
	}
	w.take(exchange.Sent{To: s.ID(), Chunk: chunk})
	w.events.SentBytes(w.manifest.Length(chunk))
	w.sent.Add(int64(w.manifest.Length(chunk)))
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// Lent implements chunkserver.Handler: the desk hears by the room that there is.
func (w *swarm) Lent(s *chunkserver.Session) { w.spare(s) }

// Closed implements chunkserver.Handler.
func (w *swarm) Closed(s *chunkserver.Session, err error) {
	w.take(exchange.Closed{ID: s.ID(), Err: err})
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sessions, s.ID())
}

// lastAsked is when a chunk was last asked for.
func (w *swarm) lastAsked() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.desk.LastAsked()
}

// closeAll ends every session.
func (w *swarm) closeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sessions {
		s.Close()
	}
}

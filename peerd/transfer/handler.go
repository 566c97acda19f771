package transfer

import (
	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/exchange"
	"fanout/internal/chunks/wire"
)

// handler posts what happens on sessions to the download. It implements chunkserver.Handler.
type handler struct {
	d       *Download
	address string // as dialled; empty for accepted sessions
	origin  bool   // an origin was dialled
}

// Opened implements chunkserver.Handler.
func (h *handler) Opened(s *chunkserver.Session) {
	if h.d.sessions.add(s) {
		h.d.post(exchange.Opened{ID: s.ID(), Peer: s.Peer(), Address: h.address, Version: s.Version()})
	}
}

// Got implements chunkserver.Handler.
func (h *handler) Got(s *chunkserver.Session, m wire.Message, payload []byte) {
	h.d.post(exchange.Got{From: s.ID(), Message: m, Payload: payload})
}

// Landed implements chunkserver.Handler.
func (h *handler) Landed(s *chunkserver.Session, l chunkserver.Landing) {
	h.count(l) // here and now: Run may end before it hears of it
	h.d.post(exchange.Landed{From: s.ID(), Chunk: l.Chunk, Fresh: l.Fresh, Took: l.Took, Err: l.Err})
}

// count counts a chunk that has been stored.
func (h *handler) count(l chunkserver.Landing) {
	if l.Err != nil {
		return
	}
	source := FromPeer
	if h.origin {
		source = FromOrigin
	}
	h.d.cfg.Progress.landed(source, l)
	h.d.cfg.Observer.Landed(source, l.Bytes, l.Took, !l.Fresh)
}

// Sent implements chunkserver.Handler.
func (h *handler) Sent(s *chunkserver.Session, chunk int) {
	h.d.post(exchange.Sent{To: s.ID(), Chunk: chunk})
	h.d.spare(s)
}

// Lent implements chunkserver.Handler.
func (h *handler) Lent(s *chunkserver.Session) {
	h.d.post(exchange.Lent{To: s.ID()})
	h.d.spare(s)
}

// Closed implements chunkserver.Handler.
func (h *handler) Closed(s *chunkserver.Session, err error) {
	h.d.sessions.remove(s.ID())
	h.d.post(exchange.Closed{ID: s.ID(), Err: err})
}

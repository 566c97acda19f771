package chunkserver

import (
	"errors"
	"time"

	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
)

// landAside is the size from which a chunk is verified and stored beside the reading of the
// next: for a smaller one, waking another goroutine costs more than it gains.
const landAside = 256 << 10

// lander is the goroutine of a session that verifies and stores the chunks that the reader
// has received.
type lander struct {
	s       *Session
	arrived chan arrival
}

// arrival is a chunk that is wholly here.
type arrival struct {
	chunk int
	data  []byte
	began time.Time // when its DATA line came
}

func (l *lander) run() {
	for a := range l.arrived {
		l.land(a)
	}
}

func (l *lander) land(a arrival) {
	s := l.s
	landing := Landing{Chunk: a.chunk, Bytes: len(a.data)}
	landing.Fresh, landing.Err = s.target.Store.Put(a.chunk, a.data)
	s.server.buffers.put(a.data)
	landing.Took = time.Since(a.began)
	s.target.Handler.Landed(s, landing)
	if errors.Is(landing.Err, manifest.ErrDigest) {
		s.Fail(wire.CodeBanned, landing.Err)
	}
}

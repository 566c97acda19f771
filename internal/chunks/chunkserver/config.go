package chunkserver

import (
	"time"

	"golang.org/x/time/rate"

	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
)

// Config is what a daemon's chunk server is made of.
type Config struct {
	// Self is the daemon's peer ID, which it says in every HELLO.
	Self string
	// Lookup finds what a session for a manifest is about; an error refuses the session
	// and its text is told to the other side.
	Lookup func(id manifest.ID, peer string) (*Target, error)
	// Slots is how many sessions are sent to at a time.
	Slots int
	// Upload and Download limit payload bytes a second; nil is unlimited. The burst of a
	// limiter is the largest slice sent or read at once.
	Upload, Download *rate.Limiter
	// BufferBytes bounds the memory of chunks that are being received.
	BufferBytes int64
	// Observer counts; nil counts nothing.
	Observer Observer
	Limits   Limits
}

// Limits are the caps whose breach ends a session.
type Limits struct {
	Handshake   time.Duration // from the connection to the HELLO
	Idle        time.Duration // between two messages
	Stall       time.Duration // between two slices of a payload, either way
	Ping        time.Duration // between two PINGs, whatever else is said
	Look        time.Duration // between two looks at the path of a session that sends
	Requests    int           // outstanding GETs and ANYs of one session
	Sessions    int           // sessions accepted in all
	PerAddress  int           // sessions accepted from one IP address
	OutboxBytes int           // control lines waiting to be sent to one session
}

// DefaultLimits suits a LAN: generous to the slow, finite for the stuck.
func DefaultLimits() Limits {
	return Limits{
		Handshake: 10 * time.Second, Idle: 60 * time.Second, Stall: 15 * time.Second, Ping: 20 * time.Second,
		Look: 200 * time.Millisecond, Requests: 1024, Sessions: 4096, PerAddress: 1024, OutboxBytes: 1 << 20,
	}
}

// Target is what a session is about: one manifest, where its chunks are kept, and who is
// told what happens.
type Target struct {
	Manifest *manifest.Manifest
	ID       manifest.ID
	Store    *chunkstore.Store
	Handler  Handler
	// HandOut chooses the chunk of an ANY, at the moment of sending; wire.NoChunk if there is
	// none. It is nil where nothing is handed out, and called from many goroutines.
	HandOut func(s *Session) (chunk int)
}

// handOut is wire.NoChunk where nothing is handed out.
func (t *Target) handOut(s *Session) int {
	if t.HandOut == nil {
		return wire.NoChunk
	}
	return t.HandOut(s)
}

// Handler learns what happens on the sessions of one manifest. Opened comes first and
// Closed last, but for Lent; calls of different sessions, and Landed and Sent of one session, come from
// different goroutines. A handler must not block for long: it holds the session up.
type Handler interface {
	// Opened tells of a session whose handshake is done.
	Opened(s *Session)
	// Got tells of every message but DATA, PING, PONG, ERR and BYE. The payload is that of
	// BITS, of the length that the manifest demands.
	Got(s *Session, m wire.Message, payload []byte)
	// Landed tells what became of a chunk that has come.
	Landed(s *Session, l Landing)
	// Sent tells that a chunk that was queued has been sent; wire.NoChunk if none was there to
	// hand out.
	Sent(s *Session, chunk int)
	// Lent tells that what is being sent goes so slowly that its slot was given on. It is called
	// from the same goroutine for all sessions, and may come after Closed.
	Lent(s *Session)
	// Closed tells why the session ended; nil if this side closed it, and a *wire.Bye if the
	// other side has taken its leave.
	Closed(s *Session, err error)
}

// Landing is the end of a chunk's arrival.
type Landing struct {
	Chunk int
	Bytes int
	// Fresh is false for a chunk that was held already.
	Fresh bool
	// Took is the time from the DATA line to the verified, stored chunk.
	Took time.Duration
	// Err is manifest.ErrDigest for wrong bytes, after which the session is closed, or the
	// error of the store; nil otherwise.
	Err error
}

// Observer counts what happens. Its methods are called concurrently.
type Observer interface {
	SentBytes(n int)
	Sessions(delta int)
	Queued(delta int)
	// Rejected counts sessions that were refused or closed for the other side's fault, by
	// the wire error code.
	Rejected(code string)
}

type noObserver struct{}

func (noObserver) SentBytes(int)   {}
func (noObserver) Sessions(int)    {}
func (noObserver) Queued(int)      {}
func (noObserver) Rejected(string) {}

// Package chunkserver moves chunks between daemons: it accepts and dials sessions of the
// chunk protocol (internal/chunks/wire), reads, verifies and stores the chunks that arrive, and
// sends the ones asked for through a bounded number of upload slots. It is the same for
// the origin and for a peer; what differs is the [Handler] that each gives it.
//
// A session has three goroutines: a reader that parses messages, a lander that verifies
// and stores chunks while the reader is at the next one, and a writer that sends control
// lines first and a chunk whenever the session is granted an upload slot.
//
// It must not know strategies, who owns what, HTTP, flags, logs or Prometheus: it returns
// errors, calls its Handler and counts through an [Observer].
package chunkserver

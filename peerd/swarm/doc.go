// Package swarm is one download: whom to talk to, what to ask of whom, what to send on.
//
// One goroutine, [Download.Run], owns all of its state and does no I/O: sessions
// (internal/chunks/chunkserver), dials and announces run elsewhere and post what happened to it.
// How chunks are chosen is a strategy: assigned serves `direct` and `static`, dynamic
// serves `swarm`.
//
// It must not know HTTP, files, flags, logs or Prometheus.
package swarm

// Package swarm decides what one download does: whom to talk to, what to ask of whom, what to
// send on.
//
//	events ──▶ [Engine.Take]     what has happened: a session, a message, a chunk, an answer
//	           [Engine.Decide] ──▶ actions: send this line, upload that, dial, close, announce
//
// An [Engine] is a state machine. It is told the time, starts no goroutine and calls nobody, so
// that the same events at the same times, with the same randomness, lead to the same actions:
// in a daemon, where peerd/transfer carries them out, and in the virtual lab. The language of
// both is internal/chunks/exchange.
//
// A remote peer or origin is a [contact] while it is known by its address, and a [neighbour] from
// the opening of its session until that is closed. How chunks are chosen is a strategy, which
// keeps what it knows of a neighbour to itself: assigned serves `direct` and `static`, dynamic
// serves `swarm`.
//
// It must not know HTTP, files, connections, clocks, flags, logs or Prometheus.
package swarm

// Package virtual is a laboratory for what the daemons decide: it lets a plan, a number of peers
// and an origin with their links, happen in a time of its own, and tells how long each peer took,
// what was sent, and whether anything happened that must not.
//
// What decides is the daemons' own code, peerd/swarm, origin/handout and internal/chunks/room.
// What carries it out is a model: a link has a rate, a delay and a queue that drops what does not
// fit, a session is a TCP connection whose congestion window grows and halves as RFC 5681 says
// (NewReno, with SACK), and the kernel and the writer of a session hold as much as
// internal/chunks/chunkserver lets them. Processors cost nothing: where they are what is short,
// the lab in mininet/ tells the truth, and this does not.
//
// There is one goroutine, one agenda, and one seed: a plan with the same seed happens in the
// same way, event by event, which [Result].Fingerprint shows.
//
// It must not know HTTP, disks, flags, or the wall clock.
package virtual

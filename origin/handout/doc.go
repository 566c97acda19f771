// Package handout decides what the origin does for the sessions about one published file:
// which chunk it gives to whom in a swarm (every chunk once, the lowest first, what others claim to
// have last, and again only if it was lost with those who had it), how several origins of the file
// divide that, when the first ones go out, what becomes of chunks that are asked for by number, and
// to whom to offer, when the uplink idles, a further copy of which chunk.
//
// [Desk] is told events and returns actions; a [Pool] beneath it has the chunks.
//
// It is pure: no I/O and no clock, nor any goroutine. It must not know connections, or the
// network.
package handout

// Package feed is what the viewers of the tracker see live: it looks at the table a few times
// a second, while somebody watches, and makes of it the events of the contract (SwarmEvent),
// once for all viewers. A viewer begins with a snapshot and then gets changes; one that does
// not keep up is cut off rather than waited for.
//
// It knows no HTTP: events are bytes on a channel.
package feed

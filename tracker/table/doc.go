// Package table is the tracker's knowledge: which files are published, who serves them, who
// downloads them and holds which chunks, which peers there are, and who owns which chunk in a
// static download.
//
// Terms: an origin or peer is listed for the time of a lease, which its announces renew. The
// members of a swarm are the peers that announce to one manifest; the fleet is the peers that
// are registered, whether they download or not. A name stands for one manifest at a time; the
// earlier ones are superseded and stay findable by ID while they are in use. A rollout asks
// peers to fetch what a name stood for when it began; the followers are the peers that do what
// rollouts ask, whether they are on or off.
//
// The package knows no HTTP and no JSON. Durable changes go through a store.Store; leases are
// in memory only. The clock and the randomness are injected.
package table

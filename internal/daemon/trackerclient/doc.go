// Package trackerclient talks to the tracker for origin and peerd: the generated client with
// timeouts, connections kept alive, problem responses as Go errors, manifests verified, and
// loops that renew a lease with backoff while the tracker is out of reach.
//
// It knows the contract (api/trackerapi), not the tracker; it logs nothing and has no
// metrics: errors are returned, or reported to a callback by the loops.
package trackerclient

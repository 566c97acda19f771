// Package e2e has no code, only tests: the promises of fanout, kept by real processes on
// loopback. Each test file is a chapter:
//
//	identical   what arrives is what was sent: sizes, names, strategies, several files
//	scale       32 peers, a gigabyte, and what memory that takes
//	static      the table that is published is the table that is obeyed
//	faults      kill -9 on a peer, the tracker, the origin
//	restart     what a peer and a tracker know after they were killed
//	liar        a peer that sends wrong bytes
//	republish   a file that changes while it is downloaded
//	withdrawn   a file that is taken back while it is downloaded
//	refusals    wrong requests, wrong flags, a full disk: what is said and what is kept
//	versions    daemons of the protocol's versions 1 and 2, in every mix
//	intruders   garbage, slowness and greed on the chunk port
//
// What a bad network does is in package network, and what one command does for a whole fleet in
// package rollout.
//
// Moments such as "half way" are reached by limiting rates and looking at the download, not
// by sleeping. Times are never compared, only bounded against hanging.
//
// Most tests wait for a rate limit most of the time, so they run in parallel; those that
// measure the machine run before, alone. FANOUT_E2E_FULL=1 adds what is too big for every
// day; -short leaves out what is big.
package e2e

// Package node is the peerd: it registers with the tracker, keeps the downloads of one
// data directory across restarts, serves their chunks, and answers the control interface.
//
// A download is decided about under its mutex. How it stands is its status, which the record
// keeps; what is done for it from a launch to the end is a work; what the tracker hears of it
// is the announcer's. The list knows all of them, the outputs what stands where they put
// their files.
//
// Mutexes are taken in this order: outputs.placing, download.control, list.mu, download.mu.
//
// It must not know flags or environment, how chunks are chosen, or the insides of the
// tracker and the origin.
package node

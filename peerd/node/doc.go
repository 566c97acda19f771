// Package node is the peerd: it registers with the tracker, keeps the downloads of one
// data directory across restarts, serves their chunks, and answers the control interface.
//
// It must not know flags or environment, how chunks are chosen, or the insides of the
// tracker and the origin.
package node

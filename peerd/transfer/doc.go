// Package transfer carries out what peerd/swarm decides for one download.
//
// One goroutine, [Download.Run], tells a swarm.Engine what happens and has done what it returns.
// It does no I/O: sessions (internal/chunks/chunkserver), dials and announces run elsewhere and
// post what became of them.
//
// It must not know HTTP, files, flags, logs or Prometheus, or why anything is decided.
package transfer

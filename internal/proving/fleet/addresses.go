package fleet

import "sync"

// addresses are where a daemon listens. They stay the same over its restarts.
type addresses struct {
	mu           sync.Mutex
	chunks, http string
}

func (a *addresses) set(chunks, http string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.chunks, a.http = chunks, http
}

// ChunkAddress is host:port of the chunk protocol; empty before the first launch and for a
// tracker.
func (a *addresses) ChunkAddress() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.chunks
}

// HTTPAddress is host:port of the HTTP interface; empty before the first launch.
func (a *addresses) HTTPAddress() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.http
}

// URL of the HTTP interface, without a slash at the end.
func (a *addresses) URL() string { return "http://" + a.HTTPAddress() }

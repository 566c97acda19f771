package swarm

import (
	"sync"

	"fanout/internal/chunks/chunkserver"
)

// sessions are those of a download, known here from their first moment: the goroutine of
// Run may end before it hears of one, and must leave none open.
type sessions struct {
	mu   sync.Mutex
	over bool
	open map[*chunkserver.Session]struct{}
}

// add takes a session in, or closes it if the download is over.
func (o *sessions) add(s *chunkserver.Session) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		s.Close()
		return false
	}
	if o.open == nil {
		o.open = map[*chunkserver.Session]struct{}{}
	}
	o.open[s] = struct{}{}
	return true
}

func (o *sessions) remove(s *chunkserver.Session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, s)
}

// end closes all of them, and from now on every one that comes.
func (o *sessions) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	for s := range o.open {
		s.Close()
	}
}

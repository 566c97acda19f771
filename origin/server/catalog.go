package server

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/manifest"
)

// catalog is the contents that are served. Its methods may be called from any goroutine.
type catalog struct {
	mu     sync.Mutex
	served map[manifest.ID]*publication
	sent   map[manifest.ID]*atomic.Int64 // also of contents that may return
}

func newCatalog() *catalog {
	return &catalog{served: map[manifest.ID]*publication{}, sent: map[manifest.ID]*atomic.Int64{}}
}

// add lets sessions about a content begin.
func (c *catalog) add(p *publication) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.sent[p.id]; n != nil {
		p.swarm.sent = n
	} else {
		c.sent[p.id] = p.swarm.sent
	}
	c.served[p.id] = p
}

// remove lets no more begin; false if another publication serves this content.
func (c *catalog) remove(p *publication) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.served[p.id] != p {
		return false
	}
	delete(c.served, p.id)
	return true
}

// serves says whether it is this publication that serves its content.
func (c *catalog) serves(p *publication) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served[p.id] == p
}

// all are the publications now.
func (c *catalog) all() []*publication {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.served))
}

// lookup is the chunk server's.
func (c *catalog) lookup(id manifest.ID, _ string) (*chunkserver.Target, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.served[id]; ok {
		return p.target, nil
	}
	return nil, fmt.Errorf("no manifest %v is served here", id)
}

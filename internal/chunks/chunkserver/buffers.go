package chunkserver

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// buffers lends out memory for chunks that are being received and bounds its sum, so that
// a daemon's memory does not grow with its sessions. Returned buffers are kept for reuse:
// a collector that runs behind a gigabyte a second would double the resident memory.
type buffers struct {
	limit int64
	sem   *semaphore.Weighted

	mu   sync.Mutex
	free [][]byte
	kept int64 // bytes in free
}

func newBuffers(limit int64) *buffers {
	return &buffers{limit: limit, sem: semaphore.NewWeighted(limit)}
}

// get waits until n bytes may be lent. A chunk larger than the whole budget gets it whole.
func (b *buffers) get(ctx context.Context, n int) ([]byte, error) {
	if err := b.sem.Acquire(ctx, b.weight(n)); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.free) - 1; i >= 0; i-- {
		if p := b.free[i]; cap(p) >= n {
			b.free = append(b.free[:i], b.free[i+1:]...)
			b.kept -= int64(cap(p))
			return p[:n], nil
		}
	}
	// None fits: the kept ones are of a smaller chunk size, and would come on top of the limit.
	b.free, b.kept = nil, 0
	return make([]byte, n), nil
}

// put takes back what get lent for n bytes.
func (b *buffers) put(p []byte) {
	b.mu.Lock()
	if b.kept+int64(cap(p)) <= b.limit {
		b.free = append(b.free, p)
		b.kept += int64(cap(p))
	}
	b.mu.Unlock()
	b.sem.Release(b.weight(len(p)))
}

func (b *buffers) weight(n int) int64 { return min(max(int64(n), 1), b.limit) }

package httpkit

import (
	"sync"
	"time"
)

const (
	// tellAgain is after how long a text that was told is told again.
	tellAgain = time.Hour
	// mostTold bounds the texts that are remembered.
	mostTold = 256
)

// told remembers what was told lately. The zero value is ready.
type told struct {
	mu sync.Mutex
	at map[string]time.Time
}

// first says that a text is to be told, since it was not lately.
func (t *told) first(text string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, known := t.at[text]; known && now.Sub(at) < tellAgain {
		return false
	}
	if t.at == nil || len(t.at) >= mostTold {
		t.at = map[string]time.Time{}
	}
	t.at[text] = now
	return true
}

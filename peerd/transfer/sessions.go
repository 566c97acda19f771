package transfer

import (
	"sync"
	"time"

	"fanout/internal/chunks/exchange"
)

// session is what is used of a chunkserver.Session.
type session interface {
	ID() exchange.ID
	LastReceived() time.Time
	Carry(a exchange.Action) exchange.Event
	Free() (sends, busy int)
	Close()
}

// sessions are those of a download, known here from their first moment: the goroutine of
// Run may end before it hears of one, and must leave none open.
type sessions struct {
	mu   sync.Mutex
	over bool
	open map[exchange.ID]*opened
}

type opened struct {
	session
	told time.Time // up to when payload is known to have come
}

// add takes a session in, or closes it if the download is over.
func (o *sessions) add(s session) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		s.Close()
		return false
	}
	if o.open == nil {
		o.open = map[exchange.ID]*opened{}
	}
	o.open[s.ID()] = &opened{session: s}
	return true
}

func (o *sessions) remove(id exchange.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, id)
}

// any returns some open session; nil if there is none.
func (o *sessions) any() session {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.open {
		return s
	}
	return nil
}

// find returns an open session; nil if there is none of that ID.
func (o *sessions) find(id exchange.ID) session {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.open[id]; s != nil {
		return s
	}
	return nil
}

// received returns on which sessions payload has come since the last call.
func (o *sessions) received() (news []exchange.Received) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, s := range o.open {
		if at := s.LastReceived(); at.After(s.told) {
			s.told = at
			news = append(news, exchange.Received{From: id, At: at})
		}
	}
	return news
}

// end closes all of them, and from now on every one that comes.
func (o *sessions) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	for _, s := range o.open {
		s.Close()
	}
}

package server

import (
	"context"
	"net/http"
	"time"

	"fanout/api/trackerapi"
	"fanout/tracker/feed"
)

// writeWithin is how long a viewer's connection may take to accept an event.
const writeWithin = 10 * time.Second

// eventCalls is the call of those who watch.
type eventCalls struct{ feed *feed.Feed }

// WatchSwarms implements GET /v1/events.
func (c *eventCalls) WatchSwarms(ctx context.Context, _ trackerapi.WatchSwarmsRequestObject) (trackerapi.WatchSwarmsResponseObject, error) {
	return &swarmEvents{requestOf(ctx), c.feed}, nil
}

type swarmEvents struct {
	r    *http.Request
	feed *feed.Feed
}

// VisitWatchSwarmsResponse streams until the viewer leaves or is too slow.
func (e *swarmEvents) VisitWatchSwarmsResponse(w http.ResponseWriter) error {
	v, err := e.feed.Join()
	if err != nil {
		return err
	}
	defer e.feed.Leave(v)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if e.r.Method == http.MethodHead {
		return nil // net/http would discard the events, for ever
	}
	c := http.NewResponseController(w)
	for {
		select {
		case <-e.r.Context().Done():
			return nil
		case event, ok := <-v.Events():
			if !ok || c.SetWriteDeadline(time.Now().Add(writeWithin)) != nil {
				return nil
			}
			if _, err := w.Write(event); err != nil || c.Flush() != nil {
				return nil // the viewer has left
			}
		}
	}
}

package server

import (
	"context"
	"net/http"
	"time"

	"fanout/api/trackerapi"
	"fanout/tracker/feed"
	"fanout/tracker/table"
)

const (
	// writeWithin is how long a viewer's connection may take to accept an event.
	writeWithin = 10 * time.Second
	// watchedInterval is the shortest time between two announces of a peer that is watched.
	watchedInterval = time.Second
	// watchedAnnounces is how many announces a second a watched swarm may cause.
	watchedAnnounces = 50
)

// WatchSwarms implements GET /v1/events.
func (s *Server) WatchSwarms(ctx context.Context, _ trackerapi.WatchSwarmsRequestObject) (trackerapi.WatchSwarmsResponseObject, error) {
	return &swarmEvents{requestOf(ctx), s.feed}, nil
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

// interval is when a peer should announce again: sooner than its lease demands while it
// downloads and somebody watches, or a rollout asks for the file, but not so soon that a big
// swarm burdens the tracker.
func (s *Server) interval(state trackerapi.DownloadState, reply table.Reply) time.Duration {
	usual := s.table.Interval()
	if state != trackerapi.DownloadStateDownloading || !s.feed.Watched() && !reply.RolledOut {
		return usual
	}
	return min(usual, max(watchedInterval, time.Duration(reply.Active)*time.Second/watchedAnnounces))
}

package node

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	// eventEvery is the least time between two progress events.
	eventEvery = 100 * time.Millisecond
	// eventIdle is after how long a comment keeps an idle stream alive through proxies.
	eventIdle = 15 * time.Second
)

// events is the response of server-sent events:
// https://html.spec.whatwg.org/multipage/server-sent-events.html
type events struct {
	r        *http.Request
	download *download
}

// VisitWatchDownloadResponse streams until the download is over or the client leaves.
func (e *events) VisitWatchDownloadResponse(w http.ResponseWriter) error {
	moved, stop := e.download.progress.Watch()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if e.r.Method == http.MethodHead {
		return nil // net/http would discard the events, for ever
	}
	flush := http.NewResponseController(w).Flush
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		v := e.download.view()
		name := "progress"
		if over(v.State) {
			name = "end"
		}
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, data); err != nil {
			return nil // the client has left
		}
		if err := flush(); err != nil || name == "end" {
			return nil
		}
		pause.Reset(eventEvery)
		select {
		case <-e.r.Context().Done():
			return nil
		case <-pause.C:
		}
		if !e.next(w, moved) {
			return nil
		}
	}
}

// next waits until the download has moved on; false if the client has left.
func (e *events) next(w http.ResponseWriter, moved <-chan struct{}) bool {
	idle := time.NewTicker(eventIdle)
	defer idle.Stop()
	for {
		select {
		case <-e.r.Context().Done():
			return false
		case <-moved:
			return true
		case <-idle.C:
			if _, err := fmt.Fprint(w, ":\n\n"); err != nil || http.NewResponseController(w).Flush() != nil {
				return false
			}
		}
	}
}

package server

import (
	"errors"
	"sync"

	"github.com/rs/zerolog"

	"fanout/internal/chunks/manifest"
)

// health is how the files fare: it says so to the log, once, and to who asks, and knows when
// there is no point in going on. Its methods may be called from any goroutine.
type health struct {
	logger zerolog.Logger
	strict bool       // the first file that is refused is fatal, rather than the last one
	fatal  chan error // gets the one that ends the origin

	mu        sync.Mutex
	standing  standing
	unreached map[manifest.ID]error // contents of which no peer can dial this -> why
}

func newHealth(logger zerolog.Logger, strict bool) *health {
	return &health{logger: logger, strict: strict, fatal: make(chan error, 1), unreached: map[manifest.ID]error{}}
}

// report notes, and logs once for all files, why a file is not published.
func (h *health) report(name string, err error) {
	h.mu.Lock()
	fresh := h.standing.note(name, err)
	h.mu.Unlock()
	switch {
	case fresh:
		h.logger.Warn().Err(err).Str("file", name).Msg("file not published, trying again")
	case err != nil:
		h.logger.Debug().Err(err).Str("file", name).Msg("file not published, trying again")
	}
}

// refuse gives up a file that the tracker, or something on the way to it, will not take.
func (h *health) refuse(name string, err error) {
	h.mu.Lock()
	hopeless := h.standing.refuse(name, err)
	h.mu.Unlock()
	if !hopeless && !h.strict {
		h.logger.Error().Err(err).Str("file", name).Msg("file refused, not published: mend what the error names and restart the origin")
		return
	}
	h.end(err)
}

// withdrawn notes that a file is not to be published any more.
func (h *health) withdrawn(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.standing.refuse(name, errors.New("it was withdrawn at the tracker: restart the origin to publish it again"))
}

// end ends the origin with an error.
func (h *health) end(err error) {
	select {
	case h.fatal <- err:
	default: // it ends already
	}
}

// noteReach notes, and logs when it is so of a first content, that no peer can dial this origin.
func (h *health) noteReach(id manifest.ID, err error) {
	h.mu.Lock()
	first := len(h.unreached) == 0
	if err == nil {
		delete(h.unreached, id)
	} else {
		h.unreached[id] = err
	}
	h.mu.Unlock()
	switch {
	case err == nil:
	case h.strict:
		h.end(err)
	case first:
		h.logger.Error().Err(err).Msg("nobody can fetch")
	}
}

// err says what is not published, or cannot be fetched.
func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.standing.err(); err != nil {
		return err
	}
	for _, err := range h.unreached {
		return err
	}
	return nil
}

package server

import (
	"errors"
	"fmt"
	"net/http"

	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/trackerclient"
	"fanout/internal/daemon/units"
)

var errDigesting = errors.New("is being digested")

// standing is how the files given stand at the tracker.
type standing struct {
	names   []string         // in the order given
	waiting map[string]error // a name -> why it is not published
	refused map[string]bool  // those that will not be tried again
	taken   bool             // a file was published
}

// add enters a file that is to be published; false if there is one of that name.
func (s *standing) add(name string) bool {
	if s.waiting == nil {
		s.waiting, s.refused = map[string]error{}, map[string]bool{}
	}
	if _, twice := s.waiting[name]; twice {
		return false
	}
	s.names = append(s.names, name)
	s.waiting[name] = errDigesting
	return true
}

// note takes over what came of publishing a file; fresh says that the reason is not one that
// this file, or another one, has been waiting for already.
func (s *standing) note(name string, err error) (fresh bool) {
	delete(s.refused, name)
	if err == nil {
		delete(s.waiting, name)
		s.taken = true
		return false
	}
	fresh = true
	for _, why := range s.waiting {
		fresh = fresh && cause(why) != cause(err)
	}
	s.waiting[name] = err
	return fresh
}

// cause is what an error about one file has in common with those about others.
func cause(err error) string {
	if inner := errors.Unwrap(err); inner != nil {
		return inner.Error()
	}
	return err.Error()
}

// refuse notes that a file will not be taken; hopeless says that so it went with all of them.
func (s *standing) refuse(name string, err error) (hopeless bool) {
	s.waiting[name], s.refused[name] = err, true
	return !s.taken && len(s.refused) == len(s.names)
}

// err says which files are not published, and why the first of them is not.
func (s *standing) err() error {
	for _, name := range s.names {
		why := s.waiting[name]
		switch more := len(s.waiting) - 1; {
		case why == nil:
		case more > 0:
			return fmt.Errorf("%s is not published: %w (and %d more of %d files)", name, why, more, len(s.names))
		default:
			return fmt.Errorf("%s is not published: %w", name, why)
		}
	}
	return nil
}

// report notes, and logs once for all files, why a file is not published.
func (o *Origin) report(name string, err error) {
	o.mu.Lock()
	fresh := o.standing.note(name, err)
	o.mu.Unlock()
	switch {
	case fresh:
		o.cfg.Logger.Warn().Err(err).Str("file", name).Msg("file not published, trying again")
	case err != nil:
		o.cfg.Logger.Debug().Err(err).Str("file", name).Msg("file not published, trying again")
	}
}

// refuse gives up a file that the tracker, or something on the way to it, will not take.
func (o *Origin) refuse(name string, err error) {
	o.mu.Lock()
	hopeless := o.standing.refuse(name, err)
	o.mu.Unlock()
	if !hopeless && !o.cfg.EndIfRefused {
		o.cfg.Logger.Error().Err(err).Str("file", name).Msg("file refused, not published: mend what the error names and restart the origin")
		return
	}
	o.end(err)
}

// withdrawn notes that a file is not to be published any more.
func (o *Origin) withdrawn(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.standing.refuse(name, errors.New("it was withdrawn at the tracker: restart the origin to publish it again"))
}

// end has Run end with an error.
func (o *Origin) end(err error) {
	select {
	case o.refused <- err:
	default: // it ends already
	}
}

// isFinal reports whether a content will never be taken, whoever refuses it. That a tracker
// does not know it, or another origin of this ID, is about the moment.
func isFinal(err error) bool {
	var refusal *trackerclient.Error
	clash := errors.As(err, &refusal) && refusal.Status == http.StatusConflict && !errors.Is(err, trackerclient.ErrForeign)
	moment := clash || errors.Is(err, trackerclient.ErrNotFound) || errors.Is(err, trackerclient.ErrGone)
	return !moment && !trackerclient.Temporary(err)
}

// explainRefusal adds the remedy for a publication that is too large for somebody.
func explainRefusal(err error, m *manifest.Manifest) error {
	var refused *trackerclient.Error
	if errors.As(err, &refused) && refused.Status == http.StatusRequestEntityTooLarge {
		const digest = 2*len(manifest.Digest{}) + len(`"",`)
		return fmt.Errorf("%w; its %d chunks make a publication of %s: allow that there, or give a larger --chunk-size",
			err, m.Chunks(), units.Size(m.Chunks()*digest))
	}
	return err
}

// noteReach notes, and logs when it is so of a first content, that no peer can dial this origin.
func (o *Origin) noteReach(id manifest.ID, err error) {
	o.mu.Lock()
	first := len(o.unreached) == 0
	if err == nil {
		delete(o.unreached, id)
	} else {
		o.unreached[id] = err
	}
	o.mu.Unlock()
	switch {
	case err == nil:
	case o.cfg.EndIfRefused:
		o.end(err)
	case first:
		o.cfg.Logger.Error().Err(err).Msg("nobody can fetch")
	}
}

// Trouble is why files are not published that could be, or cannot be fetched; nil while they
// are digested.
func (o *Origin) Trouble() error {
	err := o.ready()
	if errors.Is(err, errDigesting) {
		return nil
	}
	return err
}

// ready says what is not published, or cannot be fetched.
func (o *Origin) ready() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.standing.err(); err != nil {
		return err
	}
	for _, err := range o.unreached {
		return err
	}
	return nil
}

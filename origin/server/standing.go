package server

import (
	"errors"
	"fmt"
	"net/http"

	"fanout/internal/daemon/trackerclient"
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

// isFinal reports whether a content will never be taken, whoever refuses it. That a tracker
// does not know it, or another origin of this ID, is about the moment.
func isFinal(err error) bool {
	var refusal *trackerclient.Error
	clash := errors.As(err, &refusal) && refusal.Status == http.StatusConflict && !errors.Is(err, trackerclient.ErrForeign)
	moment := clash || errors.Is(err, trackerclient.ErrNotFound) || errors.Is(err, trackerclient.ErrGone)
	return !moment && !trackerclient.Temporary(err)
}

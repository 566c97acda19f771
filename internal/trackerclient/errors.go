package trackerclient

import (
	"errors"
	"fmt"
	"net/http"

	"fanout/api/trackerapi"
	"fanout/internal/oneline"
)

// Errors to tell apart with errors.Is.
var (
	ErrNotFound    = errors.New("not found")           // 404: file or manifest unknown
	ErrGone        = errors.New("withdrawn")           // 410: stop announcing it
	ErrUnreachable = errors.New("tracker unreachable") // no answer, or none that a tracker gives
)

// Error is a problem response of the tracker.
type Error struct {
	Status int
	Detail string // for people: what is wrong, and the remedy
	Field  string // of the request; may be empty
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("tracker answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return e.Detail
}

// Is maps the status to a sentinel.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrGone:
		return e.Status == http.StatusGone
	}
	return false
}

// Temporary reports whether trying the same again later may help: the tracker is out of
// reach, failing, or asks to slow down.
func Temporary(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Status >= 500 || e.Status == http.StatusTooManyRequests
	}
	return errors.Is(err, ErrUnreachable)
}

// response is what all generated responses have in common.
type response interface {
	StatusCode() int
	ContentType() string
	GetApplicationproblemJSONDefault() *trackerapi.Problem
}

// check turns everything but the expected answer into an error. ok says whether a body of
// the expected kind is there.
func (c *Client) check(r response, err error, ok bool) error {
	if err != nil {
		return c.unreachable(err)
	}
	if p := r.GetApplicationproblemJSONDefault(); p != nil && p.Status >= 400 {
		return problem(*p)
	}
	if r.StatusCode() >= 400 {
		return &Error{Status: r.StatusCode()}
	}
	if !ok {
		return fmt.Errorf("%w: %s answered %d %s, not what a tracker answers: check the address",
			ErrUnreachable, c.url, r.StatusCode(), oneline.Of(r.ContentType(), 100))
	}
	return nil
}

func problem(p trackerapi.Problem) *Error {
	e := &Error{Status: p.Status}
	if p.Detail != nil {
		e.Detail = oneline.Of(*p.Detail, oneline.Max) // whoever has answered
	}
	if p.Field != nil {
		e.Field = oneline.Of(*p.Field, oneline.Max)
	}
	return e
}

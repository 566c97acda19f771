package trackerclient

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/oneline"
)

// problemType is how trackers refuse (RFC 9457).
const problemType = "application/problem+json"

// Errors to tell apart with errors.Is.
var (
	ErrNotFound    = errors.New("not found")           // 404: file or manifest unknown
	ErrGone        = errors.New("withdrawn")           // 410: stop announcing it
	ErrUnreachable = errors.New("tracker unreachable") // no answer, or none that a tracker gives
	ErrForeign     = errors.New("not what a tracker answers")
)

// Error is a refusal: a problem response of the tracker, or what something in between says.
type Error struct {
	Status int
	Detail string // for people: what is wrong, and the remedy
	Field  string // of the request; may be empty

	foreign bool // somebody else's, so that a 404 is not about a file
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("tracker answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return e.Detail
}

// Is maps the status, and who gave it, to a sentinel.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound && !e.foreign
	case ErrGone:
		return e.Status == http.StatusGone && !e.foreign
	case ErrForeign:
		return e.foreign
	}
	return false
}

// Temporary reports whether trying the same again later may help: the tracker is out of
// reach, failing, or asks to slow down. Nothing else mends itself, whoever gave the answer:
// not a proxy's refusal, not an address at which something other than a tracker answers, nor
// a certificate that is not trusted.
func Temporary(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		switch e.Status {
		case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported, http.StatusNetworkAuthenticationRequired:
			return false
		case http.StatusTooManyRequests, http.StatusRequestTimeout:
			return true
		}
		return e.Status >= 500
	}
	var certificate *tls.CertificateVerificationError
	if errors.Is(err, ErrForeign) || errors.As(err, &certificate) || errors.Is(err, http.ErrSchemeMismatch) {
		return false
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
		return foreign(c.url, r.StatusCode())
	}
	if !ok {
		return fmt.Errorf("%w: %s answered %d %s, %w: check the address",
			ErrUnreachable, c.url, r.StatusCode(), oneline.Of(r.ContentType(), 100), ErrForeign)
	}
	return nil
}

// foreign is a refusal that does not come from a tracker, which would say what is wrong.
func foreign(url string, status int) *Error {
	return &Error{foreign: true, Status: status, Detail: fmt.Sprintf("%s answered %d %s, but not as a tracker does: check the address, and the proxies on the way to it",
		url, status, http.StatusText(status))}
}

// isNoAnswer reports whether err is about JSON that no tracker gives, rather than about some
// that was cut off on the way.
func isNoAnswer(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	return errors.As(err, &syntax) && syntax.Error() != "unexpected end of JSON input" || errors.As(err, &kind)
}

// moved refuses to follow a redirect, with which a PUT would become a GET.
func moved(r *http.Request, via []*http.Request) error {
	status := 0
	if r.Response != nil {
		status = r.Response.StatusCode
	}
	return &Error{foreign: true, Status: status, Detail: fmt.Sprintf("%s://%s answered %d %s, to %s://%s: give the tracker's own address",
		via[0].URL.Scheme, via[0].URL.Host, status, http.StatusText(status), r.URL.Scheme, r.URL.Host)}
}

// proxied is the refusal of a proxy to connect to the tracker.
func proxied(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &Error{foreign: true, Status: answer.StatusCode, Detail: fmt.Sprintf("the proxy %s answered %d %s: correct it, or name the tracker in NO_PROXY",
		proxy.Host, answer.StatusCode, http.StatusText(answer.StatusCode))}
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

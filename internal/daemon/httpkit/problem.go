package httpkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"fanout/internal/daemon/oneline"
)

// maxWord is how much is shown of what a client calls something, bytes.
const maxWord = 256

// Error is an error with an HTTP status. Detail is what the client reads: what is wrong with
// which thing, and the remedy.
type Error struct {
	Status int
	Detail string
	Field  string // of the request, dotted: origin.address; empty if no single one is at fault
	Err    error  // the cause, for the log; may be nil
}

func (e *Error) Error() string { return e.Detail }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error. The cause is what %w wraps.
func Errorf(status int, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Status: status, Detail: err.Error(), Err: errors.Unwrap(err)}
}

// WithField names the field of the request that is at fault.
func (e *Error) WithField(field string) *Error {
	e.Field = field
	return e
}

// problemBody is Problem of the contract. (The generated ones belong to two packages.)
type problemBody struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Field  string `json:"field,omitempty"`
}

// problems answers what has gone wrong, and is where the status of an error is chosen.
type problems struct {
	daemon string             // its name, for messages
	known  func(error) *Error // Options.Map
}

// Render answers err as problem+json; its status comes from an *Error in its chain or from
// Options.Map. It serves as StrictHTTPServerOptions.ResponseErrorHandlerFunc. If the response
// has begun already, the connection is broken off instead, since an ordinary end would make
// the truncated body look whole.
func (p *problems) Render(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r)
	x.err = err
	if x.begun() {
		panic(http.ErrAbortHandler)
	}
	e := p.of(r, err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Del("Content-Length")
	w.WriteHeader(e.Status)
	body := problemBody{
		Type: "about:blank", Title: http.StatusText(e.Status),
		Status: e.Status, Detail: oneline.Of(e.Detail, oneline.Max), Field: oneline.Of(e.Field, maxWord),
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // for people who read it in a terminal
	_ = enc.Encode(body)     // the client may have gone
}

// RenderRequest is Render for what generated code finds wrong with a request: 400 unless the
// error says otherwise. It serves as ChiServerOptions.ErrorHandlerFunc and as
// StrictHTTPServerOptions.RequestErrorHandlerFunc.
func (p *problems) RenderRequest(w http.ResponseWriter, r *http.Request, err error) {
	var e *Error
	if !errors.As(err, &e) {
		err = badRequest(err)
	}
	p.Render(w, r, err)
}

func badRequest(err error) *Error {
	if limit, ok := isTooLong(err); ok {
		return tooLong(limit)
	}
	e := &Error{Status: http.StatusBadRequest, Detail: err.Error(), Err: err}
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		e.Field = mismatch.Field
		e.Detail = fmt.Sprintf("field %q must be %s, not %s", mismatch.Field, mismatch.Type, mismatch.Value)
	}
	return e
}

// of is the one place where a status is chosen.
func (p *problems) of(r *http.Request, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if p.known != nil {
		if e := p.known(err); e != nil {
			return e
		}
	}
	if _, ok := isTooLong(err); ok {
		return badRequest(err)
	}
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return Errorf(http.StatusServiceUnavailable, "the %s is shutting down", p.daemon)
	}
	return Errorf(http.StatusInternalServerError, "internal error; the log of the %s says more", p.daemon)
}

package table

import (
	"errors"
	"fmt"
)

// Kinds of errors, for errors.Is. The text of an error of these kinds is for people: it names
// the thing and the remedy.
var (
	ErrUnknown   = errors.New("unknown")               // no such file, manifest or table
	ErrWithdrawn = errors.New("withdrawn")             // the file was there and is not wanted any more
	ErrInvalid   = errors.New("invalid")               // the request contradicts itself or what is known
	ErrNoPeers   = errors.New("no peer is registered") // so there is nobody to assign chunks to
	// ErrNotFollowing: a peer that is registered does not follow rollouts.
	ErrNotFollowing = errors.New("does not follow rollouts")
	// ErrClash: another process that runs has the same ID.
	ErrClash = errors.New("two processes have one ID")
)

// Error is an error of one of the kinds.
type Error struct {
	Kind  error
	Text  string
	Field string // of what was passed, dotted as in the HTTP contract; may be empty
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.Kind }

func fail(kind error, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

func invalid(field, format string, args ...any) *Error {
	return &Error{Kind: ErrInvalid, Field: field, Text: fmt.Sprintf(format, args...)}
}

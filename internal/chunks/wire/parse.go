package wire

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"fanout/internal/chunks/manifest"
)

// LongestWait bounds what PASS and BYE ask for, milliseconds: a day.
const LongestWait = 24 * 60 * 60 * 1000

// parseMessage reads one line, without its end, of a session of that version.
func parseMessage(line []byte, version int) (Message, error) {
	word, args, hasArgs := bytes.Cut(line, []byte{' '})
	m := Message{Kind: kindOf(word)}
	ok := false
	if m.Kind.Since() > version {
		return Message{}, syntaxError(line)
	}
	switch m.Kind {
	case KindBits:
		m.Bytes, ok = number(args)
	case KindGet, KindCancel, KindOffer:
		m.Chunk, ok = number(args)
	case KindHave:
		if m.Chunk, ok = number(args); !ok && version >= 2 {
			m.Chunk, m.More, ok = parseRuns(args)
		}
	case KindRoom:
		m.Bytes, m.Chunk, ok = parseRoom(args)
	case KindPass, KindBye:
		m.Wait, ok = number(args)
		ok = ok && m.Wait <= LongestWait
	case KindData:
		chunk, length, _ := bytes.Cut(args, []byte{' '})
		if m.Chunk, ok = number(chunk); ok {
			m.Bytes, ok = number(length)
		}
	case KindNone:
		if m.Chunk, ok = number(args); !ok && string(args) == "-" {
			m.Chunk, ok = NoChunk, true
		}
	case KindAny, KindPing, KindPong:
		ok = !hasArgs
	case KindErr:
		code, text, _ := bytes.Cut(args, []byte{' '})
		m.Code, m.Text, ok = string(code), plain(string(text)), isCode(code)
	}
	if !ok {
		return Message{}, syntaxError(line)
	}
	return m, nil
}

// kindOf is the Kind of the word, or 0. Switching on string(word) does not
// allocate.
func kindOf(word []byte) Kind {
	switch string(word) {
	case "BITS":
		return KindBits
	case "HAVE":
		return KindHave
	case "GET":
		return KindGet
	case "ANY":
		return KindAny
	case "DATA":
		return KindData
	case "NONE":
		return KindNone
	case "CANCEL":
		return KindCancel
	case "OFFER":
		return KindOffer
	case "PING":
		return KindPing
	case "PONG":
		return KindPong
	case "ERR":
		return KindErr
	case "ROOM":
		return KindRoom
	case "PASS":
		return KindPass
	case "BYE":
		return KindBye
	}
	return 0
}

// parseRoom reads the arguments of ROOM.
func parseRoom(args []byte) (room, hint int, ok bool) {
	size, chunk, hinted := bytes.Cut(args, []byte{' '})
	if room, ok = number(size); ok && hinted {
		hint, ok = number(chunk)
		return room, hint, ok
	}
	return room, NoChunk, ok
}

// number reads a non-negative decimal below 2^31 in its only spelling.
func number(s []byte) (int, bool) {
	if len(s) == 0 || len(s) > 10 || (s[0] == '0' && len(s) > 1) {
		return 0, false
	}
	n := int64(0)
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return int(n), n < 1<<31
}

func isCode(s []byte) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= maxCode
}

func syntaxError(line []byte) error {
	return fmt.Errorf("%w: %.60q", ErrSyntax, line)
}

// Greeting reads the first line of the accepting side, and returns its nonce.
// A number other than 1 is ErrVersion, whatever follows it. If it is an ERR
// instead, the error is a *RemoteError.
func (r *Reader) Greeting() (nonce string, err error) {
	line, err := r.line()
	if err != nil {
		return "", err
	}
	if err := refusal(line); err != nil {
		return "", err
	}
	rest, ok := bytes.CutPrefix(line, []byte(greeting))
	if !ok {
		return "", notGreeting(line)
	}
	if !isToken(rest) {
		return "", syntaxError(line)
	}
	return string(rest), nil
}

// notGreeting is what is wrong with a line that does not begin as a greeting does.
func notGreeting(line []byte) error {
	rest, ok := bytes.CutPrefix(line, []byte("FANOUT "))
	version, _, _ := bytes.Cut(rest, []byte{' '})
	if v, isNumber := number(version); ok && isNumber && v != 1 {
		return fmt.Errorf("%w %d, want 1", ErrVersion, v)
	}
	return syntaxError(line)
}

// ClientHello reads the dialler's HELLO. If it is an ERR instead, the error is
// a *RemoteError.
func (r *Reader) ClientHello() (Hello, error) {
	h, rest, err := r.hello(5)
	if err != nil {
		return Hello{}, err
	}
	if !isToken(rest[0]) || !isMAC(rest[1]) {
		return Hello{}, fmt.Errorf("%w: nonce or MAC of HELLO", ErrSyntax)
	}
	h.Nonce, h.MAC = string(rest[0]), string(rest[1])
	return h, nil
}

// ServerHello reads the acceptor's HELLO. If it is an ERR instead, the error
// is a *RemoteError.
func (r *Reader) ServerHello() (Hello, error) {
	h, rest, err := r.hello(4)
	if err != nil {
		return Hello{}, err
	}
	if !isMAC(rest[0]) {
		return Hello{}, fmt.Errorf("%w: MAC of HELLO", ErrSyntax)
	}
	h.MAC = string(rest[0])
	return h, nil
}

// hello reads a HELLO of that many fields, and returns those after the peer.
func (r *Reader) hello(fields int) (h Hello, rest [][]byte, err error) {
	line, err := r.line()
	if err != nil {
		return h, nil, err
	}
	if err := refusal(line); err != nil {
		return h, nil, err
	}
	f := bytes.Split(line, []byte{' '})
	if string(f[0]) != "HELLO" || len(f) != fields {
		return h, nil, syntaxError(line)
	}
	if h.Manifest, err = manifest.ParseID(string(f[1])); err != nil {
		return h, nil, fmt.Errorf("%w: manifest ID: %w", ErrSyntax, err)
	}
	h.Peer = string(f[2])
	if err := ValidPeerID(h.Peer); err != nil {
		return h, nil, err
	}
	return h, f[3:], nil
}

// refusal is the *RemoteError that the line holds, if it is an ERR.
func refusal(line []byte) error {
	m, err := parseMessage(line, 1)
	if err != nil || m.Kind != KindErr {
		return nil // not an ERR; the caller knows what it should be
	}
	return &RemoteError{Code: m.Code, Text: m.Text}
}

// Bye is the end of a session that the other side needs no more, and that it does not want to have
// again for so long. It is no failure.
type Bye struct{ For time.Duration }

// Error implements error.
func (b *Bye) Error() string {
	return fmt.Sprintf("the other side needs the session no more for %v", b.For)
}

// RemoteError is an ERR that came instead of a greeting or HELLO.
type RemoteError struct {
	Code string // one of the Code constants, or a newer one
	Text string // for people, one line
}

// Error implements error.
func (e *RemoteError) Error() string {
	return "the other side said ERR " + e.Code + " " + strconv.Quote(e.Text)
}

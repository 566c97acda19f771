package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrProtocol is matched by every error that is the other side's fault, but
// for a connection that ends.
var ErrProtocol = errors.New("chunk protocol violated")

// What exactly was wrong; each matches ErrProtocol.
var (
	ErrLineTooLong = fmt.Errorf("%w: line longer than %d bytes", ErrProtocol, MaxLine)
	ErrSyntax      = fmt.Errorf("%w: malformed line", ErrProtocol)
	ErrVersion     = fmt.Errorf("%w: unknown version", ErrProtocol)
	ErrPeerID      = fmt.Errorf("%w: invalid ID", ErrProtocol)
)

// ErrPayload is a mistake of the caller: the next line was asked for before
// the payload was consumed, or more of a payload than is left.
var ErrPayload = errors.New("payload not consumed exactly")

// bufferSize is small on purpose: it holds lines, and as little of a payload
// as possible, since that part is copied twice.
const bufferSize = 4096

// A Reader reads one side of a connection. It is not safe for concurrent use.
//
// It returns io.EOF where the connection ends between two messages, and
// io.ErrUnexpectedEOF where it ends within one; other errors of the connection
// are returned as they are. After an error in reading a line the Reader is of
// no more use.
type Reader struct {
	src     io.Reader
	version int // of the session
	length  int // of the last line, its end included
	buf     [bufferSize]byte
	r, w    int // buf[r:w] has been read from src and not been used
	pending int // payload bytes not consumed
}

// NewReader returns a Reader of src, for a session of version 1. It reads
// ahead by up to 4 KiB.
func NewReader(src io.Reader) *Reader { return &Reader{src: src, version: 1} }

// Speak makes the session one of that version: what came later is ErrSyntax.
func (r *Reader) Speak(version int) { r.version = version }

// Line is the length of the line that was read last, in bytes, its end included.
func (r *Reader) Line() int { return r.length }

// Next reads the next message. After BITS and DATA the payload must be
// consumed with ReadPayload or Discard before Next is called again. Only ERR,
// lists of HAVE and errors allocate.
func (r *Reader) Next() (Message, error) {
	if r.pending != 0 {
		return Message{}, fmt.Errorf("%w: %d bytes left", ErrPayload, r.pending)
	}
	line, err := r.line()
	if err != nil {
		return Message{}, err
	}
	m, err := parseMessage(line, r.version)
	if err != nil {
		return Message{}, err
	}
	if m.Kind == KindBits || m.Kind == KindData {
		r.pending = m.Bytes
	}
	return m, nil
}

// ReadPayload fills p with the next bytes of the payload. It may be called
// several times for one payload. It is ErrPayload if p is longer than what is
// left, and io.ErrUnexpectedEOF if the connection ends first.
func (r *Reader) ReadPayload(p []byte) error {
	if len(p) > r.pending {
		return fmt.Errorf("%w: %d bytes wanted, %d left", ErrPayload, len(p), r.pending)
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	r.pending -= n
	if n == len(p) {
		return nil
	}
	// The buffer is empty: the rest goes straight to its place.
	n, err := io.ReadFull(r.src, p[n:])
	r.pending -= n
	return unexpected(err)
}

// Discard consumes the next n bytes of the payload without keeping them. Its
// errors are those of ReadPayload.
func (r *Reader) Discard(n int) error {
	if n < 0 || n > r.pending {
		return fmt.Errorf("%w: %d bytes to discard, %d left", ErrPayload, n, r.pending)
	}
	for n > 0 {
		if r.r == r.w {
			if err := r.fill(); err != nil {
				return unexpected(err)
			}
		}
		k := min(n, r.w-r.r)
		r.r += k
		r.pending -= k
		n -= k
	}
	return nil
}

// line returns the next line without its end; it is valid until the next read.
func (r *Reader) line() ([]byte, error) {
	for seen := 0; ; {
		have := r.buf[r.r:r.w]
		if i := bytes.IndexByte(have[seen:], '\n'); i >= 0 {
			end := seen + i
			if end >= MaxLine {
				return nil, ErrLineTooLong
			}
			r.length = end + 1
			r.r += r.length
			return bytes.TrimSuffix(have[:end], []byte{'\r'}), nil
		}
		seen = len(have)
		if seen >= MaxLine {
			return nil, ErrLineTooLong
		}
		if err := r.fill(); err != nil {
			if seen > 0 {
				err = unexpected(err)
			}
			return nil, err
		}
	}
}

// fill reads at least one more byte. There is always room: a line that fills
// a quarter of the buffer is refused before.
func (r *Reader) fill() error {
	if r.r > 0 {
		r.w = copy(r.buf[:], r.buf[r.r:r.w])
		r.r = 0
	}
	for range 100 {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		if n > 0 {
			return nil // an error with data comes again
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// unexpected turns the end of the connection within a message into an error.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

package httpkit

import (
	"errors"
	"io"
	"net/http"
)

// SmallBody is how long the body of a request may be, bytes, if its call does not take more:
// ample for every JSON document that is no list of chunks or peers.
const SmallBody = 64 << 10

// bytesPerValue is how much of a long body stands for one JSON value at least. The longest
// documents that are sent are lists of digests; one of nothing but brackets and commas
// becomes a hundred times its length in memory when it is decoded.
const bytesPerValue = 64

var errDense = errors.New("it has more JSON values than any document of its length that this call takes")

// limitBody refuses a body that is longer than its call takes: before it is read where its
// length is stated, else when so much of it has been read.
func (d *Daemon) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit, ok := d.options.Bodies[r.Method+" "+routePattern(r)]
		if !ok {
			limit = SmallBody
		}
		if r.ContentLength > limit {
			w.Header().Set("Connection", "close")
			d.Render(w, r, tooLong(limit))
			return
		}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, r.Body, limit)
		}
		next.ServeHTTP(w, r)
	})
}

func tooLong(limit int64) *Error {
	return Errorf(http.StatusRequestEntityTooLarge, "the request body is longer than %d bytes, the most that this call takes", limit)
}

// isTooLong reports whether err comes from limitBody, and the limit in bytes.
func isTooLong(err error) (int64, bool) {
	var e *http.MaxBytesError
	if errors.As(err, &e) {
		return e.Limit, true
	}
	return 0, false
}

// sparse passes JSON on as long as it has no more values than its length allows.
type sparse struct {
	io.ReadCloser
	read, values      int64
	inString, escaped bool
}

func (s *sparse) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	for _, b := range p[:n] {
		s.count(b)
	}
	s.read += int64(n)
	if s.values > SmallBody+s.read/bytesPerValue {
		return 0, errDense
	}
	return n, err
}

// count looks at the next byte: each value but the outermost has a bracket, comma or colon
// before it.
func (s *sparse) count(b byte) {
	switch {
	case s.escaped:
		s.escaped = false
	case s.inString && b == '\\':
		s.escaped = true
	case b == '"':
		s.inString = !s.inString
	case !s.inString && (b == '[' || b == '{' || b == ',' || b == ':'):
		s.values++
	}
}

package httpkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// SmallBody is how long the body of a request may be, bytes, if its call does not take more:
// ample for every JSON document that is no list of chunks or peers.
const SmallBody = 64 << 10

// bytesPerValue is how much of a long body stands for one JSON value at least. The longest
// documents that are sent are lists of digests; one of nothing but brackets and commas
// becomes a hundred times its length in memory when it is decoded.
const bytesPerValue = 64

// longestValue is how long a single value may be, bytes: the longest that is sent is a bitmap
// of a million chunks.
const longestValue = 1 << 20

var (
	errDense = errors.New("the body has more JSON values than any document of its length that this call takes")
	errLong  = errors.New("the body has a longer value than any document that this call takes")
)

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
			body := &movingBody{ReadCloser: http.MaxBytesReader(w, r.Body, limit), ctx: r.Context(), conn: http.NewResponseController(w)}
			defer context.AfterFunc(r.Context(), body.stop)()
			r.Body = body
		}
		next.ServeHTTP(w, r)
	})
}

// bodyPause is how long nothing may come of a body.
const bodyPause = time.Minute

// movingBody is a body that fails when nothing comes of it for long, or the daemon stops.
type movingBody struct {
	io.ReadCloser
	ctx  context.Context
	conn *http.ResponseController
}

// Read implements io.Reader.
func (b *movingBody) Read(p []byte) (int, error) {
	_ = b.conn.SetReadDeadline(time.Now().Add(bodyPause))
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.ctx.Err() == nil {
		_ = b.conn.SetReadDeadline(time.Time{}) // what follows is the server's
	}
	return n, err
}

// stop ends a Read that waits.
func (b *movingBody) stop() { _ = b.conn.SetReadDeadline(time.Unix(1, 0)) }

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

// readJSON reads a body of one JSON document. It refuses what a decoder would take for
// something else than was sent: bytes and escapes that are no characters become U+FFFD there,
// and so another file's name; of two members of one name one is lost, as is what follows the
// document. A body without anything is none of its business.
func readJSON(body io.Reader) ([]byte, error) {
	var data document
	d := jsontext.NewDecoder(io.TeeReader(body, &data)) // which stops where it is refused
	data.decoder = d
	var syntax *jsontext.SyntacticError
	for values := int64(0); ; values++ {
		ended := values > 0 && d.StackDepth() == 0
		switch _, err := d.ReadToken(); {
		case errors.Is(err, io.EOF) && ended:
			return data.Bytes(), nil
		case errors.Is(err, io.EOF): // nothing but space
			return nil, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("the body is not JSON: it ends too early")
		case errors.Is(err, errLong):
			return nil, errLong
		case err != nil && !errors.As(err, &syntax): // the connection's, or limitBody's
			return nil, err
		case ended:
			return nil, errors.New("something follows the JSON document in the body")
		case err != nil:
			return nil, fmt.Errorf("the body is not JSON: %w at byte %d", syntax.Err, syntax.ByteOffset+1)
		case values > SmallBody+d.InputOffset()/bytesPerValue:
			return nil, errDense
		}
	}
}

// document is what a decoder has read, and not far beyond.
type document struct {
	bytes.Buffer
	decoder *jsontext.Decoder
}

func (d *document) Write(p []byte) (int, error) {
	if int64(d.Len()+len(p)) > d.decoder.InputOffset()+longestValue {
		return 0, errLong
	}
	return d.Buffer.Write(p)
}

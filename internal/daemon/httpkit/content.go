package httpkit

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ServeContent answers with content: the whole, or the one range of it that is asked for
// (RFC 9110, section 14), after the preconditions on its ETag. header has the ETag, the
// Content-Type and what else goes with it. Refusals are problem details, unlike those of
// http.ServeContent, which it relies on.
func (d *Daemon) ServeContent(w http.ResponseWriter, r *http.Request, header http.Header, content io.ReadSeeker) {
	size, err := content.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil {
		d.Render(w, r, err)
		return
	}
	c := &contentWriter{ResponseWriter: w, header: header.Clone()}
	r2 := *r
	r2.Header = r.Header.Clone()
	settleRange(&r2, size)
	http.ServeContent(c, &r2, "", time.Time{}, content)
	if c.refused == 0 {
		return
	}
	w.Header().Set("ETag", header.Get("ETag"))
	if c.refused == http.StatusPreconditionFailed {
		d.Render(w, r, Errorf(c.refused, "If-Match or If-None-Match does not fit: the ETag is %s", header.Get("ETag")))
		return
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
	d.Render(w, r, Errorf(c.refused, "the range has none of the %d bytes, or cannot be read: give one such as bytes=0-1023", size).WithField("Range"))
}

// contentWriter keeps back what http.ServeContent says of a refusal, and the headers that
// are about content then.
type contentWriter struct {
	http.ResponseWriter
	header  http.Header
	refused int // status
}

func (c *contentWriter) Header() http.Header { return c.header }

func (c *contentWriter) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		c.refused = status
		return
	}
	maps.Copy(c.ResponseWriter.Header(), c.header)
	c.ResponseWriter.WriteHeader(status)
	_ = http.NewResponseController(c.ResponseWriter).Flush() // the bytes may have to be waited for
}

func (c *contentWriter) Write(p []byte) (int, error) {
	if c.refused != 0 {
		return len(p), nil
	}
	return c.ResponseWriter.Write(p)
}

// settleRange leaves http.ServeContent a Range with one range that it answers rightly, or
// none. Several ranges are ignored, as the RFC permits: nobody needs them here, and small ones
// cost more than they bring. So is another unit, and a range of a HEAD, as it demands.
func settleRange(r *http.Request, size int64) {
	given := r.Header.Get("Range")
	unit, set, _ := strings.Cut(given, "=")
	specs := strings.FieldsFunc(set, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })
	if r.Method != http.MethodGet || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || len(specs) > 1 {
		r.Header.Del("Range")
		return
	}
	first, last := size, size // which has no byte
	if len(specs) == 1 {
		if a, b, ok := parseRange(specs[0], size); ok {
			first, last = a, b
		}
	}
	r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", first, last))
}

// parseRange is the first and the last byte that a range asks for: 0-1023, 1024-, or -1024
// for the last ones. It is false for one that has none, or cannot be read. http.ServeContent
// takes a suffix of no bytes for one that has some, and refuses a last byte beyond an int64.
func parseRange(spec string, size int64) (first, last int64, ok bool) {
	from, to, dash := strings.Cut(spec, "-")
	a, aOK := position(from, size)
	b, bOK := position(to, size)
	switch {
	case !dash || !aOK && from != "" || !bOK && to != "":
		return 0, 0, false
	case from == "": // a suffix; of nothing if to is empty too
		a, b = size-b, size-1
	case to == "":
		b = size - 1
	case a > b:
		return 0, 0, false
	}
	b = min(b, size-1)
	return a, b, a <= b
}

// position reads digits; more than most is most, however long.
func position(digits string, most int64) (int64, bool) {
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return most, true
	}
	return min(n, most), true
}

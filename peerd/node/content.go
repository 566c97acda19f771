package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"

	"fanout/api/peerapi"
	"fanout/internal/chunks/chunkstore"
	"fanout/internal/daemon/httpkit"
)

// content is the response with a download's bytes.
type content struct {
	r        *http.Request
	http     *httpkit.Daemon
	download *download
}

// VisitReadDownloadResponse serves the file, or a range of it, and waits for bytes that are
// not here yet.
func (c *content) VisitReadDownloadResponse(w http.ResponseWriter) error {
	d := c.download
	moved, stop := d.progress.Watch()
	defer stop()
	header := http.Header{"Content-Type": {"application/octet-stream"}, "Etag": {`"` + d.id.String() + `"`}}
	if disposition := mime.FormatMediaType("attachment", map[string]string{"filename": d.status.rec.File}); disposition != "" {
		header.Set("Content-Disposition", disposition)
	}
	reader := &reader{ctx: c.r.Context(), download: d, moved: moved}
	c.http.ServeContent(w, c.r, header, reader)
	if reader.err != nil {
		panic(http.ErrAbortHandler) // the response is cut short: it must not look whole
	}
	return nil
}

// reader reads a download in order, chunk by chunk as they come. It is an io.ReadSeeker.
type reader struct {
	ctx      context.Context
	download *download
	moved    <-chan struct{}
	off      int64
	err      error // why it had to stop before the end
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		offset += r.download.manifest.Size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek to %d", offset)
	}
	r.off = offset
	return offset, nil
}

// Read returns bytes of one chunk, for which it waits.
func (r *reader) Read(p []byte) (int, error) {
	m := r.download.manifest
	if r.off >= m.Size {
		return 0, io.EOF
	}
	chunk := int(r.off / m.ChunkSize)
	end := m.Offset(chunk) + int64(m.Length(chunk))
	p = p[:min(int64(len(p)), end-r.off)]
	for {
		n, err := r.readHere(p)
		if n > 0 { // an error, if there is one, comes again
			r.off += int64(n)
			return n, nil
		}
		if !errors.Is(err, errNotYet) {
			r.err = err
			return 0, err
		}
		select {
		case <-r.ctx.Done():
			r.err = r.ctx.Err()
			return 0, r.err
		case <-r.moved:
		}
	}
}

var errNotYet = errors.New("not here yet")

// readHere reads bytes that are here; errNotYet if they may still come.
func (r *reader) readHere(p []byte) (int, error) {
	d := r.download
	d.mu.Lock()
	store, state, gone := d.status.store, d.status.rec.State, d.status.gone
	d.mu.Unlock()
	switch {
	case gone:
		return 0, errors.New("the download was deleted")
	case over(state) && state != peerapi.DownloadStateComplete:
		return 0, fmt.Errorf("the download is %s", state)
	case store == nil: // not open yet: what is complete is hashed first after a restart
		return 0, errNotYet
	}
	n, err := store.ReadAt(p, r.off)
	if errors.Is(err, chunkstore.ErrNotHeld) || errors.Is(err, os.ErrClosed) { // it is hashed again, or has ended
		err = errNotYet
	}
	return n, err
}

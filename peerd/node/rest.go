package node

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/daemon/httpkit"
)

// longestWait bounds Prefer: wait.
const longestWait = 24 * time.Hour

// control answers the control interface. It implements peerapi.StrictServerInterface.
type control struct{ node *Node }

func (c *control) routes() {
	n := c.node
	strict := peerapi.NewStrictHandlerWithOptions(c, []peerapi.StrictMiddlewareFunc{withRequest},
		peerapi.StrictHTTPServerOptions{RequestErrorHandlerFunc: n.http.RenderRequest, ResponseErrorHandlerFunc: n.http.Render})
	peerapi.HandlerWithOptions(strict, peerapi.ChiServerOptions{BaseRouter: n.http.API(), ErrorHandlerFunc: n.http.RenderRequest})
}

// current finds a download, and looks at its file if it is complete.
func (c *control) current(id string) (*download, error) {
	d, err := c.node.downloads.find(id)
	if err == nil {
		d.look()
	}
	return d, err
}

// StartDownload implements POST /v1/downloads.
func (c *control) StartDownload(ctx context.Context, r peerapi.StartDownloadRequestObject) (peerapi.StartDownloadResponseObject, error) {
	wait, err := preferredWait(r.Params.Prefer)
	if err != nil {
		return nil, err
	}
	d, err := c.node.start(ctx, *r.Body)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		d.await(ctx, wait)
	}
	v := d.view()
	location := "/v1/downloads/" + url.PathEscape(v.Id)
	if over(v.State) {
		return peerapi.StartDownload200JSONResponse{Body: v, Headers: peerapi.StartDownload200ResponseHeaders{Location: &location}}, nil
	}
	return peerapi.StartDownload202JSONResponse{Body: v, Headers: peerapi.StartDownload202ResponseHeaders{Location: &location}}, nil
}

// preferredWait reads the header Prefer (RFC 7240); preferences that it does not know are
// ignored, as the RFC says.
func preferredWait(prefer *string) (time.Duration, error) {
	if prefer == nil {
		return 0, nil
	}
	for p := range strings.FieldsFuncSeq(*prefer, func(r rune) bool { return r == ',' || r == ';' }) {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 32)
		if err != nil {
			return 0, httpkit.Errorf(http.StatusBadRequest, "Prefer: %s: give the seconds to wait, such as wait=30", *prefer).WithField("Prefer")
		}
		return min(time.Duration(seconds)*time.Second, longestWait), nil
	}
	return 0, nil
}

// await returns when the download is over, or after a time.
func (d *download) await(ctx context.Context, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	moved, stop := d.progress.Watch()
	defer stop()
	for !over(d.record().State) {
		select {
		case <-ctx.Done():
			return
		case <-moved:
		}
	}
}

// ListDownloads implements GET /v1/downloads.
func (c *control) ListDownloads(context.Context, peerapi.ListDownloadsRequestObject) (peerapi.ListDownloadsResponseObject, error) {
	list := peerapi.ListDownloads200JSONResponse{Downloads: []peerapi.Download{}}
	for _, d := range c.node.downloads.all() {
		d.look()
		list.Downloads = append(list.Downloads, d.view())
	}
	return list, nil
}

// GetDownload implements GET /v1/downloads/{id}.
func (c *control) GetDownload(_ context.Context, r peerapi.GetDownloadRequestObject) (peerapi.GetDownloadResponseObject, error) {
	d, err := c.current(r.Id)
	if err != nil {
		return nil, err
	}
	return peerapi.GetDownload200JSONResponse(d.view()), nil
}

// DeleteDownload implements DELETE /v1/downloads/{id}.
func (c *control) DeleteDownload(_ context.Context, r peerapi.DeleteDownloadRequestObject) (peerapi.DeleteDownloadResponseObject, error) {
	d, err := c.current(r.Id)
	if err != nil {
		return nil, err
	}
	d.removeIf(func(*record) bool { return true }, nil)
	return peerapi.DeleteDownload204Response{}, nil
}

// PauseDownload implements POST /v1/downloads/{id}/pause.
func (c *control) PauseDownload(_ context.Context, r peerapi.PauseDownloadRequestObject) (peerapi.PauseDownloadResponseObject, error) {
	d, err := c.current(r.Id)
	if err == nil {
		err = d.pause()
	}
	if err != nil {
		return nil, err
	}
	return peerapi.PauseDownload200JSONResponse(d.view()), nil
}

// ResumeDownload implements POST /v1/downloads/{id}/resume.
func (c *control) ResumeDownload(_ context.Context, r peerapi.ResumeDownloadRequestObject) (peerapi.ResumeDownloadResponseObject, error) {
	d, err := c.current(r.Id)
	if err == nil {
		err = d.resume()
	}
	if err != nil {
		return nil, err
	}
	return peerapi.ResumeDownload200JSONResponse(d.view()), nil
}

// WatchDownload implements GET /v1/downloads/{id}/events.
func (c *control) WatchDownload(ctx context.Context, r peerapi.WatchDownloadRequestObject) (peerapi.WatchDownloadResponseObject, error) {
	d, err := c.current(r.Id)
	if err != nil {
		return nil, err
	}
	return &events{requestOf(ctx), d}, nil
}

// ReadDownload implements GET /v1/downloads/{id}/content.
func (c *control) ReadDownload(ctx context.Context, r peerapi.ReadDownloadRequestObject) (peerapi.ReadDownloadResponseObject, error) {
	d, err := c.current(r.Id)
	if err != nil {
		return nil, err
	}
	if s := d.record().State; !active(s) && s != peerapi.DownloadStateComplete {
		return nil, httpkit.Errorf(http.StatusConflict, "download %s is %s: resume it or start it again", r.Id, s)
	}
	return &content{requestOf(ctx), c.node.http, d}, nil
}

type requestKey struct{}

// withRequest lets a handler get at the request, which content and events need.
func withRequest(next peerapi.StrictHandlerFunc, _ string) peerapi.StrictHandlerFunc {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		return next(context.WithValue(ctx, requestKey{}, r), w, r, request)
	}
}

func requestOf(ctx context.Context) *http.Request { return ctx.Value(requestKey{}).(*http.Request) }

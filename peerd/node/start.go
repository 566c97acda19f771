package node

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/trackerclient"
)

// downloadID is what a download is called: there is one for a manifest.
func downloadID(id manifest.ID) string { return id.String()[:16] }

// start begins a download, or finds the one that there is.
func (n *Node) start(ctx context.Context, req peerapi.DownloadRequest) (*download, error) {
	d, err := n.startFor(ctx, req, "")
	if err == nil {
		d.want()
	}
	return d, err
}

// startFor is start for a rollout, unless that is empty.
func (n *Node) startFor(ctx context.Context, req peerapi.DownloadRequest, rollout string) (*download, error) {
	for {
		m, err := n.wanted(ctx, req.File)
		if err != nil {
			return nil, err
		}
		rec, err := n.newRecord(req, m)
		if err != nil {
			return nil, err
		}
		rec.Rollout = rollout
		d, found, err := n.enter(rec, m)
		if found {
			err = d.again(rec, req.Output == nil)
		}
		if !errors.Is(err, errForgotten) {
			return d, err
		}
	}
}

// wanted is the manifest of a file that is asked for by name or manifest ID: that of a
// download which there is already, or the tracker's. While the tracker does not answer, a
// name means the file that was last begun under it.
func (n *Node) wanted(ctx context.Context, file string) (*manifest.Manifest, error) {
	id, err := manifest.ParseID(file)
	if err != nil {
		published, err := n.cfg.Tracker.File(ctx, file)
		if d := n.downloads.named(file); trackerclient.Temporary(err) && d != nil {
			return d.manifest, nil
		}
		if err == nil {
			id, err = manifest.ParseID(published.ManifestId)
		}
		if err != nil {
			return nil, explainTracker(err)
		}
	}
	if d, err := n.downloads.find(downloadID(id)); err == nil && d.id == id {
		return d.manifest, nil
	}
	m, _, err := n.cfg.Tracker.Manifest(ctx, id.String())
	if err != nil {
		return nil, explainTracker(err)
	}
	return m, nil
}

func (n *Node) newRecord(req peerapi.DownloadRequest, m *manifest.Manifest) (record, error) {
	output, err := n.outputs.check(*cmp.Or(req.Output, &m.Name))
	if err != nil {
		return record{}, err
	}
	return record{
		Format: format, ID: downloadID(m.ID()), File: m.Name, Manifest: m.Encode(), Output: output,
		Strategy: *cmp.Or(req.Strategy, new(peerapi.StrategySwarm)), SHA256: strings.ToLower(*cmp.Or(req.Sha256, new(string))),
		State: peerapi.DownloadStateQueued, Started: time.Now(),
	}, nil
}

// enter puts a new download on the list and launches it, or finds the one that there is.
func (n *Node) enter(rec record, m *manifest.Manifest) (d *download, found bool, err error) {
	l := n.downloads
	l.mu.Lock()
	defer l.mu.Unlock()
	if d, ok := l.byID[rec.ID]; ok {
		return d, true, nil
	}
	if err := l.claim(rec.Output, nil); err != nil {
		return nil, false, err
	}
	if err := n.outputs.checkFree(rec.Output, m.Size); err != nil {
		return nil, false, err
	}
	d = newDownload(n, rec, m)
	d.anew = true
	l.add(d)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.save()
	d.launch()
	return d, false, nil
}

// explainTracker turns an error of the tracker's into one of the control interface's.
func explainTracker(err error) error {
	var problem *trackerclient.Error
	switch {
	case errors.Is(err, trackerclient.ErrUnreachable):
		return httpkit.Errorf(http.StatusServiceUnavailable, "%w: start the tracker, or correct --tracker", err)
	case errors.As(err, &problem) && problem.Status < 500 && !errors.Is(err, trackerclient.ErrForeign):
		return &httpkit.Error{Status: problem.Status, Detail: problem.Error(), Field: "file", Err: err}
	}
	return httpkit.Errorf(http.StatusBadGateway, "%w", err)
}

package node

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/chunkstore"
	"fanout/internal/httpkit"
	"fanout/internal/manifest"
	"fanout/internal/trackerclient"
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
	m, id, err := n.cfg.Tracker.Manifest(ctx, req.File)
	if err != nil {
		return nil, explainTracker(err)
	}
	output := m.Name
	if req.Output != nil {
		output = *req.Output
	}
	if output, err = n.checkOutput(output); err != nil {
		return nil, err
	}
	rec := record{
		ID: downloadID(id), File: m.Name, Manifest: m.Encode(), Strategy: peerapi.StrategySwarm, Output: output,
		State: peerapi.DownloadStateQueued, Started: time.Now(), Rollout: rollout,
	}
	if req.Strategy != nil {
		rec.Strategy = *req.Strategy
	}
	if req.Sha256 != nil {
		rec.SHA256 = strings.ToLower(*req.Sha256)
	}
	for {
		d, found, err := n.enter(rec, m)
		if found {
			err = d.again(rec, req.Output == nil)
		}
		if !errors.Is(err, errForgotten) {
			return d, err
		}
	}
}

// enter puts a new download on the list and launches it, or finds the one that there is.
func (n *Node) enter(rec record, m *manifest.Manifest) (d *download, found bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if d, ok := n.downloads[rec.ID]; ok {
		return d, true, nil
	}
	for _, o := range n.order {
		if active(o.state()) && o.output() == rec.Output {
			return nil, false, httpkit.Errorf(http.StatusConflict, "download %s of other content is writing %s: wait for it, delete it, or give another output", o.rec.ID, rec.Output).WithField("output")
		}
	}
	d = newDownload(n, rec, m)
	n.downloads[rec.ID] = d
	n.order = append(n.order, d)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.save()
	d.launch()
	return d, false, nil
}

// checkOutput returns the output path relative to the data directory.
func (n *Node) checkOutput(path string) (string, error) {
	rel, err := chunkstore.CheckPath(n.root, path)
	if err == nil && (rel == stateDir || strings.HasPrefix(rel, stateDir+string(filepath.Separator))) {
		err = errors.New("output " + path + ": " + stateDir + " is peerd's own: choose another path")
	}
	if err != nil {
		return "", httpkit.Errorf(http.StatusBadRequest, "%w", err).WithField("output")
	}
	return rel, nil
}

// explainTracker turns an error of the tracker's into one of the control interface's.
func explainTracker(err error) error {
	var problem *trackerclient.Error
	switch {
	case errors.Is(err, trackerclient.ErrUnreachable):
		return httpkit.Errorf(http.StatusServiceUnavailable, "%w: start the tracker, or correct --tracker", err)
	case errors.As(err, &problem) && problem.Status < 500:
		return &httpkit.Error{Status: problem.Status, Detail: problem.Error(), Field: "file", Err: err}
	}
	return httpkit.Errorf(http.StatusBadGateway, "%w", err)
}

package fleet

import (
	"context"
	"fmt"
	"time"

	"fanout/api/peerapi"
)

// waitEvery is the pause between two looks at a download; its times are the daemon's own,
// so this does not blur them.
const waitEvery = 50 * time.Millisecond

// Download starts a download and returns it as it is then. What the peer refuses is a
// *Problem.
func (p *Peer) Download(ctx context.Context, request peerapi.DownloadRequest) (peerapi.Download, error) {
	r, err := p.API().StartDownloadWithResponse(ctx, nil, request)
	if err != nil {
		return peerapi.Download{}, fmt.Errorf("start download at %s: %w", p.name, err)
	}
	switch {
	case r.JSON202 != nil:
		return *r.JSON202, nil
	case r.JSON200 != nil:
		return *r.JSON200, nil
	}
	return peerapi.Download{}, fmt.Errorf("start download at %s: %w", p.name, problem(r.StatusCode(), r.Body))
}

// Get is a download as it is now.
func (p *Peer) Get(ctx context.Context, id string) (peerapi.Download, error) {
	r, err := p.API().GetDownloadWithResponse(ctx, id)
	if err != nil {
		return peerapi.Download{}, fmt.Errorf("download at %s: %w", p.name, err)
	}
	if r.JSON200 == nil {
		return peerapi.Download{}, fmt.Errorf("download at %s: %w", p.name, problem(r.StatusCode(), r.Body))
	}
	return *r.JSON200, nil
}

// Delete cancels or forgets a download.
func (p *Peer) Delete(ctx context.Context, id string) error {
	r, err := p.API().DeleteDownloadWithResponse(ctx, id)
	if err != nil {
		return fmt.Errorf("delete download at %s: %w", p.name, err)
	}
	if r.StatusCode() != 204 {
		return fmt.Errorf("delete download at %s: %w", p.name, problem(r.StatusCode(), r.Body))
	}
	return nil
}

// Await waits until a download is as wanted, and returns it as it was then. One that has
// ended otherwise, and a peer that does not answer, are errors.
func (p *Peer) Await(ctx context.Context, id string, wanted func(peerapi.Download) bool) (peerapi.Download, error) {
	for {
		d, err := p.Get(ctx, id)
		switch {
		case err != nil:
			return d, err
		case wanted(d):
			return d, nil
		case Ended(d):
			return d, fmt.Errorf("download %s at %s: %s: %s", d.File, p.name, d.State, Trouble(d))
		}
		select {
		case <-ctx.Done():
			return d, fmt.Errorf("download %s at %s: %w while %s with %d of %d chunks: %s",
				d.File, p.name, ctx.Err(), d.State, d.ChunksDone, d.ChunksTotal, Trouble(d))
		case <-time.After(waitEvery):
		}
	}
}

// Wait waits until a download has ended, well or not.
func (p *Peer) Wait(ctx context.Context, id string) (peerapi.Download, error) {
	return p.Await(ctx, id, Ended)
}

// Complete waits until a download is complete; that it ended otherwise is an error.
func (p *Peer) Complete(ctx context.Context, id string) (peerapi.Download, error) {
	return p.Await(ctx, id, func(d peerapi.Download) bool { return d.State == peerapi.DownloadStateComplete })
}

// Took is the time from a moment shortly before a download was begun until it ended: its own
// duration, since times of day may be set in between.
func Took(from time.Time, d peerapi.Download) time.Duration {
	took := max(0, d.StartedAt.Sub(from))
	if d.DurationSeconds != nil {
		took += time.Duration(*d.DurationSeconds * float64(time.Second))
	}
	return took
}

// Ended says whether a download is complete, failed or cancelled.
func Ended(d peerapi.Download) bool {
	switch d.State {
	case peerapi.DownloadStateComplete, peerapi.DownloadStateFailed, peerapi.DownloadStateCancelled:
		return true
	}
	return false
}

// Trouble is why a download failed, or what it waits for.
func Trouble(d peerapi.Download) string {
	if d.Error == nil {
		return "no trouble reported"
	}
	return *d.Error
}

package trackerclient

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"fanout/api/trackerapi"
)

// Peers lists the fleet.
func (c *Client) Peers(ctx context.Context) (*trackerapi.PeerList, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.api.ListPeersWithResponse(ctx)
	if err := c.check(r, err, err == nil && r.JSON200 != nil); err != nil {
		return nil, fmt.Errorf("list peers: %w", err)
	}
	return r.JSON200, nil
}

// PutRollout asks peers for a file, given by name or manifest ID. An *Error with the field
// peers is about peers that are unknown (422) or do not follow rollouts (409).
func (c *Client) PutRollout(ctx context.Context, file string, q trackerapi.RolloutRequest) (*trackerapi.Rollout, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.api.PutRolloutWithResponse(ctx, file, q)
	var v *trackerapi.Rollout
	if err == nil {
		if v = r.JSON201; v == nil {
			v = r.JSON200
		}
	}
	if err := c.check(r, err, v != nil); err != nil {
		return nil, fmt.Errorf("roll out %q: %w", file, err)
	}
	return v, nil
}

// Rollout tells how far a rollout is. ErrNotFound, ErrGone.
func (c *Client) Rollout(ctx context.Context, file string) (*trackerapi.Rollout, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.api.GetRolloutWithResponse(ctx, file)
	if err := c.check(r, err, err == nil && r.JSON200 != nil); err != nil {
		return nil, fmt.Errorf("rollout of %q: %w", file, err)
	}
	return r.JSON200, nil
}

// EndRollout ends a rollout. ErrNotFound, ErrGone.
func (c *Client) EndRollout(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.api.DeleteRolloutWithResponse(ctx, file)
	if err := c.check(r, err, err == nil && r.StatusCode() == http.StatusNoContent); err != nil {
		return fmt.Errorf("end rollout of %q: %w", file, err)
	}
	return nil
}

// PeerRollouts tells what a peer that follows rollouts should have. If that is what known
// says, the version of an earlier answer, it waits for a change. ErrNotFound: the peer has
// never been registered. An *Error with status 409: another
// process than this instance has the ID.
func (c *Client) PeerRollouts(ctx context.Context, id, instance, known string, wait time.Duration) (*trackerapi.PeerRollouts, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+callTimeout)
	defer cancel()
	seconds := int(wait / time.Second)
	q := trackerapi.PeerRolloutsParams{Wait: &seconds, Known: &known}
	if instance != "" {
		q.Instance = &instance
	}
	r, err := c.api.PeerRolloutsWithResponse(ctx, id, &q)
	if err := c.check(r, err, err == nil && r.JSON200 != nil); err != nil {
		return nil, fmt.Errorf("rollouts for peer %s: %w", id, err)
	}
	return r.JSON200, nil
}

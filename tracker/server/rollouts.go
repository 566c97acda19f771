package server

import (
	"context"
	"time"

	"fanout/api/trackerapi"
	"fanout/tracker/table"
)

// rolloutCalls are the calls about what is asked of peers.
type rolloutCalls struct {
	rollouts *table.Rollouts
	fleet    *table.Fleet
}

// PutRollout implements PUT /v1/files/{name}/rollout.
func (c *rolloutCalls) PutRollout(_ context.Context, r trackerapi.PutRolloutRequestObject) (trackerapi.PutRolloutResponseObject, error) {
	q := value(r.Body) // none at all is fine
	v, created, err := c.rollouts.Put(r.Name, table.RolloutRequest{
		Peers: value(q.Peers), Strategy: table.Strategy(value(q.Strategy)), SHA256: value(q.Sha256),
	})
	if err != nil {
		return nil, err
	}
	if created {
		return trackerapi.PutRollout201JSONResponse(rolloutModel(v, true)), nil
	}
	return trackerapi.PutRollout200JSONResponse(rolloutModel(v, true)), nil
}

// GetRollout implements GET /v1/files/{name}/rollout.
func (c *rolloutCalls) GetRollout(_ context.Context, r trackerapi.GetRolloutRequestObject) (trackerapi.GetRolloutResponseObject, error) {
	v, err := c.rollouts.Get(r.Name)
	if err != nil {
		return nil, err
	}
	return trackerapi.GetRollout200JSONResponse(rolloutModel(v, true)), nil
}

// DeleteRollout implements DELETE /v1/files/{name}/rollout.
func (c *rolloutCalls) DeleteRollout(_ context.Context, r trackerapi.DeleteRolloutRequestObject) (trackerapi.DeleteRolloutResponseObject, error) {
	if err := c.rollouts.End(r.Name); err != nil {
		return nil, err
	}
	return trackerapi.DeleteRollout204Response{}, nil
}

// ListRollouts implements GET /v1/rollouts.
func (c *rolloutCalls) ListRollouts(context.Context, trackerapi.ListRolloutsRequestObject) (trackerapi.ListRolloutsResponseObject, error) {
	list := trackerapi.ListRollouts200JSONResponse{Rollouts: []trackerapi.Rollout{}}
	for _, v := range c.rollouts.List() {
		list.Rollouts = append(list.Rollouts, rolloutModel(v, false))
	}
	return list, nil
}

// PeerRollouts implements GET /v1/peers/{id}/rollouts.
func (c *rolloutCalls) PeerRollouts(ctx context.Context, r trackerapi.PeerRolloutsRequestObject) (trackerapi.PeerRolloutsResponseObject, error) {
	instance := value(r.Params.Instance)
	if err := c.fleet.Speak(r.Id, instance); err != nil {
		return nil, err
	}
	timeout := time.NewTimer(time.Duration(value(r.Params.Wait)) * time.Second)
	defer timeout.Stop()
	for {
		orders, err := c.rollouts.Orders(r.Id)
		if err != nil {
			return nil, err
		}
		answer := trackerapi.PeerRollouts200JSONResponse{Version: orders.Version, Rollouts: orderModels(orders.List)}
		if orders.Version != value(r.Params.Known) || c.fleet.Superseded(r.Id, instance) { // a peer that lives asks again
			return answer, nil
		}
		select {
		case <-orders.Changed:
		case <-timeout.C:
			return answer, nil
		case <-ctx.Done(): // the peer has gone, or the tracker stops
			return answer, nil
		}
	}
}

func orderModels(orders []table.Order) []trackerapi.PeerRollout {
	models := make([]trackerapi.PeerRollout, len(orders))
	for i, o := range orders {
		models[i] = trackerapi.PeerRollout{
			Id: o.ID, File: o.Name, ManifestId: o.Manifest.String(), Strategy: trackerapi.Strategy(o.Strategy),
			Sha256: optional(o.SHA256),
		}
	}
	return models
}

func rolloutModel(v table.RolloutView, withPeers bool) trackerapi.Rollout {
	m := trackerapi.Rollout{
		Id: v.ID, File: v.Name, ManifestId: v.Manifest.String(), Size: v.Size, ChunksTotal: v.Chunks,
		Strategy: trackerapi.Strategy(v.Strategy), Sha256: optional(v.SHA256), AllPeers: v.All,
		StartedAt: v.Started.UTC(), Asked: len(v.Peers), Complete: v.Complete, Failed: v.Failed,
		Running: v.Running, Pending: v.Pending, BytesDone: v.BytesDone,
		BytesFromOrigin: v.BytesFromOrigin, BytesFromPeers: v.BytesFromPeers,
		OriginBytesSent: v.OriginSent, OriginRatio: v.OriginRatio(), OriginsReportedAt: optionalTime(v.OriginsReported),
	}
	if v.Complete > 0 {
		seconds := v.Duration.Seconds()
		m.DurationSeconds = &seconds
	}
	if withPeers {
		peers := make([]trackerapi.RolloutPeer, len(v.Peers))
		for i, p := range v.Peers {
			peers[i] = rolloutPeerModel(p)
		}
		m.Peers = &peers
	}
	return m
}

func rolloutPeerModel(p table.RolloutPeer) trackerapi.RolloutPeer {
	m := trackerapi.RolloutPeer{
		Id: p.ID, Online: p.Online, State: trackerapi.RolloutState(p.State), AskedAt: optionalTime(p.AskedAt),
		BeganAt: optionalTime(p.BeganAt), FinishedAt: optionalTime(p.FinishedAt), ChunksDone: p.Chunks, BytesDone: p.Bytes,
		BytesFromOrigin: p.FromOrigin, BytesFromPeers: p.FromPeers,
		RateBytesPerSecond: optional(p.Rate), Error: optional(p.Error),
	}
	if !p.FinishedAt.IsZero() {
		began := p.BeganAt
		if began.IsZero() { // of a tracker that did not keep it
			began = p.AskedAt
		}
		seconds := max(0, p.FinishedAt.Sub(began).Seconds())
		m.DurationSeconds = &seconds
	}
	return m
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

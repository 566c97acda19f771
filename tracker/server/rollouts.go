package server

import (
	"context"
	"errors"

	"fanout/api/trackerapi"
)

var errNotYet = errors.New("rollouts are not implemented yet")

// PutRollout implements PUT /v1/files/{name}/rollout.
func (s *Server) PutRollout(_ context.Context, r trackerapi.PutRolloutRequestObject) (trackerapi.PutRolloutResponseObject, error) {
	return nil, errNotYet
}

// GetRollout implements GET /v1/files/{name}/rollout.
func (s *Server) GetRollout(_ context.Context, r trackerapi.GetRolloutRequestObject) (trackerapi.GetRolloutResponseObject, error) {
	return nil, errNotYet
}

// DeleteRollout implements DELETE /v1/files/{name}/rollout.
func (s *Server) DeleteRollout(_ context.Context, r trackerapi.DeleteRolloutRequestObject) (trackerapi.DeleteRolloutResponseObject, error) {
	return nil, errNotYet
}

// ListRollouts implements GET /v1/rollouts.
func (s *Server) ListRollouts(context.Context, trackerapi.ListRolloutsRequestObject) (trackerapi.ListRolloutsResponseObject, error) {
	return nil, errNotYet
}

// PeerRollouts implements GET /v1/peers/{id}/rollouts.
func (s *Server) PeerRollouts(_ context.Context, r trackerapi.PeerRolloutsRequestObject) (trackerapi.PeerRolloutsResponseObject, error) {
	return nil, errNotYet
}

package server

import (
	"context"

	"fanout/api/trackerapi"
	"fanout/tracker/feed"
)

// ListDistributions implements GET /v1/distributions.
func (s *Server) ListDistributions(context.Context, trackerapi.ListDistributionsRequestObject) (trackerapi.ListDistributionsResponseObject, error) {
	list := []trackerapi.Distribution{}
	for _, d := range s.table.Distributions.List() {
		list = append(list, feed.Distribution(d))
	}
	return trackerapi.ListDistributions200JSONResponse{Distributions: list}, nil
}

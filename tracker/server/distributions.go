package server

import (
	"context"

	"fanout/api/trackerapi"
	"fanout/tracker/feed"
	"fanout/tracker/table"
)

// distributionCalls is the call about what is, or was, on its way.
type distributionCalls struct{ distributions *table.Distributions }

// ListDistributions implements GET /v1/distributions.
func (c *distributionCalls) ListDistributions(context.Context, trackerapi.ListDistributionsRequestObject) (trackerapi.ListDistributionsResponseObject, error) {
	list := []trackerapi.Distribution{}
	for _, d := range c.distributions.List() {
		list = append(list, feed.Distribution(d))
	}
	return trackerapi.ListDistributions200JSONResponse{Distributions: list}, nil
}

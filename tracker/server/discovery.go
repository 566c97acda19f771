package server

import (
	"context"

	"fanout/api/trackerapi"
	"fanout/tracker/table"
)

// discoveryCalls is the call of Prometheus.
type discoveryCalls struct {
	origins *table.Origins
	fleet   *table.Fleet
}

// ServiceDiscovery implements GET /v1/sd. The tracker lists itself under the address at which
// Prometheus has reached it.
func (c *discoveryCalls) ServiceDiscovery(ctx context.Context, _ trackerapi.ServiceDiscoveryRequestObject) (trackerapi.ServiceDiscoveryResponseObject, error) {
	groups := []trackerapi.TargetGroup{}
	add := func(role, id, address string) {
		groups = append(groups, trackerapi.TargetGroup{
			Targets: []string{address}, Labels: map[string]string{"role": role, "id": id},
		})
	}
	if host := requestOf(ctx).Host; host != "" {
		add("tracker", "tracker", host)
	}
	for _, d := range c.origins.Daemons() {
		add("origin", d.ID, d.HTTPAddress)
	}
	for _, d := range c.fleet.Daemons() {
		add("peer", d.ID, d.HTTPAddress)
	}
	return trackerapi.ServiceDiscovery200JSONResponse(groups), nil
}

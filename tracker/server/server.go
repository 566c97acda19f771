package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fanout"
	"fanout/api/trackerapi"
	"fanout/internal/daemon/httpkit"
	"fanout/tracker/feed"
	"fanout/tracker/page"
	"fanout/tracker/table"
)

// Server implements the calls with the tag `tracker` of the contract, each kind by a type that
// has no more of the table than it needs.
type Server struct {
	fileCalls
	announceCalls
	chunkCalls
	peerCalls
	rolloutCalls
	distributionCalls
	eventCalls
	discoveryCalls
}

var _ trackerapi.StrictServerInterface = (*Server)(nil)

// NewHandler makes the tracker's handler with every route: of c it takes what is not
// the listener's or the store's. It registers metrics, once a registry.
func NewHandler(t *table.Table, c Config) (http.Handler, error) {
	d, err := httpkit.New(httpkit.Options{
		Name: "tracker", Logger: c.Logger, Registry: c.Registry, Contract: fanout.OpenAPI, Map: statusOf,
		AllowHosts: c.AllowHosts, Bodies: bodies,
		Quiet: []string{"POST /v1/files/{name}/announce", "PUT /v1/peers/{id}"},
	})
	if err != nil {
		return nil, err
	}
	announces := newAnnounceCounter()
	t.OnClash(func(clash table.Clash) {
		c.Logger.Warn().Str("role", clash.Role).Str("id", clash.ID).Stringer("keeps", clash.Keeps).Stringer("refused", clash.IsRefused).Msg(clash.String())
	})
	distributions := newDistributionMetrics()
	t.Distributions.OnFinished(distributions.observe)
	for _, m := range []prometheus.Collector{
		announces, distributions.durations, distributions.ratios,
		tableCollector{t.Files, t.Fleet, t.Distributions, newLabelPlaces(time.Now)},
	} {
		if err := c.Registry.Register(m); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	strict := trackerapi.NewStrictHandlerWithOptions(newServer(t, announces), []trackerapi.StrictMiddlewareFunc{withRequest},
		trackerapi.StrictHTTPServerOptions{
			RequestErrorHandlerFunc: d.RenderRequest, ResponseErrorHandlerFunc: d.Render,
		})
	trackerapi.HandlerWithOptions(strict, trackerapi.ChiServerOptions{
		BaseRouter: d.API(), ErrorHandlerFunc: d.RenderRequest,
	})
	return d, page.Mount(d.Router(), d.ServeContent, d.NotFound)
}

func newServer(t *table.Table, announces *prometheus.CounterVec) *Server {
	lease, interval, viewers := t.Lease(), t.Interval(), feed.New(t.Overview)
	return &Server{
		fileCalls{t.Files, t.Origins, lease},
		announceCalls{t.Origins, t.Swarms, viewers, lease, interval, announces},
		chunkCalls{t.Chunks},
		peerCalls{t.Fleet, t.Swarms, lease, interval},
		rolloutCalls{t.Rollouts, t.Fleet},
		distributionCalls{t.Distributions},
		eventCalls{viewers},
		discoveryCalls{t.Origins, t.Fleet},
	}
}

type requestKey struct{}

// withRequest lets ServiceDiscovery know how its client calls this tracker, and WatchSwarms the
// method: the generated code passes the context, but not the request.
func withRequest(next trackerapi.StrictHandlerFunc, _ string) trackerapi.StrictHandlerFunc {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		return next(context.WithValue(ctx, requestKey{}, r), w, r, request)
	}
}

func requestOf(ctx context.Context) *http.Request { return ctx.Value(requestKey{}).(*http.Request) }

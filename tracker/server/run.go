package server

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"fanout/internal/daemon/httpkit"
	"fanout/tracker/store"
	"fanout/tracker/table"
)

// Config of a tracker.
type Config struct {
	Listener net.Listener // closed by Run
	Store    store.Store  // closed by Run
	Lease    time.Duration
	// AllowHosts as httpkit.Options has it.
	AllowHosts []string
	Logger     zerolog.Logger
	Registry   *prometheus.Registry
	Now        func() time.Time
	Rand       *rand.Rand
}

// Run is a tracker until ctx ends.
func Run(ctx context.Context, c Config) (err error) {
	defer func() { err = errors.Join(err, c.Store.Close()) }()
	t, err := table.New(table.Options{Lease: c.Lease, Store: c.Store, Now: c.Now, Rand: c.Rand})
	if err != nil {
		return errors.Join(err, c.Listener.Close())
	}
	handler, err := NewHandler(t, c)
	if err != nil {
		return errors.Join(err, c.Listener.Close())
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return httpkit.Serve(ctx, c.Listener, handler, httpkit.DefaultShutdownTimeout) })
	g.Go(func() error { sweep(ctx, t, c.Logger); return nil })
	c.Logger.Info().Str("url", "http://"+c.Listener.Addr().String()).
		Int("files", len(t.Files.List())).Stringer("lease", t.Lease()).Msg("tracker ready")
	err = errors.Join(g.Wait(), t.Rollouts.Save())
	c.Logger.Info().Msg("tracker stopped")
	return err
}

// sweep clears away what has run out, as often as a lease is renewed.
func sweep(ctx context.Context, t *table.Table, log zerolog.Logger) {
	tick := time.NewTicker(t.Interval())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := t.Sweep(); err != nil {
				log.Warn().Err(err).Msg("sweep failed")
			}
		}
	}
}

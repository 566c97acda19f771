// Package server is the origin: it digests files, publishes them at the tracker, keeps them
// published, and serves their chunks and handouts.
//
// It must not know flags or environment, nor the tracker's or peerd's insides.
package server

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"fanout"
	"fanout/internal/chunks/chunkmetrics"
	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/room"
	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/trackerclient"
)

const (
	watchEvery = time.Second
	// watchMost is the longest pause before a changed file that could not be digested, for
	// which all of it may have been read, is tried again.
	watchMost = time.Minute
	// keepOld is how long a superseded content is served after it was last asked for.
	keepOld = time.Minute
	// reportEvery is how soon the tracker is told of bytes that were sent, at most.
	reportEvery = 500 * time.Millisecond
)

// Config is what an origin is made of.
type Config struct {
	ID          string
	Address     string // chunk address, as peers dial it
	HTTPAddress string // empty: no other machine can ask there
	Paths       []string
	ChunkSize   int64    // bytes; 0 is automatic
	MaxUpload   int64    // bytes a second; 0 is unlimited
	AllowHosts  []string // as httpkit.Options has it
	Tracker     *trackerclient.Client
	Chunks      net.Listener
	HTTP        net.Listener
	Logger      zerolog.Logger
	Registry    *prometheus.Registry
	// Progress is told of every file to be digested, and returns what is told the bytes as
	// they are read. It may be nil.
	Progress func(name string, size int64) func(bytes int64)
	// Published is told of every manifest that the tracker has taken. It may be nil, and must
	// not block.
	Published func(name string, id manifest.ID)
	// Retired is told of every content that is no longer served since the file has another one.
	// It may be nil, and must not block.
	Retired func(name string, id manifest.ID)
	// EndIfRefused has the first file that is refused end Run, rather than the last one.
	EndIfRefused bool
}

// Origin serves files. Make it with New, then Run it once.
type Origin struct {
	cfg       Config
	sources   []*source
	catalog   *catalog
	announcer *announcer
	health    *health
	chunks    *chunkserver.Server
	http      *httpkit.Daemon
	metrics   *metrics
}

// Check says whether files can be published: each is there, has a name of its own, and can be read.
func Check(paths []string) error {
	_, err := newSources(paths, 0)
	return err
}

// New checks the files and makes the origin; nothing is read or sent yet.
func New(cfg Config) (*Origin, error) {
	o := &Origin{
		cfg: cfg, catalog: newCatalog(), health: newHealth(cfg.Logger, cfg.EndIfRefused),
		announcer: newAnnouncer(cfg.Tracker, cfg.ID, cfg.Address, cfg.HTTPAddress),
	}
	var err error
	if o.sources, err = newSources(cfg.Paths, cfg.ChunkSize); err != nil {
		return nil, err
	}
	for _, s := range o.sources {
		o.health.standing.add(s.name)
	}
	observer, err := chunkmetrics.New(cfg.Registry)
	if err != nil {
		return nil, err
	}
	if o.metrics, err = newMetrics(cfg.Registry); err != nil {
		return nil, err
	}
	o.chunks = chunkserver.New(chunkserver.Config{
		Self: cfg.ID, Lookup: o.catalog.lookup, Slots: room.OriginSlots, Upload: chunkserver.NewLimiter(cfg.MaxUpload),
		BufferBytes: 4 << 20, Observer: observer, Limits: chunkserver.DefaultLimits(),
	})
	o.http, err = httpkit.New(httpkit.Options{
		Name: "origin", Logger: cfg.Logger, Registry: cfg.Registry, Ready: o.health.err, Contract: fanout.OpenAPI,
		AllowHosts: cfg.AllowHosts,
	})
	return o, err
}

// Run serves until ctx ends or something fails that cannot mend itself.
func (o *Origin) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return httpkit.Serve(ctx, o.cfg.HTTP, o.http, httpkit.DefaultShutdownTimeout) })
	group.Go(func() error { return o.chunks.Serve(ctx, o.cfg.Chunks) })
	group.Go(func() error {
		defer o.chunks.Close()
		<-ctx.Done()
		return nil
	})
	group.Go(func() error { return o.publishAll(ctx) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-o.health.fatal:
			return err
		}
	})
	o.cfg.Logger.Info().Str("chunks", o.cfg.Address).Str("http", o.cfg.HTTPAddress).Str("id", o.cfg.ID).Msg("origin started")
	err := group.Wait()
	o.leave(context.WithoutCancel(ctx))
	return err
}

// publishAll digests one file after the other, since each uses all processors, and keeps
// every one published.
func (o *Origin) publishAll(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { // whose error ends the following of the files before
		for _, s := range o.sources {
			p, err := o.digest(ctx, s)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			o.catalog.add(p)
			group.Go(func() error {
				o.follow(ctx, s, p)
				return nil
			})
		}
		return nil
	})
	return group.Wait()
}

func (o *Origin) digest(ctx context.Context, s *source) (*publication, error) {
	var progress func(int64)
	if o.cfg.Progress != nil {
		progress = o.cfg.Progress(s.name, s.size())
	}
	began := time.Now()
	p, err := s.digest(ctx, o.cfg.ID, o.cfg.ChunkSize, o.metrics.of, progress)
	if err != nil {
		return nil, err
	}
	o.cfg.Logger.Info().Str("file", s.name).Stringer("manifest", p.id).Int64("bytes", p.manifest.Size).
		Int("chunks", p.manifest.Chunks()).Int64("chunk_size", p.manifest.ChunkSize).
		Float64("seconds", time.Since(began).Seconds()).Msg("file digested")
	return p, nil
}

// follow keeps a file published, and publishes it anew when its content changes.
func (o *Origin) follow(ctx context.Context, s *source, p *publication) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		served := p // not the p of the next round, while these run
		current, superseded := context.WithCancel(ctx)
		wg.Go(func() { o.keepPublished(ctx, current, s, served) })
		next := o.awaitChange(ctx, s, served)
		superseded()
		if next == nil {
			return
		}
		o.catalog.add(next)
		wg.Go(func() { o.retire(ctx, served, next) })
		p = next
	}
}

// awaitChange returns the file's next content; nil when ctx ends. A file that was touched, or
// replaced by a copy, has none: what is open has the same bytes.
func (o *Origin) awaitChange(ctx context.Context, s *source, served *publication) *publication {
	trouble := ""
	for pause := watchEvery; ; pause = min(2*pause, watchMost) {
		if s.changed(ctx) != nil {
			return nil
		}
		p, err := o.digest(ctx, s)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			level := zerolog.WarnLevel
			if err.Error() == trouble { // it is said already
				level = zerolog.DebugLevel
			}
			trouble = err.Error()
			o.cfg.Logger.WithLevel(level).Err(err).Str("file", s.name).Msg("changed file not published")
			if !trackerclient.Sleep(ctx, pause) {
				return nil
			}
		case p.id == served.id:
			p.target.Store.Close()
		default:
			return p
		}
	}
}

// keepPublished publishes and then renews, until current ends; a content that has been
// superseded is renewed for as long as it is served, but never published again: the name
// belongs to its successor. A refusal is final for a content that was never taken; what was
// taken once is offered again, since something else must have changed, and may change back.
func (o *Origin) keepPublished(ctx, current context.Context, s *source, p *publication) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer o.health.noteReach(p.id, nil)
	published := false
	renew := func(ctx context.Context) (time.Duration, error) {
		if !o.catalog.serves(p) {
			stop()
			return 0, nil
		}
		if published {
			reply, err := o.announcer.announce(ctx, p)
			switch {
			case err == nil:
				o.health.noteReach(p.id, o.announcer.reachable(ctx, reply))
				return trackerclient.Seconds(reply.IntervalSeconds), nil
			case errors.Is(err, trackerclient.ErrGone):
				o.cfg.Logger.Warn().Str("file", s.name).Msg("file was withdrawn at the tracker: restart the origin to publish it again")
				o.health.withdrawn(s.name)
				stop()
				return 0, nil
			case !errors.Is(err, trackerclient.ErrNotFound):
				return 0, err
			}
		}
		if current.Err() != nil {
			stop()
			return 0, nil
		}
		reply, err := o.announcer.publish(ctx, p)
		switch {
		case err == nil:
		case !published && ctx.Err() == nil && isFinal(err):
			o.health.refuse(s.name, err)
			stop()
			return 0, nil
		default:
			return 0, err
		}
		published = true
		o.cfg.Logger.Info().Str("file", s.name).Stringer("manifest", p.id).Msg("file published")
		if o.cfg.Published != nil {
			o.cfg.Published(s.name, p.id)
		}
		return trackerclient.Seconds(reply.IntervalSeconds), nil
	}
	trackerclient.KeepWoken(ctx, p.swarm.news, reportEvery, renew, func(err error) {
		if current.Err() == nil { // how its successor stands, that one says
			o.health.report(s.name, err)
		}
	})
}

// retire stops serving a superseded content: at once if the file was overwritten in place,
// for its bytes are gone; else, since the open file still has them, when nobody asks for
// them any more.
func (o *Origin) retire(ctx context.Context, p, next *publication) {
	if !os.SameFile(next.info, p.info) {
		o.cfg.Logger.Info().Str("file", p.manifest.Name).Stringer("manifest", p.id).Msg("old content is served until its downloads have ended")
		for idle := time.Now(); time.Since(idle) < keepOld; {
			if !trackerclient.Sleep(ctx, time.Second) {
				return
			}
			if asked := p.swarm.lastAsked(); asked.After(idle) {
				idle = asked
			}
		}
	}
	gone := o.catalog.remove(p) // else the file has this content again
	if gone && o.cfg.Retired != nil {
		o.cfg.Retired(p.manifest.Name, p.id)
	}
	p.swarm.closeAll()
	p.target.Store.Close()
	o.cfg.Logger.Info().Str("file", p.manifest.Name).Stringer("manifest", p.id).Msg("old content is no longer served")
}

// Trouble is why files are not published that could be, or cannot be fetched; nil while they
// are digested.
func (o *Origin) Trouble() error {
	err := o.health.err()
	if errors.Is(err, errDigesting) {
		return nil
	}
	return err
}

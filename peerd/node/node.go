package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"fanout"
	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/chunks/chunkmetrics"
	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/room"
	"fanout/internal/chunks/wire"
	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/trackerclient"
)

const (
	// bufferBytes bounds the chunks that are being received, for all downloads together.
	bufferBytes = 24 << 20
)

// limits of the sessions.
func limits() chunkserver.Limits { return chunkserver.DefaultLimits() }

// Config is what a peerd is made of.
type Config struct {
	ID          string // empty: the data directory's
	DataDir     string
	Address     string   // chunk address, as other peers dial it
	HTTPAddress string   // empty: no other machine can ask there
	AllowHosts  []string // as httpkit.Options has it
	MaxUpload   int64    // bytes a second; 0 is unlimited
	MaxDownload int64
	Follow      bool // fetch what rollouts at the tracker ask for
	// OwnDir is the directory below DataDir for what peerd keeps; empty means .fanout.
	OwnDir string
	// Replace lets a download replace whatever stands at its output. Otherwise it replaces
	// only what was finished there before.
	Replace  bool
	Tracker  *trackerclient.Client
	Chunks   net.Listener
	HTTP     net.Listener
	Logger   zerolog.Logger
	Registry *prometheus.Registry
}

func (c *Config) httpAddress() *string {
	if c.HTTPAddress == "" {
		return nil
	}
	return &c.HTTPAddress
}

// Node is a peerd. Make it with New, then Run it once.
type Node struct {
	cfg          Config
	root         *os.Root
	records      *records
	outputs      *outputs
	chunks       *chunkserver.Server
	http         *httpkit.Daemon
	metrics      *metrics
	ctx          context.Context // of Run: ends every download
	wg           sync.WaitGroup  // of the downloads
	downloads    *list
	registration *registration
	// instance is another one for each process: by it the tracker tells a restart from two
	// processes with one ID.
	instance string
}

// New opens the data directory; nothing is fetched or served yet.
func New(cfg Config) (*Node, error) {
	dataDir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	cfg.DataDir = dataDir
	n := &Node{cfg: cfg, instance: wire.NewNonce(), registration: newRegistration(cfg.Tracker, cfg.Logger)}
	own := cmp.Or(cfg.OwnDir, ownDir)
	if n.records, err = openRecords(dataDir, own); err != nil {
		return nil, err
	}
	n.downloads = newList(n.records)
	if n.cfg.ID, err = n.records.peerID(cfg.ID); err != nil {
		return nil, err
	}
	if n.root, err = os.OpenRoot(dataDir); err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	ledger, err := openLedger(filepath.Join(dataDir, own, "finished"))
	if err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	n.outputs = &outputs{dir: chunkstore.Dir{Root: n.root, Own: own}, ledger: ledger, dataDir: dataDir, replace: cfg.Replace}
	chunkMetrics, err := chunkmetrics.New(cfg.Registry)
	if err != nil {
		return nil, err
	}
	if n.metrics, err = newMetrics(cfg.Registry, n); err != nil {
		return nil, err
	}
	n.chunks = chunkserver.New(chunkserver.Config{
		Self: n.cfg.ID, Lookup: n.lookup, Slots: room.PeerSlots, BufferBytes: bufferBytes,
		Upload: chunkserver.NewLimiter(cfg.MaxUpload), Download: chunkserver.NewLimiter(cfg.MaxDownload),
		Observer: chunkMetrics, Limits: limits(),
	})
	n.http, err = httpkit.New(httpkit.Options{
		Name: "peerd", Logger: cfg.Logger, Registry: cfg.Registry, Ready: n.ready,
		Contract: fanout.OpenAPI, AllowHosts: cfg.AllowHosts,
	})
	if err != nil {
		return nil, err
	}
	(&control{n}).routes()
	return n, nil
}

// Run serves and downloads until ctx ends or something fails that cannot mend itself. What
// was under way goes on at the next start.
func (n *Node) Run(ctx context.Context) error {
	defer n.records.close()
	group, ctx := errgroup.WithContext(ctx)
	n.ctx = ctx
	n.restore()
	group.Go(func() error { return httpkit.Serve(ctx, n.cfg.HTTP, n.http, httpkit.DefaultShutdownTimeout) })
	group.Go(func() error { return n.chunks.Serve(ctx, n.cfg.Chunks) })
	group.Go(func() error {
		n.cfg.Tracker.KeepRegistered(ctx, n.cfg.ID, func() trackerapi.Registration {
			return trackerapi.Registration{Address: n.cfg.Address, HttpAddress: n.cfg.httpAddress(), Follow: &n.cfg.Follow, Instance: &n.instance}
		}, n.registration.note)
		return nil
	})
	group.Go(func() error { n.watch(ctx); return nil })
	if n.cfg.Follow {
		group.Go(func() error { newFollower(n).run(ctx); return nil })
	}
	n.cfg.Logger.Info().Str("id", n.cfg.ID).Str("chunks", n.cfg.Address).Str("http", n.cfg.HTTPAddress).
		Str("data_dir", n.cfg.DataDir).Msg("peerd started")
	err := group.Wait()
	n.chunks.Close()
	n.wg.Wait()
	for _, d := range n.downloads.all() {
		d.close()
	}
	return errors.Join(err, n.root.Close())
}

// restore takes up the downloads of the last run.
func (n *Node) restore() {
	recs, errs := n.records.load()
	for _, rec := range recs {
		m, err := manifest.Decode(rec.Manifest)
		if err != nil {
			n.cfg.Logger.Error().Err(err).Str("download", rec.ID).Msg("download record not readable, left alone")
			continue
		}
		if rec.finished() && n.outputs.superseded(rec.Output, m.ID()) {
			errs = append(errs, n.records.remove(rec.ID)) // as its successor would have done
			continue
		}
		d := newDownload(n, rec, m)
		n.downloads.mu.Lock()
		n.downloads.add(d)
		n.downloads.mu.Unlock()
	}
	for _, d := range n.downloads.all() { // the list is whole: one that ends looks at the others
		d.restore()
	}
	missed := func(output string) bool {
		return slices.ContainsFunc(n.downloads.all(), func(d *download) bool { return d.record().Output == output })
	}
	errs = append(errs, n.outputs.ledger.prune(n.root, missed))
	for _, err := range errs {
		if err != nil {
			n.cfg.Logger.Error().Err(err).Msg("download record not readable, left alone")
		}
	}
}

func (n *Node) ready() error {
	if err := n.outputs.moved(); err != nil {
		return err
	}
	return n.registration.err()
}

// lookup finds the download that a session is about.
func (n *Node) lookup(id manifest.ID, _ string) (*chunkserver.Target, error) {
	if d, err := n.downloads.find(downloadID(id)); err == nil && d.id == id {
		if t := d.target(); t != nil {
			return t, nil
		}
	}
	return nil, fmt.Errorf("manifest %v is not being downloaded or served here", id)
}

// active says that a state is one in which a download is under way or may go on.
func active(s peerapi.DownloadState) bool {
	return s == peerapi.DownloadStateQueued || s == peerapi.DownloadStateDownloading || s == peerapi.DownloadStatePaused
}

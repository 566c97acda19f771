// Command peerd downloads and serves files on one machine, as its REST interface says.
package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/trackerclient"
	"fanout/internal/daemon/units"
	"fanout/peerd/node"
)

type grammar struct {
	Serve   serve       `cmd:"" default:"withargs" help:"Download and serve until stopped, as the REST interface says."`
	Get     get         `cmd:"" help:"Download one file, serving it meanwhile, and exit."`
	Health  health      `cmd:"" help:"Ask a running peerd whether it is ready: exit code 0 if it is."`
	Version cli.Version `cmd:"" help:"Print the version."`
}

type serve struct {
	Tracker     string     `required:"" placeholder:"URL" help:"The tracker, such as http://127.0.0.1:2680."`
	DataDir     string     `required:"" type:"path" placeholder:"DIR" help:"Where downloads are kept; no path leads out of it."`
	Listen      string     `default:"127.0.0.1:2685" placeholder:"HOST:PORT" help:"Where to serve chunks (${default})."`
	HTTP        string     `name:"http" default:"127.0.0.1:2695" placeholder:"HOST:PORT" help:"Where to serve the REST interface and metrics (${default})."`
	Advertise   string     `placeholder:"HOST:PORT" help:"Chunk address that other peers dial, if it is not --listen."`
	ID          string     `placeholder:"ID" help:"The peer's identity (kept in the data directory)."`
	Follow      bool       `help:"Fetch the files that rollouts at the tracker ask for."`
	MaxUpload   units.Rate `placeholder:"RATE" help:"Upload limit, such as 100Mbit or 25MB (unlimited)."`
	MaxDownload units.Rate `placeholder:"RATE" help:"Download limit (unlimited)."`
	Insecure    bool       `help:"Allow listening beyond loopback without authentication."`
	Allow       []string   `name:"allow-host" placeholder:"NAME" help:"Hosts to answer HTTP for while listening on loopback, such as that of a reverse proxy."`
	LogLevel    string     `default:"info" placeholder:"LEVEL" help:"debug, info, warn or error (${default})."`
}

// carried says what of a file arrives.
const carried = `Only the name and the bytes of a file arrive: it has mode 0644, so an executable needs chmod +x; ` +
	`owner, times, extended attributes and holes are not kept. `

// Help says what becomes of a file here.
func (*serve) Help() string { return carried }

// health asks a running peerd whether it is ready. The flag is that of serve, so that an
// environment twin is for both.
type health struct {
	HTTP string `name:"http" default:"127.0.0.1:2695" placeholder:"HOST:PORT" help:"The address that it was given (${default})."`
}

// Run implements the command.
func (c *health) Run(ctx context.Context, out io.Writer) error {
	return cli.Health(ctx, out, "--http", c.HTTP)
}

func main() {
	cli.Main("peerd", "Download files with fanout, and serve them on to other peers.", &grammar{})
}

// Run implements the command.
func (c *serve) Run(ctx context.Context) error {
	cfg, err := c.config(ctx)
	if err != nil {
		return err
	}
	n, err := node.New(cfg)
	if err != nil {
		return err
	}
	return n.Run(ctx)
}

func (c *serve) config(ctx context.Context) (cfg node.Config, err error) {
	cfg = node.Config{
		ID: c.ID, MaxUpload: int64(c.MaxUpload), MaxDownload: int64(c.MaxDownload),
		Follow:   c.Follow,
		Registry: prometheus.NewRegistry(),
	}
	if cfg.DataDir, err = filepath.Abs(c.DataDir); err == nil {
		err = cli.UTF8Path("--data-dir", cfg.DataDir)
	}
	if err != nil {
		return cfg, err
	}
	if cfg.Logger, err = httpkit.NewLogger(os.Stderr, c.LogLevel, "peerd"); err != nil {
		return cfg, err
	}
	if cfg.AllowHosts, err = httpkit.AllowHosts(c.Allow); err != nil {
		return cfg, err
	}
	if cfg.Tracker, err = trackerclient.New(c.Tracker); err != nil {
		return cfg, err
	}
	if cfg.Chunks, err = httpkit.Listen("--listen", c.Listen, c.Insecure); err != nil {
		return cfg, err
	}
	if cfg.HTTP, err = httpkit.Listen("--http", c.HTTP, c.Insecure); err != nil {
		return cfg, err
	}
	return advertise(ctx, cfg, httpkit.Listening{ListenFlag: c.Listen, HTTPFlag: c.HTTP, Advertise: c.Advertise})
}

// advertise adds what others are told of the listeners.
func advertise(ctx context.Context, cfg node.Config, l httpkit.Listening) (node.Config, error) {
	l.Chunks, l.HTTP, l.Tracker = cfg.Chunks.Addr(), cfg.HTTP.Addr(), cfg.Tracker.URL()
	told, err := httpkit.Advertise(ctx, l)
	if err == nil && told.Warning != "" {
		cfg.Logger.Warn().Str("reason", told.Warning).Msg("serves only those peers that it dials")
	}
	cfg.Address, cfg.HTTPAddress = told.Chunks, told.HTTP
	return cfg, err
}

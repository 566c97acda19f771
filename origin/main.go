// Command origin publishes files at a tracker and serves their chunks.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/schollz/progressbar/v3"

	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/trackerclient"
	"fanout/internal/daemon/units"
	"fanout/origin/server"
)

type grammar struct {
	Serve   serve       `cmd:"" default:"withargs" help:"Publish files and serve their chunks until stopped."`
	Push    pushing     `cmd:"" help:"Give files to the whole fleet, and exit when it has them."`
	Check   check       `cmd:"" help:"Say whether files can be published: exit code 0 if they can."`
	Health  health      `cmd:"" help:"Ask a running origin whether it is ready: exit code 0 if it is."`
	Version cli.Version `cmd:"" help:"Print the version."`
}

type serve struct {
	Files     []string   `arg:"" name:"file" type:"path" help:"Files to publish, each under its base name."`
	Tracker   string     `required:"" placeholder:"URL" help:"The tracker, such as http://127.0.0.1:2680."`
	Listen    string     `default:"127.0.0.1:2684" placeholder:"HOST:PORT" help:"Where to serve chunks (${default})."`
	HTTP      string     `name:"http" default:"127.0.0.1:2694" placeholder:"HOST:PORT" help:"Where to serve health and metrics (${default})."`
	Advertise string     `placeholder:"HOST:PORT" help:"Chunk address that peers dial, if it is not --listen."`
	ID        string     `placeholder:"ID" help:"The origin's identity (made from its chunk address)."`
	ChunkSize units.Size `placeholder:"SIZE" help:"Chunk size, any from 4KiB to 64MiB (automatic: a power of two, about size/1024)."`
	MaxUpload units.Rate `placeholder:"RATE" help:"Upload limit, such as 100Mbit or 25MB (unlimited)."`
	Insecure  bool       `help:"Allow listening beyond loopback without authentication."`
	Allow     []string   `name:"allow-host" placeholder:"NAME" help:"Hosts to answer HTTP for while listening on loopback, such as that of a reverse proxy."`
	LogLevel  string     `default:"info" placeholder:"LEVEL" help:"debug, info, warn or error (${default})."`
}

// carried says what of a file arrives.
const carried = `Only the name and the bytes of a file are carried: the copies have mode 0644, so an executable needs chmod +x; ` +
	`owner, times, extended attributes and holes are not kept, and a symbolic link is followed. `

// Help says what is published of a file.
func (*serve) Help() string { return carried }

// check says before anything is started whether it can be.
type check struct {
	Files []string `arg:"" name:"file" type:"path" help:"Files as for serve."`
}

// Run implements the command.
func (c *check) Run() error { return server.Check(c.Files) }

// health asks a running origin whether it is ready. The flag is that of serve, so that an
// environment twin is for both.
type health struct {
	HTTP string `name:"http" default:"127.0.0.1:2694" placeholder:"HOST:PORT" help:"The address that it was given (${default})."`
}

// Run implements the command.
func (c *health) Run(ctx context.Context, out io.Writer) error {
	return cli.Health(ctx, out, "--http", c.HTTP)
}

func main() {
	cli.Main("origin", "Publish files at a fanout tracker and serve their chunks.", &grammar{})
}

// Run implements the command.
func (c *serve) Run(ctx context.Context) error {
	cfg, err := c.config(ctx)
	if err != nil {
		return err
	}
	o, err := server.New(cfg)
	if err != nil {
		return err
	}
	return o.Run(ctx)
}

func (c *serve) config(ctx context.Context) (cfg server.Config, err error) {
	cfg = server.Config{Paths: c.Files, ChunkSize: int64(c.ChunkSize), MaxUpload: int64(c.MaxUpload), Registry: prometheus.NewRegistry()}
	if c.ChunkSize != 0 {
		if err = manifest.CheckChunkSize(int64(c.ChunkSize)); err != nil {
			return cfg, fmt.Errorf("--chunk-size: %w", err)
		}
	}
	if c.ID != "" {
		if err = wire.ValidPeerID(c.ID); err != nil {
			return cfg, fmt.Errorf("--id: %w", err)
		}
	}
	if cfg.Logger, err = httpkit.NewLogger(os.Stderr, c.LogLevel, "origin"); err != nil {
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
	told, err := httpkit.Advertise(ctx, httpkit.Listening{
		Chunks: cfg.Chunks.Addr(), HTTP: cfg.HTTP.Addr(), ListenFlag: c.Listen, HTTPFlag: c.HTTP,
		Advertise: c.Advertise, Tracker: cfg.Tracker.URL(), Source: true,
	})
	if err != nil {
		return cfg, err
	}
	cfg.Address, cfg.HTTPAddress = told.Chunks, told.HTTP
	if cfg.ID = c.ID; cfg.ID == "" {
		cfg.ID = idOf(cfg.Address)
	}
	if isatty.IsTerminal(os.Stderr.Fd()) {
		cfg.Progress = bar
	}
	return cfg, nil
}

// idOf makes an ID of a chunk address; of a host whose name is too long for one, of its digest.
func idOf(address string) string {
	id := "origin-" + strings.NewReplacer(":", "-", "[", "", "]", "", "%", "-").Replace(address)
	if wire.ValidPeerID(id) != nil {
		id = fmt.Sprintf("origin-%x", sha256.Sum256([]byte(address)))[:32]
	}
	return id
}

// bar shows how far the digesting of a file is.
func bar(name string, size int64) func(int64) {
	b := progressbar.NewOptions64(size,
		progressbar.OptionSetDescription("digesting "+name), progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(os.Stderr) }))
	return func(n int64) { b.Add64(n) }
}

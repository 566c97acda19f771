// Command tracker tells the peers of fanout about each other: which files are published, who
// has which chunk, and who brings it from the origin.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/httpkit"
	"fanout/tracker/server"
	"fanout/tracker/store"
)

type commands struct {
	Serve   serve       `cmd:"" default:"withargs" help:"Publish files, chunk tables and the fleet over HTTP."`
	Health  health      `cmd:"" help:"Ask a running tracker whether it is ready: exit code 0 if it is."`
	Version cli.Version `cmd:"" help:"Print the version."`
}

type serve struct {
	Listen   string        `default:"127.0.0.1:2680" placeholder:"HOST:PORT" help:"Address of the HTTP interface (default ${default})."`
	DataDir  string        `type:"path" placeholder:"DIR" help:"Keep published files and uploaded tables here over restarts; in memory only without it."`
	Lease    time.Duration `default:"15s" help:"How long an origin or peer stays listed without another announce (default ${default})."`
	Insecure bool          `help:"Listen beyond loopback although anybody there may then publish and delete."`
	Allow    []string      `name:"allow-host" placeholder:"NAME" help:"Hosts to answer for while listening on loopback, such as that of a reverse proxy."`
	LogLevel string        `default:"info" help:"debug, info, warn or error (default ${default})."`
}

// health asks a running tracker whether it is ready. The flag is that of serve, so that an
// environment twin is for both.
type health struct {
	Listen string `default:"127.0.0.1:2680" placeholder:"HOST:PORT" help:"The address that it was given (${default})."`
}

// Run implements the command.
func (c *health) Run(ctx context.Context, out io.Writer) error {
	return cli.Health(ctx, out, "--listen", c.Listen)
}

func main() {
	cli.Main("tracker", "The tracker of fanout.", &commands{})
}

// Run serves until ctx ends.
func (s *serve) Run(ctx context.Context) error {
	if s.Lease < time.Second {
		return fmt.Errorf("--lease %s: give at least 1s", s.Lease)
	}
	log, err := httpkit.NewLogger(os.Stderr, s.LogLevel, "tracker")
	if err != nil {
		return err
	}
	hosts, err := httpkit.AllowHosts(s.Allow)
	if err != nil {
		return err
	}
	ln, err := httpkit.Listen("--listen", s.Listen, s.Insecure)
	if err != nil {
		return err
	}
	st, err := s.open()
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	return server.Run(ctx, server.Config{
		Listener: ln, Store: st, Lease: s.Lease, AllowHosts: hosts, Logger: log, Registry: prometheus.NewRegistry(),
		Now: time.Now, Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	})
}

func (s *serve) open() (store.Store, error) {
	if s.DataDir == "" {
		return store.NewMemory(), nil
	}
	return store.Open(s.DataDir)
}

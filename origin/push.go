package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/progress"
	"fanout/internal/daemon/units"
	"fanout/origin/push"
	"fanout/origin/server"
)

type pushing struct {
	Files     []string      `arg:"" name:"file" type:"path" help:"Files to give to the fleet, each under its base name."`
	Tracker   string        `required:"" placeholder:"URL" help:"The tracker, such as http://127.0.0.1:2680."`
	Peers     []string      `default:"all" placeholder:"ID" help:"Peers to ask (${default}: every one that runs with --follow, also later)."`
	Strategy  string        `default:"swarm" enum:"direct,static,swarm" help:"direct, static or swarm (${default})."`
	Wait      bool          `help:"Wait also for peers that are off."`
	Timeout   time.Duration `placeholder:"DURATION" help:"Give up after so long, such as 30m (never)."`
	JSON      bool          `name:"json" help:"Print one JSON document at the end in place of the table."`
	Listen    string        `default:"127.0.0.1:0" env:"-" placeholder:"HOST:PORT" help:"Where to serve chunks (${default}, port 0 is any)."`
	HTTP      string        `name:"http" default:"127.0.0.1:0" env:"-" placeholder:"HOST:PORT" help:"Where to serve health and metrics (${default})."`
	Advertise string        `placeholder:"HOST:PORT" help:"Chunk address that peers dial, if it is not --listen."`
	ChunkSize units.Size    `placeholder:"SIZE" help:"Chunk size, any from 4KiB to 64MiB (automatic: a power of two, about size/1024)."`
	MaxUpload units.Rate    `placeholder:"RATE" help:"Upload limit, such as 100Mbit or 25MB (unlimited)."`
	Insecure  bool          `help:"Allow listening beyond loopback without authentication."`
	LogLevel  string        `default:"error" env:"-" placeholder:"LEVEL" help:"debug, info, warn or error (${default})."`
}

// Help explains when a push ends, and how.
func (*pushing) Help() string {
	return `Publishes the files, serves them, and asks peers that run with --follow to fetch them. ` +
		`It ends when every asked peer that is on has every file or has failed; with --wait, peers that are off are waited for, too. ` +
		`Peers that are off at the end fetch from the others when they come back: the rollout stays at the tracker until it is replaced by the next push of that name or deleted ` +
		`(curl -X DELETE TRACKER/v1/files/NAME/rollout). ` +
		`Interrupted, it leaves the rollouts, and says how they stand and how they are taken back; with --timeout, it ends those that nobody else can serve. ` +
		`Peers on other machines must reach the origin: give --listen 0.0.0.0:2684 --insecure there. ` +
		carried +
		`Exit code 0: every asked peer has every file; 1: some have not, and the line on stderr names them; 130: interrupted. ` +
		`--json prints {"complete": BOOL, "rollouts": [as GET /v1/files/NAME/rollout answers]}.`
}

// Run implements the command.
func (c *pushing) Run(ctx context.Context, stdout io.Writer) error {
	source := serve{
		Files: c.Files, Tracker: c.Tracker, Listen: c.Listen, HTTP: c.HTTP, Advertise: c.Advertise,
		ChunkSize: c.ChunkSize, MaxUpload: c.MaxUpload, Insecure: c.Insecure, LogLevel: c.LogLevel,
	}
	if c.Timeout < 0 {
		return fmt.Errorf("--timeout %s: give a duration that is not negative", c.Timeout)
	}
	request, err := c.request()
	if err != nil {
		return err
	}
	cfg, err := source.config(ctx)
	if err != nil {
		return err
	}
	cfg.EndIfRefused = true
	published := make(chan push.Published, len(c.Files))
	var names sync.Map
	cfg.Published = func(name string, id manifest.ID) {
		if _, again := names.LoadOrStore(name, true); !again { // what it is changed to meanwhile is not pushed
			published <- push.Published{Name: name, ID: id}
		}
	}
	lost := make(chan push.Published, len(c.Files))
	cfg.Retired = func(name string, id manifest.ID) {
		select {
		case lost <- push.Published{Name: name, ID: id}:
		default: // the push ends for one that it knows of
		}
	}
	origin, err := server.New(cfg)
	if err != nil {
		return err
	}
	p := push.New(push.Config{
		Tracker: cfg.Tracker, Request: request, Files: len(c.Files), Wait: c.Wait, Timeout: c.Timeout,
		Bar: progress.OnTerminal(os.Stderr), Origin: cfg.ID, Report: origin.Report, Lost: lost,
		Trouble: origin.Trouble,
		Say:     func(what string) { fmt.Fprintln(os.Stderr, "origin: waiting:", what) },
	})
	if err := p.Check(ctx); err != nil {
		return err
	}
	err = serveWhile(ctx, origin, func(ctx context.Context) error { return p.Run(ctx, published) })
	if c.JSON {
		return errors.Join(err, p.Report().JSON(stdout))
	}
	return errors.Join(err, p.Report().Table(stdout), p.Advice(stdout))
}

// serveWhile runs the origin for as long as do takes.
func serveWhile(ctx context.Context, origin *server.Origin, do func(context.Context) error) error {
	group, serving := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(serving)
	var served, done error
	group.Go(func() error {
		served = origin.Run(serving)
		return served
	})
	group.Go(func() error {
		defer stop()
		done = do(serving)
		return nil
	})
	_ = group.Wait() // the two are kept apart: served comes first, for it explains done
	if served == nil || errors.Is(served, context.Canceled) {
		return done
	}
	if left := (cli.Interrupted{}); errors.As(done, &left) {
		return fmt.Errorf("%w; %s", served, left.Then)
	}
	return served
}

func (c *pushing) request() (q trackerapi.RolloutRequest, err error) {
	strategy := trackerapi.Strategy(c.Strategy)
	q.Strategy = &strategy
	if slices.Contains(c.Peers, "all") {
		if len(c.Peers) > 1 {
			return q, fmt.Errorf("--peers: give all, or IDs")
		}
		return q, nil
	}
	q.Peers = &c.Peers
	return q, nil
}

// Command demo shows what fanout does, on one machine and without root: it starts a tracker,
// an origin and peers on loopback, each limited to the same upload and download rate, so
// that the law of the network shows, and gives one file to all peers at once under every
// strategy. Every copy is compared with the source, and every time is put beside its bound.
//
// It must not know the daemons' code: what it does, `curl` can do.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/mattn/go-isatty"

	"fanout/api/peerapi"
	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/units"
	"fanout/internal/proving/fleet"
)

type grammar struct {
	Run run `cmd:"" default:"withargs" help:"Distribute a file under every strategy and compare the times."`
}

type run struct {
	Peers    int        `short:"n" default:"8" placeholder:"N" help:"Number of peers (${default})."`
	Size     units.Size `default:"64MiB" placeholder:"SIZE" help:"Size of the random file (${default})."`
	File     string     `placeholder:"PATH" help:"Distribute this file instead of a random one."`
	Rate     units.Rate `default:"200Mbit" placeholder:"RATE" help:"Upload and download limit of every daemon (${default})."`
	Strategy []string   `default:"direct,static,swarm" placeholder:"NAME" help:"Strategies, in this order (${default})."`
	Bin      string     `default:"bin" placeholder:"DIR" help:"Where tracker, origin and peerd are (${default})."`
	Seed     uint64     `default:"1" placeholder:"N" help:"Of the random file (${default})."`
	Keep     bool       `help:"Leave the directory with the logs of the daemons, and say where it is."`
}

func main() {
	cli.Main("demo", "Distribute a file on loopback under every strategy and compare the times.", &grammar{})
}

// Run implements the command.
func (c *run) Run(ctx context.Context, stdout io.Writer) error {
	strategies, err := c.check()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fanout-demo-")
	if err != nil {
		return err
	}
	defer func() {
		if c.Keep {
			fmt.Fprintln(os.Stderr, "logs are in", dir)
			return
		}
		os.RemoveAll(dir)
	}()
	d := &demo{
		peers: c.Peers, size: int64(c.Size), file: c.File, seed: c.Seed, rate: c.Rate, strategies: strategies,
		binaries: fleet.In(c.Bin), dir: dir, out: stdout, live: func(string) {},
	}
	if isatty.IsTerminal(os.Stderr.Fd()) {
		d.live = func(line string) { fmt.Fprint(os.Stderr, "\r\x1b[K"+line) }
	}
	return d.run(ctx)
}

func (c *run) check() (strategies []peerapi.Strategy, err error) {
	if c.Peers < 1 || c.Peers > 500 {
		return nil, fmt.Errorf("--peers %d: give a number from 1 to 500", c.Peers)
	}
	for _, name := range c.Strategy {
		s := peerapi.Strategy(name)
		if !s.Valid() {
			return nil, fmt.Errorf("--strategy %s: give direct, static or swarm", name)
		}
		strategies = append(strategies, s)
	}
	return strategies, nil
}

// Command bench measures how fast one peer downloads a file from an origin on loopback, side
// by side with curl downloading it from nginx, the usual way to send one file. The peer
// checks every chunk against its digest and syncs the file to disk; curl does neither.
//
// It must not know the daemons' code: what it does, `curl` can do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/units"
	"fanout/internal/proving/fleet"
)

type grammar struct {
	Run run `cmd:"" default:"withargs" help:"Download a file with one peer, and with curl from nginx, in turn."`
}

type run struct {
	Size  units.Size `default:"1GiB" placeholder:"SIZE" help:"Size of the random file (${default})."`
	Pairs int        `default:"5" placeholder:"N" help:"How often each is run (${default})."`
	Bin   string     `default:"bin" placeholder:"DIR" help:"Where tracker, origin and peerd are (${default})."`
}

func main() {
	cli.Main("bench", "Compare one peer with curl from nginx on loopback.", &grammar{})
}

// Run implements the command.
func (c *run) Run(ctx context.Context, stdout io.Writer) (err error) {
	if c.Pairs < 1 || c.Size < 1 {
		return errors.New("give --size and --pairs of at least 1")
	}
	dir, err := os.MkdirTemp("", "fanout-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "file.bin")
	if err := fleet.WriteRandom(file, int64(c.Size), 1); err != nil {
		return err
	}
	web, err := startNginx(ctx, dir)
	if err != nil {
		return err
	}
	defer web.stop()
	f, err := fleet.New(fleet.Config{Dir: dir, Binaries: fleet.In(c.Bin)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	tracker, origin, peer := f.Tracker(), f.Origin("origin", []string{file}), f.Peer("peer")
	for _, d := range []*fleet.Daemon{tracker.Daemon, origin.Daemon, peer.Daemon} {
		if err := d.Start(ctx); err != nil {
			return err
		}
	}
	b := &bench{file: file, size: c.Size, peer: peer, origin: origin, web: web, out: stdout}
	return b.run(ctx, c.Pairs)
}

type bench struct {
	file   string
	size   units.Size
	peer   *fleet.Peer
	origin *fleet.Origin
	web    *nginx
	out    io.Writer
}

// run takes the two in turn, so that whatever else the machine does meets both.
func (b *bench) run(ctx context.Context, pairs int) error {
	fmt.Fprintf(b.out, "%s on loopback, each in turn\n\n%4s  %12s  %12s  %5s\n", b.size, "pair", "curl, nginx", "peer, direct", "ratio")
	var curls, peers []time.Duration
	for i := range pairs {
		c, err := b.curl(ctx)
		if err != nil {
			return err
		}
		p, err := b.direct(ctx)
		if err != nil {
			return err
		}
		curls, peers = append(curls, c), append(peers, p)
		b.row(fmt.Sprint(i+1), c, p)
	}
	b.row("med.", median(curls), median(peers))
	for _, d := range []*fleet.Daemon{b.origin.Daemon, b.peer.Daemon} {
		rss, err := d.PeakRSS()
		if err != nil {
			return err
		}
		fmt.Fprintf(b.out, "\npeak memory of %s: %.1f MiB", d.Name(), float64(rss)/(1<<20))
	}
	fmt.Fprintln(b.out)
	return nil
}

func (b *bench) row(name string, curl, peer time.Duration) {
	fmt.Fprintf(b.out, "%4s  %7.0f MB/s  %7.0f MB/s  %5.2f\n", name, b.rate(curl), b.rate(peer), curl.Seconds()/peer.Seconds())
}

func (b *bench) rate(d time.Duration) float64 { return float64(b.size) / 1e6 / d.Seconds() }

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// direct is the time from the request until the file, verified and synced, has its name.
func (b *bench) direct(ctx context.Context) (time.Duration, error) {
	strategy := peerapi.StrategyDirect
	began := time.Now()
	d, err := b.peer.Download(ctx, peerapi.DownloadRequest{File: filepath.Base(b.file), Strategy: &strategy})
	if err == nil {
		d, err = b.peer.Complete(ctx, d.Id)
	}
	if err != nil {
		return 0, err
	}
	path := b.peer.Path(filepath.Base(b.file))
	return fleet.Took(began, d), errors.Join(fleet.Compare(path, b.file), b.peer.Delete(ctx, d.Id), os.Remove(path))
}

// curl is the time of a whole curl process, which is what one waits for.
func (b *bench) curl(ctx context.Context) (time.Duration, error) {
	path := filepath.Join(filepath.Dir(b.file), "curl.out")
	took, err := b.web.curl(ctx, filepath.Base(b.file), path)
	if err != nil {
		return 0, err
	}
	return took, errors.Join(fleet.Compare(path, b.file), os.Remove(path))
}

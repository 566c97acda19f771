package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/daemon/units"
	"fanout/internal/proving/fleet"
)

// demo is one run. Its directory is removed by whoever made it.
type demo struct {
	peers      int
	size       int64  // of the random file
	file       string // instead of it
	seed       uint64
	rate       units.Rate
	strategies []peerapi.Strategy
	binaries   fleet.Binaries
	dir        string
	out        io.Writer
	patience   time.Duration     // with each daemon, and for connecting; 0 is what suits an idle machine
	live       func(line string) // shows progress in place of the line before; empty removes it

	fleet   *fleet.Fleet
	tracker *fleet.Tracker
	origin  *fleet.Origin
}

// run distributes the file under every strategy. It returns the first thing that is not well.
func (d *demo) run(ctx context.Context) (err error) {
	if err := d.source(); err != nil {
		return err
	}
	if d.fleet, err = fleet.New(fleet.Config{
		Dir: d.dir, Binaries: d.binaries, ReadyTimeout: d.patience, StopTimeout: d.patience,
	}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.fleet.Close()) }()
	d.tracker = d.fleet.Tracker()
	d.origin = d.fleet.Origin("origin", []string{d.file}, "--max-upload", rateFlag(d.rate))
	d.live("starting the tracker and the origin")
	if err := d.tracker.Start(ctx); err != nil {
		return err
	}
	if err := d.origin.Start(ctx); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "%s to %d %s, every daemon limited to %s up and %s down\n\n%s\n",
		describe(d.file, d.size), d.peers, plural(d.peers, "peer"), rateText(d.rate), rateText(d.rate), header)
	for _, s := range d.strategies {
		r, err := d.try(ctx, s)
		d.live("")
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		fmt.Fprintln(d.out, r)
	}
	fmt.Fprintf(d.out, "\n%d copies, all identical to the source.\n", d.peers*len(d.strategies))
	return nil
}

// source makes the random file, or looks at the one given, and makes sure of the room for
// its copies.
func (d *demo) source() error {
	need := int64(d.peers)
	if d.file == "" {
		d.file = filepath.Join(d.dir, "random.bin")
		need++
	} else {
		info, err := os.Stat(d.file)
		if err != nil {
			return err
		}
		if d.file, err = filepath.Abs(d.file); err != nil {
			return err
		}
		d.size = info.Size()
	}
	if err := checkRoom(d.dir, need*d.size); err != nil {
		return err
	}
	if need > int64(d.peers) {
		d.live("writing " + units.Size(d.size).String() + " of random bytes")
		return fleet.WriteRandom(d.file, d.size, d.seed)
	}
	return nil
}

func describe(file string, size int64) string {
	return fmt.Sprintf("%s (%s)", filepath.Base(file), units.Size(size))
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// rateFlag is a rate as a flag takes it, to the byte.
func rateFlag(r units.Rate) string { return fmt.Sprintf("%dB/s", int64(r)) }

// rateText is a rate in bits, as networks have it.
func rateText(r units.Rate) string {
	if r == units.Unlimited {
		return "nothing"
	}
	return fmt.Sprintf("%.4g Mbit/s", float64(r)*8/1e6)
}

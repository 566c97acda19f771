package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"

	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/progress"
	"fanout/internal/proving/virtual"
)

// result is a run, and what it cost.
type result struct {
	*virtual.Result
	WallSeconds float64 // of this machine
	HeapBytes   uint64  // the most that was seen in use, every tenth of a second
	Revision    string  // of the code that has decided
}

const columns = "%-11s  %-6s  %6s  %6s  %9s  %12s  %14s  %13s  %10s  %8s  %8s  %6d  %s"

var header = fmt.Sprintf("%-11s  %-6s  %6s  %6s  %9s  %12s  %14s  %13s  %10s  %8s  %8s  %6s  %s",
	"scenario", "strat.", "peers", "chunks", "bound", "last ÷ bound", "median ÷ bound", "origin × file", "duplicates", "wall", "memory", "seed", "fingerprint")

// String is the run's row.
func (r result) String() string {
	last, median := "-", "-"
	if len(r.Missing) == 0 {
		last = fmt.Sprintf("%.3f", r.Ratio(r.Last()))
		median = fmt.Sprintf("%.3f", r.Ratio(r.Median()))
	}
	return fmt.Sprintf(columns, r.Plan.Scenario, r.Plan.Strategy, humanize.Comma(int64(r.Plan.Peers)), humanize.Comma(int64(r.Chunks)),
		fmt.Sprintf("%.2f s", r.Bound.Seconds()), last, median, fmt.Sprintf("%.3f", r.Origin), fmt.Sprintf("%.1f %%", 100*r.Duplicates),
		fmt.Sprintf("%.1f s", r.WallSeconds), humanize.IBytes(r.HeapBytes), r.Plan.Seed, r.Fingerprint)
}

// measured lets a plan happen, and watches what that takes.
func measured(ctx context.Context, p virtual.Plan) (result, error) {
	var most atomic.Uint64
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			most.Store(max(most.Load(), heap()))
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	runtime.GC() // what the run before has left is not this one's
	began := time.Now()
	bar := progress.OnTerminal(os.Stderr)
	r, err := virtual.Watch(ctx, p, func(at virtual.Point) { bar.Draw(state(&p, at, time.Since(began))) })
	bar.Clear()
	took := time.Since(began)
	close(done)
	return result{r, took.Seconds(), max(most.Load(), heap()), cli.Revision()}, err
}

// state is what a bar shows of a run: how much of the file a peer has on average. There is no rate,
// since the first and the last parts take much longer than the others.
func state(p *virtual.Plan, at virtual.Point, took time.Duration) progress.State {
	return progress.State{
		What: fmt.Sprintf("%s, %s peers", p.Scenario, humanize.Comma(int64(p.Peers))),
		Done: int64(at.Mean * float64(p.Size)), Total: p.Size,
		Detail: fmt.Sprintf("%.2f s of its time, in %v", at.At.Seconds(), took.Round(time.Second)),
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

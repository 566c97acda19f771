package main

import (
	"fmt"
	"strings"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/daemon/units"
	"fanout/internal/proving/bound"
)

// result is one strategy's row.
type result struct {
	strategy peerapi.Strategy
	size     int64
	times    []time.Duration // of every peer, from the common start
	bound    time.Duration   // 0 if there is none
	sent     float64         // bytes that the origin sent
}

const (
	columns = "%-8s  %10s  %17s  %8s  %5s  %18s"
	barWide = 30
)

var header = fmt.Sprintf(columns, "strategy", "mean time", "distribution time", "bound", "ratio", "origin sent / size")

func (r result) String() string {
	limit, ratio, copies := "-", "-", "-"
	if r.bound > 0 {
		limit, ratio = seconds(r.bound), fmt.Sprintf("%.2f", r.last().Seconds()/r.bound.Seconds())
	}
	if r.size > 0 {
		copies = fmt.Sprintf("%.2f", r.sent/float64(r.size))
	}
	return fmt.Sprintf(columns, r.strategy, seconds(r.mean()), seconds(r.last()), limit, ratio, copies)
}

func (r result) mean() (mean time.Duration) {
	for _, t := range r.times {
		mean += t / time.Duration(len(r.times))
	}
	return mean
}

// last is the distribution time: when the last peer had the whole verified file.
func (r result) last() (last time.Duration) {
	for _, t := range r.times {
		last = max(last, t)
	}
	return last
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// bound is the least time that a strategy can take. The daemons limit payload, so the rates
// are those of the payload.
func (d *demo) bound(s peerapi.Strategy) time.Duration {
	rate := float64(d.rate)
	peers := bound.Equal(d.peers, bound.Link{Up: rate, Down: rate})
	if s == peerapi.StrategyDirect {
		return bound.ClientServer(d.size, rate, peers)
	}
	return bound.PeerToPeer(d.size, rate, peers)
}

// progress is the live line: how much of all copies is there, and the slowest peer's part.
func progress(s peerapi.Strategy, took time.Duration, downloads []peerapi.Download) string {
	var done, all int64
	var rate float64
	slowest, complete := 1.0, 0
	for _, d := range downloads {
		done, all, rate = done+d.BytesDone, all+d.Size, rate+d.RateBytesPerSecond
		if d.State == peerapi.DownloadStateComplete {
			complete++
		} else if d.Size > 0 {
			slowest = min(slowest, float64(d.BytesDone)/float64(d.Size))
		}
	}
	part := 1.0
	if all > 0 {
		part = float64(done) / float64(all)
	}
	filled := int(part * barWide)
	return fmt.Sprintf("%-8s [%s%s] %3.0f %%  %5.1f s  %s a peer  slowest %.0f %%  %d of %d complete", s,
		strings.Repeat("#", filled), strings.Repeat(".", barWide-filled), 100*part, took.Seconds(),
		units.Size(rate/float64(max(len(downloads)-complete, 1))).String()+"/s", 100*slowest, complete, len(downloads))
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet"
)

const (
	// lookEvery is the pause between two looks at the downloads; the times that are printed
	// are the peers' own.
	lookEvery = 200 * time.Millisecond
	// quickest is what a download may take however fast the bound is, for connecting alone.
	quickest = 30 * time.Second
	// slowest is how many times the bound a strategy may take before the demo gives up.
	slowest = 10
)

// try distributes the file under a strategy to fresh peers, and measures it.
func (d *demo) try(ctx context.Context, s peerapi.Strategy) (result, error) {
	r := result{strategy: s, size: d.size, bound: d.bound(s)}
	limit := cmp.Or(d.patience, quickest) + slowest*r.bound
	ctx, cancel := context.WithTimeoutCause(ctx, limit,
		fmt.Errorf("gave up after %v, %d times the bound", limit.Round(time.Second), slowest))
	defer cancel()
	peers, err := d.freshPeers(ctx, s)
	defer func() {
		for _, p := range peers {
			os.RemoveAll(p.DataDir())
		}
	}()
	if err != nil {
		return r, errors.Join(err, stop(peers))
	}
	if r.times, r.sent, err = d.distribute(ctx, s, peers); err == nil {
		d.live(fmt.Sprintf("%-8s comparing %d %s with the source", s, len(peers), plural(len(peers), "file")))
		err = d.compare(ctx, peers)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return r, errors.Join(err, stop(peers))
}

// freshPeers starts peers that have nothing, and makes sure that they alone are the fleet.
func (d *demo) freshPeers(ctx context.Context, s peerapi.Strategy) ([]*fleet.Peer, error) {
	d.live(fmt.Sprintf("%-8s starting %d %s", s, d.peers, plural(d.peers, "peer")))
	var peers []*fleet.Peer
	group, starting := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i := range d.peers {
		p := d.fleet.Peer(fmt.Sprintf("%s-%d", s, i+1), "--max-upload", rateFlag(d.rate), "--max-download", rateFlag(d.rate))
		peers = append(peers, p)
		group.Go(func() error { return p.Start(starting) })
	}
	if err := group.Wait(); err != nil {
		return peers, err
	}
	list, err := d.tracker.API().ListPeersWithResponse(ctx)
	if err != nil {
		return peers, err
	}
	if list.JSON200 == nil || len(list.JSON200.Peers) != d.peers {
		return peers, fmt.Errorf("the tracker should know the %d fresh peers and no other: %s", d.peers, list.Body)
	}
	return peers, nil
}

// distribute starts all downloads at the same moment, and returns the time from then until
// each was complete, and the bytes that the origin sent.
func (d *demo) distribute(ctx context.Context, s peerapi.Strategy, peers []*fleet.Peer) (times []time.Duration, sent float64, err error) {
	before, err := d.origin.Metric(ctx, "fanout_sent_bytes_total")
	if err != nil {
		return nil, 0, err
	}
	downloads := make([]peerapi.Download, len(peers))
	start, err := d.startAll(ctx, s, peers, downloads)
	if err != nil {
		return nil, 0, err
	}
	if err := d.follow(ctx, s, start, peers, downloads); err != nil {
		return nil, 0, err
	}
	for _, one := range downloads {
		times = append(times, fleet.Took(start, one))
	}
	after, err := d.origin.Metric(ctx, "fanout_sent_bytes_total")
	return times, after - before, err
}

func (d *demo) startAll(ctx context.Context, s peerapi.Strategy, peers []*fleet.Peer, downloads []peerapi.Download) (start time.Time, err error) {
	var begun sync.WaitGroup
	gun := make(chan struct{})
	group, posting := errgroup.WithContext(ctx)
	for i, p := range peers {
		begun.Add(1)
		group.Go(func() (err error) {
			begun.Done()
			<-gun
			downloads[i], err = p.Download(posting, peerapi.DownloadRequest{File: filepath.Base(d.file), Strategy: &s})
			return err
		})
	}
	begun.Wait()
	start = time.Now()
	close(gun)
	return start, group.Wait()
}

// follow looks at the downloads until all are complete.
func (d *demo) follow(ctx context.Context, s peerapi.Strategy, start time.Time, peers []*fleet.Peer, downloads []peerapi.Download) error {
	for {
		waiting := 0
		for i, p := range peers {
			if downloads[i].State == peerapi.DownloadStateComplete {
				continue
			}
			var err error
			if downloads[i], err = p.Get(ctx, downloads[i].Id); err != nil {
				return err
			}
			if downloads[i].State == peerapi.DownloadStateComplete {
				continue
			}
			if fleet.Ended(downloads[i]) {
				return fmt.Errorf("the download of %s is %s: %s", p.Name(), downloads[i].State, fleet.Trouble(downloads[i]))
			}
			waiting++
		}
		d.live(progress(s, time.Since(start), downloads))
		if waiting == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d peers have the file: %w", len(peers)-waiting, len(peers), ctx.Err())
		case <-time.After(lookEvery):
		}
	}
}

// compare reads every copy.
func (d *demo) compare(ctx context.Context, peers []*fleet.Peer) error {
	for _, p := range peers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fleet.Compare(p.Path(filepath.Base(d.file)), d.file); err != nil {
			return err
		}
	}
	return nil
}

func stop(peers []*fleet.Peer) error {
	errs := make([]error, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() { errs[i] = p.Stop() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

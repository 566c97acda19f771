package table_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fanout/internal/chunks/trackerfile"
	"fanout/tracker/table"
)

// Whatever the fleet: every chunk has one owner, none has more than one chunk more than
// another, and the owners follow each other in numeric address order.
func TestAssignmentProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		chunks := rapid.IntRange(1, 300).Draw(rt, "chunks")
		addresses := rapid.SliceOfNDistinct(rapid.Custom(drawAddrPort), 1, 40, rapid.ID).Draw(rt, "addresses")
		w.publish(w.manifest("a", chunks, 1), "o")
		for i, a := range addresses {
			parsed, err := table.ParseAddress("", a.String())
			w.ok(err)
			w.Fleet.Register(table.Peer{ID: fmt.Sprint("p", i), Address: parsed})
		}
		slices.SortFunc(addresses, netip.AddrPort.Compare)
		a, err := w.Chunks.Static("a")
		w.ok(err)
		if a.Chunks() != chunks {
			rt.Fatal(a.Chunks(), "chunks have an owner of", chunks)
		}
		share := map[string]int{}
		for chunk := range chunks {
			owner := a.Owner(chunk).String()
			if want := addresses[chunk%len(addresses)].String(); owner != want {
				rt.Fatalf("chunk %d belongs to %s, want %s", chunk, owner, want)
			}
			share[owner]++
		}
		for owner, n := range share {
			if n < chunks/len(addresses) || n > chunks/len(addresses)+1 {
				rt.Fatalf("%s has %d of %d chunks among %d peers", owner, n, chunks, len(addresses))
			}
		}
	})
}

func drawAddrPort(t *rapid.T) netip.AddrPort {
	b := rapid.SliceOfN(rapid.Byte(), 2, 2).Draw(t, "ip")
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, b[0], b[1]}), uint16(rapid.IntRange(1, 65535).Draw(t, "port")))
}

// Against a model of leases: whoever has announced less than a lease ago and not left is
// listed, and nobody else, with sweeps at any time.
func TestLeaseProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.publish(w.manifest("a", 8, 1), "o")
		swarm, fleet := map[int]time.Time{}, map[int]time.Time{}
		peer := rapid.IntRange(1, 5)
		rt.Repeat(map[string]func(*rapid.T){
			"announce": func(rt *rapid.T) {
				n := peer.Draw(rt, "peer")
				w.announce("a", table.Report{ID: fmt.Sprint("p", n), Address: w.address(n)})
				swarm[n] = w.clock.now
			},
			"cancel": func(rt *rapid.T) {
				n := peer.Draw(rt, "peer")
				w.announce("a", table.Report{ID: fmt.Sprint("p", n), Address: w.address(n), State: table.Cancelled})
				delete(swarm, n)
			},
			"register": func(rt *rapid.T) {
				n := peer.Draw(rt, "peer")
				w.register(n)
				fleet[n] = w.clock.now
			},
			"unregister": func(rt *rapid.T) {
				n := peer.Draw(rt, "peer")
				_ = w.Swarms.Unregister(fmt.Sprint("p", n), "") // an error for one that is not there
				delete(fleet, n)
				delete(swarm, n)
			},
			"wait":  func(rt *rapid.T) { w.clock.advance(time.Duration(rapid.IntRange(1, 10).Draw(rt, "s")) * time.Second) },
			"sweep": func(*rapid.T) { w.sweep() },
			"": func(rt *rapid.T) {
				if got, want := w.file("a").Peers, live(swarm, w.clock.now); got != want {
					rt.Fatalf("%d in the swarm, want %d", got, want)
				}
				if got, want := len(w.Fleet.List()), live(fleet, w.clock.now); got != want {
					rt.Fatalf("%d in the fleet, want %d", got, want)
				}
			},
		})
	})
}

func live(seen map[int]time.Time, now time.Time) (n int) {
	for _, at := range seen {
		if now.Sub(at) < table.DefaultLease {
			n++
		}
	}
	return n
}

// A fleet of 200 peers with 10,000 chunks announces 40 times a second.
func BenchmarkAnnounce(b *testing.B) {
	w, reports := bigSwarm(b)
	for i := 0; b.Loop(); i++ {
		w.announce("a", reports[i%len(reports)])
	}
}

func BenchmarkChunksPage(b *testing.B) {
	w, _ := bigSwarm(b)
	for b.Loop() {
		if _, err := w.Chunks.Page("a", 0, 1000); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFiles(b *testing.B) {
	w, _ := bigSwarm(b)
	for b.Loop() {
		w.Files.List()
	}
}

func bigSwarm(b *testing.B) (*world, []table.Report) {
	const peers, chunks = 200, 10_000
	w := newWorld(&testing.T{})
	w.publish(w.manifest("a", chunks, 1), "o")
	var reports []table.Report
	for i := range peers {
		held := make(table.Bitmap, chunks/8)
		for j := range held {
			held[j] = byte(i + j)
		}
		r := table.Report{ID: fmt.Sprint("p", i), Address: w.address(i + 1), Held: held, Owned: make(table.Bitmap, chunks/8)}
		w.announce("a", r)
		reports = append(reports, r)
	}
	return w, reports
}

// Nothing but the mutex protects the table, and pages are made outside of it.
func TestConcurrentUse(t *testing.T) {
	w := newWorld(t)
	m := w.manifest("a", 100, 1)
	w.publish(m, "o")
	w.register(1, 2, 3)
	var done sync.WaitGroup
	for _, act := range []func(i int) error{
		func(i int) error {
			_, err := w.Swarms.Announce("a", w.static(i%3+1, table.States()[i%6]))
			return err
		},
		func(i int) error { _, err := w.Chunks.Page("a", i%100, 10); return err },
		func(i int) error { return w.Chunks.Upload("a", strings.NewReader("")) },
		func(i int) error { return w.Chunks.Forget("a") },
		func(i int) error { _, err := w.Chunks.Static("a"); return err },
		func(i int) error {
			_, err := w.Origins.Publish("a", m, m.ID(), w.origin(fmt.Sprint("o", i%3)))
			return err
		},
		func(i int) error {
			w.Files.List()
			w.Distributions.PeerCounts()
			w.Fleet.List()
			w.Origins.Daemons()
			w.Fleet.Daemons()
			return w.Sweep()
		},
	} {
		done.Go(func() {
			for i := range 200 {
				if err := act(i); err != nil && !errors.Is(err, trackerfile.ErrMalformed) {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
}

package feed_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/tracker/feed"
	"fanout/tracker/store"
	"fanout/tracker/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A viewer who applies the changes to the snapshot has what the table has, whatever happens.
func TestChangesAddUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var steps []func(*world)
		for range rapid.IntRange(1, 15).Draw(rt, "steps") {
			steps = append(steps, drawStep(rt))
		}
		var got, want string
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			v := w.join()
			var s screen
			for _, step := range steps {
				step(w)
				synctest.Wait()
				s.apply(t, v)
			}
			time.Sleep(2 * feed.Every)
			synctest.Wait()
			s.apply(t, v)
			got, want = s.String(), describe(w.Overview())
		})
		if got != want {
			rt.Fatalf("the viewer has\n%s\nthe table\n%s", got, want)
		}
	})
}

// A peer that was taken out while it downloaded, came back paused and fell silent is shown as cancelled
// again: of two views of a peer that differ, the versions do, whatever they are made of.
func TestPeerIsSilentAfterItCameBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v := w.join()
		var s screen
		look := func() string {
			time.Sleep(2 * feed.Every)
			synctest.Wait()
			s.apply(t, v)
			return s.String()
		}
		for range 20 { // versions count up
			w.announce("p1", table.Queued)
			if err := w.Swarms.Unregister("p1", ""); err != nil {
				t.Fatal(err)
			}
			w.announce("p1", table.Paused)
			if got := look(); !strings.Contains(got, "p1:paused") {
				t.Fatal("shows", got)
			}
			for range 15 { // up to the end of its lease, and on
				time.Sleep(time.Second)
				if got, want := look(), describe(w.Overview()); got != want {
					t.Fatalf("the viewer has\n%s\nthe table\n%s", got, want)
				}
			}
		}
	})
}

func drawStep(rt *rapid.T) func(*world) {
	peer := rapid.IntRange(1, 3).Draw(rt, "peer")
	switch rapid.IntRange(0, 11).Draw(rt, "what") {
	case 0:
		return func(w *world) { _ = w.Swarms.Unregister(fmt.Sprint("p", peer), "") }
	case 1:
		return func(*world) { time.Sleep(10 * time.Second) }
	case 2:
		return func(w *world) { _ = w.Origins.Withdraw("a") }
	case 3:
		return func(w *world) { w.publish("a") }
	case 4, 5, 6:
		return func(*world) { time.Sleep(feed.Every) }
	}
	held := rapid.SliceOfN(rapid.Byte(), 2, 2).Draw(rt, "held")
	owned := rapid.SliceOfN(rapid.Byte(), 2, 2).Draw(rt, "owned")
	held[1], owned[1] = held[1]&0xc0, owned[1]&0xc0
	state := rapid.SampledFrom(table.States()).Draw(rt, "state")
	return func(w *world) {
		_, _ = w.Swarms.Announce("a", table.Report{ID: fmt.Sprint("p", peer), Address: w.address(peer), State: state, Held: held, Owned: owned})
	}
}

// Who does not read is cut off; the others do not notice.
func TestSlowViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow, good := w.join(), w.join()
		n := 0
		for range 60 { // heartbeats
			time.Sleep(time.Second)
			synctest.Wait()
			for len(good.Events()) > 0 {
				<-good.Events()
				n++
			}
		}
		if n < 55 || n > 70 {
			t.Error(n, "events in a minute in which nothing happened")
		}
		for range slow.Events() { // ends, since it is closed
		}
		w.feed.Leave(slow)
		if !w.feed.Watched() {
			t.Error("the good one was cut off, too")
		}
		w.feed.Leave(good)
		w.feed.Leave(good)
		if w.feed.Watched() {
			t.Error("watched by nobody")
		}
	})
}

func TestViewersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range feed.MaxViewers {
			w.join()
		}
		if _, err := w.feed.Join(); err == nil {
			t.Error("one more")
		}
	})
}

// The table is looked at once for all viewers, not more than the rate allows, and not at all
// without viewers.
func TestLooksOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		time.Sleep(time.Minute)
		if n := w.looks.Load(); n != 0 {
			t.Error(n, "looks for nobody")
		}
		for range 10 {
			v := w.join()
			go func() {
				for range v.Events() {
				}
			}()
		}
		time.Sleep(10 * time.Second)
		if n := w.looks.Load(); n < 39 || n > 42 {
			t.Error(n, "looks in ten seconds")
		}
	})
}

// world is a table with a file and a feed of it.
type world struct {
	*table.Table
	t     *testing.T
	feed  *feed.Feed
	looks atomic.Int64
}

func newWorld(t *testing.T) *world {
	tbl, err := table.New(table.Options{Store: store.NewMemory(), Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Table: tbl, t: t}
	w.feed = feed.New(func() table.Overview { w.looks.Add(1); return tbl.Overview() })
	w.publish("a")
	return w
}

// join adds a viewer, who leaves when the test ends, if not before.
func (w *world) join() *feed.Viewer {
	w.t.Helper()
	v, err := w.feed.Join()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.feed.Leave(v) })
	return v
}

func (w *world) publish(name string) {
	m := &manifest.Manifest{Name: name, Size: 10 * 32768, ChunkSize: 32768, Digests: make([]manifest.Digest, 10)}
	if _, err := w.Origins.Publish(name, m, m.ID(), table.Origin{ID: "o", Address: w.address(99)}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) announce(peer string, s table.State) {
	if _, err := w.Swarms.Announce("a", table.Report{ID: peer, Address: w.address(1), State: s, Held: table.Bitmap{0, 0}, Owned: table.Bitmap{0, 0}}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) address(n int) table.Address {
	a, err := table.ParseAddress("", fmt.Sprintf("10.0.0.%d:2685", n))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// screen is what a viewer makes of events.
type screen struct {
	files    map[string]map[string]string // manifest -> peer -> state and chunks
	finished int
}

func (s *screen) apply(t *testing.T, v *feed.Viewer) {
	t.Helper()
	for len(v.Events()) > 0 {
		event, ok := <-v.Events()
		if !ok {
			t.Fatal("cut off")
		}
		name, data, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(string(event), "event: "), "\n\n"), "\ndata: ")
		var e trackerapi.SwarmEvent
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatalf("%s: %v", event, err)
		}
		if (name == "snapshot") != (s.files == nil) {
			t.Fatal("a", name, "came")
		}
		s.take(e)
	}
}

func (s *screen) take(e trackerapi.SwarmEvent) {
	if s.files == nil {
		s.files = map[string]map[string]string{}
	}
	if e.Distributions != nil {
		s.finished = len(*e.Distributions)
	}
	for _, id := range deref(e.FilesGone) {
		delete(s.files, id)
	}
	for _, f := range deref(e.Files) {
		if s.files[f.ManifestId] == nil {
			s.files[f.ManifestId] = map[string]string{}
		}
		peers := s.files[f.ManifestId]
		for _, id := range deref(f.MembersGone) {
			delete(peers, id)
		}
		for _, m := range deref(f.Members) {
			_, before, _ := strings.Cut(peers[m.Id], " ")
			peers[m.Id] = string(m.State) + " " + unfold(m.Chunks, before, f.ChunksTotal)
		}
	}
}

// unfold reads runs.
func unfold(runs, before string, chunks int) string {
	if before == "" {
		before = strings.Repeat("M", chunks)
	}
	after := []byte(before)
	for at := 0; runs != ""; {
		letter, rest := runs[0], strings.TrimLeft(runs[1:], "0123456789abcdefghijklmnopqrstuvwxyz")
		n := int64(1)
		if length := runs[1 : len(runs)-len(rest)]; length != "" {
			n, _ = strconv.ParseInt(length, 36, 64)
		}
		for range n {
			if letter != 'K' {
				after[at] = letter
			}
			at++
		}
		runs = rest
	}
	return string(after)
}

func (s *screen) String() string {
	return fmt.Sprint(s.files, " ", s.finished)
}

func describe(o table.Overview) string {
	s := screen{files: map[string]map[string]string{}, finished: len(o.Finished)}
	for _, f := range o.Swarms {
		peers := map[string]string{}
		for _, m := range f.Members {
			chunks := ""
			for c := range f.Chunks {
				switch {
				case !m.Held.Has(c):
					chunks += "M"
				case m.Owned.Has(c):
					chunks += "O"
				default:
					chunks += "P"
				}
			}
			peers[m.ID] = string(m.State) + " " + chunks
		}
		s.files[f.ID.String()] = peers
	}
	return s.String()
}

func deref[T any](list *[]T) []T {
	if list == nil {
		return nil
	}
	return *list
}

// The snapshot of 200 peers with 10,000 chunks in the worst order; 50 ms of it are the pause
// before it.
func BenchmarkSnapshot(b *testing.B) {
	tbl, err := table.New(table.Options{Store: store.NewMemory(), Now: time.Now, Rand: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		b.Fatal(err)
	}
	const peers, chunks = 200, 10_000
	m := &manifest.Manifest{Name: "a", Size: chunks << 20, ChunkSize: 1 << 20, Digests: make([]manifest.Digest, chunks)}
	origin, _ := table.ParseAddress("", "10.0.0.1:2684")
	if _, err := tbl.Origins.Publish("a", m, m.ID(), table.Origin{ID: "o", Address: origin}); err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	f := feed.New(tbl.Overview)
	for b.Loop() {
		b.StopTimer()
		announceAll(b, tbl, random, peers, chunks)
		b.StartTimer()
		v, err := f.Join()
		if err != nil {
			b.Fatal(err)
		}
		event := <-v.Events()
		b.ReportMetric(float64(len(event)), "snapshot-bytes")
		f.Leave(v)
	}
}

func announceAll(b *testing.B, tbl *table.Table, random *rand.Rand, peers, chunks int) {
	for i := range peers {
		held := make(table.Bitmap, chunks/8)
		for c := range held {
			held[c] = byte(random.Uint32())
		}
		a, _ := table.ParseAddress("", fmt.Sprintf("10.0.1.%d:2685", i+1))
		if _, err := tbl.Swarms.Announce("a", table.Report{ID: fmt.Sprint("p", i), Address: a, Held: held}); err != nil {
			b.Fatal(err)
		}
	}
}

package table_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"fanout/internal/chunks/manifest"
	"fanout/tracker/store"
	"fanout/tracker/table"
)

// A name stands for what was published last; what it stood for before stays while it is used,
// and an hour.
func TestRepublish(t *testing.T) {
	w := newWorld(t)
	first, second := w.manifest("a", 3, 1), w.manifest("a", 3, 2)
	if !w.publish(first, "o1") || w.publish(first, "o1") {
		t.Error("only the first publication is new")
	}
	if !w.publish(second, "o1") {
		t.Error("other content is new")
	}
	if v := w.file("a"); v.ID != second.ID() || !v.Current {
		t.Errorf("a is %+v", v)
	}
	if v := w.file(first.ID().String()); v.Current || v.ID != first.ID() {
		t.Errorf("the first is %+v", v)
	}
	if got := w.listed(); got != "a current, a" {
		t.Error("listed:", got)
	}
	w.announce(first.ID().String(), table.Report{ID: "p1", Address: w.address(1)}) // does not move the name
	w.clock.advance(16 * time.Second)
	if got := w.listed(); got != "a current" {
		t.Error("the first is listed though nobody uses it:", got)
	}
	for range 300 { // 70 minutes of a peer at the first
		w.clock.advance(14 * time.Second)
		w.announce(first.ID().String(), table.Report{ID: "p1", Address: w.address(1)})
		w.sweep()
	}
	w.file(first.ID().String())
	w.clock.advance(16 * time.Second)
	w.sweep()
	if _, err := w.Files.Get(first.ID().String()); !errors.Is(err, table.ErrUnknown) {
		t.Error("the first is still there:", err)
	}
	if !w.publish(first, "o1") || w.file("a").ID != first.ID() {
		t.Error("the first cannot return")
	}
	if v := w.file(second.ID().String()); v.Current {
		t.Error("two are current")
	}
}

func TestWithdraw(t *testing.T) {
	w := newWorld(t)
	m := w.manifest("a", 3, 1)
	w.publish(m, "o1")
	id := m.ID().String()
	w.ok(w.Origins.Withdraw("a"))
	for _, name := range []string{"a", id} {
		if _, err := w.Origins.Renew(name, w.origin("o1")); !errors.Is(err, table.ErrWithdrawn) || !strings.Contains(err.Error(), "2026-01-02T03:04:05Z") {
			t.Errorf("origin announces %s: %v", name, err)
		}
	}
	w.restart()
	if _, err := w.Origins.Renew(id, w.origin("o1")); !errors.Is(err, table.ErrWithdrawn) {
		t.Error("forgotten in the restart:", err)
	}
	other := w.manifest("a", 3, 2)
	w.publish(other, "o2")
	if w.file("a").ID != other.ID() {
		t.Error("the name is not free again")
	}
	if _, err := w.Files.Get(id); !errors.Is(err, table.ErrWithdrawn) {
		t.Error(err)
	}
	if !w.publish(m, "o1") {
		t.Error("a restarted origin cannot publish it again")
	}
	w.file(id)
	w.ok(w.Origins.Withdraw("a"))
	w.clock.advance(31 * 24 * time.Hour)
	w.sweep()
	if _, err := w.Files.Get(id); !errors.Is(err, table.ErrUnknown) {
		t.Error("remembered for ever:", err)
	}
}

func TestUnknownNamesSayWhatThereIs(t *testing.T) {
	w := newWorld(t)
	check := func(name, want string) {
		t.Helper()
		_, err := w.Files.Get(name)
		if !errors.Is(err, table.ErrUnknown) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	check("x", `no file named "x" is published, nor any other; publish it with: origin --tracker URL x`)
	w.publish(w.manifest("b", 1, 1), "o1")
	w.publish(w.manifest("a b", 1, 1), "o1")
	check("x", `no file named "x" is published; published are: a b, b`)
	for i := range 20 {
		w.publish(w.manifest(fmt.Sprintf("c%02d", i), 1, 1), "o1")
	}
	check("x", `no file named "x" is published; published are: a b, b, c00, c01, c02, c03, c04, c05, c06, c07 and 12 more (GET /v1/files)`)
	id := strings.Repeat("0", 64)
	check(id, "no manifest "+id+" is known; GET /v1/files lists the files")
}

func TestPublishUnderAnotherName(t *testing.T) {
	w := newWorld(t)
	m := w.manifest("a", 1, 1)
	_, err := w.Origins.Publish("b", m, m.ID(), w.origin("o"))
	var e *table.Error
	if !errors.As(err, &e) || e.Kind != table.ErrInvalid || e.Field != "manifest.name" {
		t.Error(err)
	}
}

// An origin hears which origins are listed, itself among them, and no more of one whose lease has
// run out or that has left: by that they divide the file.
func TestOriginsHearOfEachOther(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 3, 1), "o1")
	named := func(id string) (all []string) {
		t.Helper()
		reply, err := w.Origins.Renew("a", w.origin(id))
		w.ok(err)
		for _, o := range reply.Origins {
			all = append(all, o.ID)
		}
		return all
	}
	for _, tt := range []struct {
		announces string
		want      []string
	}{{"o1", []string{"o1"}}, {"o2", []string{"o1", "o2"}}, {"o3", []string{"o1", "o2", "o3"}}} {
		if got := named(tt.announces); !slices.Equal(got, tt.want) {
			t.Errorf("%s hears of %v, want %v", tt.announces, got, tt.want)
		}
	}
	_, err := w.Origins.Leave("a", w.origin("o3"))
	w.ok(err)
	w.clock.advance(table.DefaultLease / 2)
	if got := named("o1"); !slices.Equal(got, []string{"o1", "o2"}) {
		t.Errorf("after one has left: %v", got)
	}
	w.clock.advance(table.DefaultLease / 2)
	if got := named("o1"); !slices.Equal(got, []string{"o1"}) {
		t.Errorf("after the end of a lease: %v", got)
	}
}

// An announce is answered with the origins and the other peers that share.
func TestAnnounce(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 3, 1), "o2")
	if _, err := w.Origins.Renew("a", w.origin("o1")); err != nil {
		t.Error(err)
	}
	for i, s := range table.States() {
		w.announce("a", table.Report{ID: string(s), Address: w.address(i + 1), State: s})
	}
	reply := w.announce("a", table.Report{ID: "me", Address: w.address(9)})
	if got := ids(reply); got != "complete downloading" {
		t.Error("peers:", got)
	}
	if len(reply.Origins) != 2 || reply.ID != w.file("a").ID {
		t.Errorf("%+v", reply)
	}
	if got := ids(w.announce("a", table.Report{ID: "complete", Address: w.address(4), State: table.Complete})); got != "downloading me" {
		t.Error("peers of a complete one:", got)
	}
	if v := w.file("a"); v.Peers != 6 || v.PeersComplete != 1 {
		t.Errorf("%d peers, %d complete; the cancelled one is out", v.Peers, v.PeersComplete)
	}
	if got := fmt.Sprint(w.Distributions.PeerCounts()); got != "map[complete:1 downloading:2 failed:1 paused:1 queued:1]" {
		t.Error(got)
	}
	w.clock.advance(15 * time.Second)
	if reply := w.announce("a", table.Report{ID: "late", Address: w.address(10)}); len(reply.Peers)+len(reply.Origins) != 0 {
		t.Errorf("after the leases: %+v", reply)
	}
}

func TestAnnounceOfARestartedPeer(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 3, 1), "o")
	w.Fleet.Register(table.Peer{ID: "old", Address: w.address(1)})
	w.announce("a", table.Report{ID: "old", Address: w.address(1)})
	w.Fleet.Register(table.Peer{ID: "new", Address: w.address(1)})
	w.announce("a", table.Report{ID: "new", Address: w.address(1)})
	if got := ids(w.announce("a", table.Report{ID: "other", Address: w.address(2)})); got != "new" {
		t.Error("swarm:", got)
	}
	if fleet := w.Fleet.List(); len(fleet) != 1 || fleet[0].ID != "new" {
		t.Error("fleet:", fleet)
	}
}

// With more peers than an answer has room for, the choice is random, but the same for a seed.
func TestAnnounceSamples(t *testing.T) {
	sample := func() (samples []string) {
		w := newWorld(t)
		w.publish(w.manifest("a", 3, 1), "o")
		for i := range 100 {
			w.announce("a", table.Report{ID: fmt.Sprint("p", i), Address: w.address(i + 1)})
		}
		for range 3 {
			reply := w.announce("a", table.Report{ID: "p0", Address: w.address(1)})
			if len(reply.Peers) != table.MaxPeers {
				t.Fatal(len(reply.Peers), "peers")
			}
			samples = append(samples, ids(reply))
		}
		return samples
	}
	first := sample()
	if first[0] == first[1] || first[1] == first[2] {
		t.Error("always the same peers")
	}
	if !slices.Equal(first, sample()) {
		t.Error("another choice with the same seed")
	}
}

func TestBitmapsMustFit(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 10, 1), "o")
	for _, c := range []struct {
		report table.Report
		field  string
	}{
		{table.Report{Held: table.Bitmap{0xff, 0xc0}}, ""},
		{table.Report{Held: table.Bitmap{0xff}}, "held"},
		{table.Report{Held: table.Bitmap{}}, "held"},
		{table.Report{Held: table.Bitmap{0xff, 0xe0}}, "held"},
		{table.Report{Owned: table.Bitmap{1, 2, 3}}, "owned"},
	} {
		c.report.ID, c.report.Address = "p", w.address(1)
		_, err := w.Swarms.Announce("a", c.report)
		var e *table.Error
		if c.field == "" && err != nil || c.field != "" && (!errors.As(err, &e) || e.Kind != table.ErrInvalid || e.Field != c.field) {
			t.Errorf("%v %v: %v", c.report.Held, c.report.Owned, err)
		}
	}
}

func TestUnregister(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 3, 1), "o")
	w.Fleet.Register(table.Peer{ID: "p", Address: w.address(1)})
	w.announce("a", table.Report{ID: "p", Address: w.address(1)})
	w.ok(w.Swarms.Unregister("p", ""))
	if len(w.Fleet.List()) != 0 || w.file("a").Peers != 0 {
		t.Error("still there")
	}
	if err := w.Swarms.Unregister("p", ""); !errors.Is(err, table.ErrUnknown) {
		t.Error(err)
	}
}

func TestDaemons(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"a", "b"} {
		m := w.manifest(name, 1, 1)
		_, err := w.Origins.Publish(name, m, m.ID(), table.Origin{ID: "o", Address: w.address(1), HTTPAddress: w.address(2)})
		w.ok(err)
	}
	w.Fleet.Register(table.Peer{ID: "p2", Address: w.address(4), HTTPAddress: w.address(5)})
	w.Fleet.Register(table.Peer{ID: "p1", Address: w.address(6), HTTPAddress: w.address(7)})
	w.Fleet.Register(table.Peer{ID: "secretive", Address: w.address(8)})
	origins, peers := w.Origins.Daemons(), w.Fleet.Daemons()
	if got := fmt.Sprint(origins, peers); got != "[{o 10.0.0.2:2685}] [{p1 10.0.0.7:2685} {p2 10.0.0.5:2685}]" {
		t.Error(got)
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.2:2685": "10.0.0.2:2685", "[fd00::2]:1": "[fd00::2]:1", "peer-1:65535": "peer-1:65535",
		"[0:0::1]:5": "[::1]:5", "[::ffff:10.0.0.2]:5": "10.0.0.2:5",
		":5": "", "a": "", "a:0": "", "a:65536": "", "a:b": "", "0.0.0.0:5": "", "[::]:5": "", "a b:5": "", "::1:5": "",
	} {
		got, err := table.ParseAddress("address", text)
		if got.String() != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
}

// world is a table with everything that surrounds it.
type world struct {
	*table.Table
	t     *testing.T
	clock *clock
	store store.Store
}

type clock struct{ now time.Time }

func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, store: store.NewMemory()}
	w.restart()
	return w
}

// restart makes the table anew of what was stored.
func (w *world) restart() {
	w.t.Helper()
	table, err := table.New(table.Options{
		Store: w.store, Now: func() time.Time { return w.clock.now }, Rand: rand.New(rand.NewPCG(1, 2)),
	})
	w.ok(err)
	w.Table = table
}

func (w *world) manifest(name string, chunks int, content byte) *manifest.Manifest {
	m := &manifest.Manifest{Name: name, Size: int64(chunks) * 32768, ChunkSize: 32768, Digests: make([]manifest.Digest, chunks)}
	if chunks > 0 {
		m.Digests[0][0] = content
	}
	return m
}

func (w *world) publish(m *manifest.Manifest, origin string) (created bool) {
	w.t.Helper()
	created, err := w.Origins.Publish(m.Name, m, m.ID(), w.origin(origin))
	w.ok(err)
	return created
}

func (w *world) origin(id string) table.Origin {
	a, err := table.ParseAddress("", id+":2684")
	w.ok(err)
	return table.Origin{ID: id, Address: a}
}

// address is the chunk address of the nth peer, n from 1 on.
func (w *world) address(n int) table.Address {
	a, err := table.ParseAddress("", fmt.Sprintf("10.0.%d.%d:2685", n/256, n%256))
	w.ok(err)
	return a
}

func (w *world) announce(name string, r table.Report) table.Reply {
	w.t.Helper()
	reply, err := w.Swarms.Announce(name, r)
	w.ok(err)
	return reply
}

func (w *world) file(name string) table.FileView {
	w.t.Helper()
	v, err := w.Files.Get(name)
	w.ok(err)
	return v
}

func (w *world) listed() string {
	var s []string
	for _, v := range w.Files.List() {
		if v.Current {
			v.Name += " current"
		}
		s = append(s, v.Name)
	}
	return strings.Join(s, ", ")
}

func (w *world) sweep() { w.t.Helper(); w.ok(w.Sweep()) }

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func ids(r table.Reply) string {
	var s []string
	for _, p := range r.Peers {
		s = append(s, p.ID)
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

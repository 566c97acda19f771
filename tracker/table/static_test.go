package table_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"fanout/internal/chunks/trackerfile"
	"fanout/tracker/table"
)

// Before a static download begins, the table shows what would be; then it stays as long as a
// static download goes on.
func TestStaticAssignment(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	if _, err := w.Chunks.Static("a"); !errors.Is(err, table.ErrNoPeers) || !strings.Contains(err.Error(), "start peers first") {
		t.Error(err)
	}
	w.register(10, 9) // 10.0.0.9 comes first: numbers, not text
	w.wantTable("a", "9 10 9 10")
	w.register(8)
	w.wantTable("a", "8 9 10 8") // still a preview
	w.announce("a", w.static(9, table.Downloading))
	w.register(7)
	w.wantTable("a", "8 9 10 8")
	w.wantOwners("a", "8 9 10 8")

	w.announce("a", w.static(8, table.Downloading))
	w.announce("a", w.static(9, table.Cancelled))
	w.wantTable("a", "8 9 10 8") // 8 is still at it
	w.announce("a", w.static(8, table.Complete))
	w.wantTable("a", "8 9 10 8") // and serves
	w.announce("a", w.static(8, table.Failed))
	w.wantTable("a", "7 8 9 10")
	w.wantOwners("a", "- - - -")

	w.announce("a", w.static(10, table.Queued)) // the next one begins
	w.ok(w.Swarms.Unregister("p7", ""))
	w.wantTable("a", "7 8 9 10")
}

// The assignment ends with the lease of the last static download, not with the announce of
// another strategy.
func TestStaticAssignmentEndsWithTheLease(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 2, 1), "o")
	w.register(1, 2)
	w.announce("a", w.static(1, table.Complete))
	w.announce("a", table.Report{ID: "p2", Address: w.address(2), Strategy: table.Swarm, Owned: table.Bitmap{0x80}})
	w.clock.advance(14 * time.Second)
	w.register(2, 3)
	w.wantTable("a", "1 2")
	w.clock.advance(time.Second)
	w.wantTable("a", "2 3")
}

func TestStaticAssignmentSurvivesARestart(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 2, 1), "o")
	w.register(1, 2)
	w.announce("a", w.static(1, table.Downloading))
	w.restart()
	w.register(2) // the first to come back
	w.announce("a", w.static(2, table.Downloading))
	w.wantTable("a", "1 2")
	w.clock.advance(29 * time.Second)
	w.sweep()
	w.wantTable("a", "1 2") // p2 has gone, but p1 may yet come
	w.clock.advance(time.Second)
	w.register(2, 3)
	w.sweep()
	w.wantTable("a", "2 3")
	w.restart()
	w.register(3)
	w.wantTable("a", "3 3")
}

func TestUploadedTable(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 3, 1), "o")
	w.register(1, 2, 3)
	w.announce("a", w.static(1, table.Downloading))
	w.ok(w.Chunks.Upload("a", strings.NewReader("2\t10.0.0.3\n0\t10.0.0.3:2685\n1\t10.0.0.2\n"))) // bare IPs will do
	w.wantTable("a", "3 2 3")
	w.wantOwners("a", "3 2 3")
	w.restart()
	w.wantTable("a", "3 2 3") // though no peer is there
	w.register(1, 2)
	w.announce("a", w.static(1, table.Downloading))
	w.wantTable("a", "3 2 3")
	w.ok(w.Chunks.Forget("a"))
	w.ok(w.Chunks.Forget("a"))
	w.announce("a", w.static(1, table.Downloading))
	w.wantTable("a", "1 2 1")
	w.restart()
	w.wantTable("a", "1 2 1")
}

func TestUploadRefuses(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 2, 1), "o")
	w.register(1, 2)
	second, err := table.ParseAddress("", "10.0.0.2:9999")
	w.ok(err)
	w.Fleet.Register(table.Peer{ID: "second", Address: second})
	for _, c := range []struct {
		text string
		kind error
		want string
	}{
		{"0\t10.0.0.1\n1\t10.0.0.9:2685\n", table.ErrInvalid, `line 2: chunk 1: "10.0.0.9:2685" is no registered peer; GET /v1/peers lists them`},
		{"0\t10.0.0.1:1\n1\t10.0.0.1\n", table.ErrInvalid, `line 1: chunk 0: "10.0.0.1:1" is no registered peer; GET /v1/peers lists them`},
		{"0\t10.0.0.2\n1\t10.0.0.1\n", table.ErrInvalid, `line 1: chunk 0: "10.0.0.2" has 2 peers, 10.0.0.2:2685 and 10.0.0.2:9999 among them; add the port`},
		{"0\t10.0.0.1\n", trackerfile.ErrMalformed, "1 of 2 chunks have no line: 1;"},
		{"7\t10.0.0.1\n", trackerfile.ErrMalformed, "there is no chunk 7"},
	} {
		if err := w.Chunks.Upload("a", strings.NewReader(c.text)); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
	w.wantTable("a", "1 2") // nothing was kept
	if err := w.Chunks.Upload("b", strings.NewReader("")); !errors.Is(err, table.ErrUnknown) {
		t.Error(err)
	}
}

func TestEmptyFile(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("empty", 0, 0), "o")
	w.wantTable("empty", "")
	w.register(1)
	w.announce("empty", w.static(1, table.Complete))
	w.wantTable("empty", "")
	w.ok(w.Chunks.Upload("empty", strings.NewReader("")))
	if page, err := w.Chunks.Page("empty", 0, 10); err != nil || page.Total != 0 || page.Chunks == nil || w.file("empty").PeersComplete != 1 {
		t.Error(page, err)
	}
}

// In a swarm the owners are those that the origin's handouts made, as the peers report.
func TestChunks(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 10, 1), "o")
	w.announce("a", table.Report{ID: "p10", Address: w.address(10), Held: table.Bitmap{0xc0, 0}, Owned: table.Bitmap{0x80, 0}})
	w.announce("a", table.Report{ID: "p9", Address: w.address(9), Held: table.Bitmap{0x40, 0x40}, Owned: table.Bitmap{0, 0x40}})
	w.announce("a", table.Report{ID: "p1", Address: w.address(1), State: table.Complete})
	w.announce("a", table.Report{ID: "p2", Address: w.address(2), State: table.Paused, Held: table.Bitmap{0xff, 0xc0}})
	page, err := w.Chunks.Page("a", 0, 2)
	w.ok(err)
	const a1, a9, a10 = "10.0.0.1:2685", "10.0.0.9:2685", "10.0.0.10:2685"
	if got, want := fmt.Sprint(page.Chunks), fmt.Sprintf("[{0 %s [%s %s]} {1  [%s %s %s]}]", a10, a1, a10, a1, a9, a10); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	page, err = w.Chunks.Page("a", 9, 100)
	w.ok(err)
	if got, want := fmt.Sprint(page.Chunks), fmt.Sprintf("[{9 %s [%s %s]}]", a9, a1, a9); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if page, err = w.Chunks.Page("a", 1<<40, 5); err != nil || len(page.Chunks) != 0 {
		t.Error(page, err)
	}
}

func (w *world) register(numbers ...int) {
	for _, n := range numbers {
		w.Fleet.Register(table.Peer{ID: fmt.Sprint("p", n), Address: w.address(n)})
	}
}

func (w *world) static(n int, s table.State) table.Report {
	return table.Report{ID: fmt.Sprint("p", n), Address: w.address(n), Strategy: table.Static, State: s}
}

// wantTable compares the table with the numbers of the peers.
func (w *world) wantTable(name, want string) {
	w.t.Helper()
	a, err := w.Chunks.Static(name)
	w.ok(err)
	var got []string
	for chunk := range a.Chunks() {
		got = append(got, number(a.Owner(chunk).String()))
	}
	if strings.Join(got, " ") != want {
		w.t.Errorf("table %v, want %s", got, want)
	}
}

func (w *world) wantOwners(name, want string) {
	w.t.Helper()
	page, err := w.Chunks.Page(name, 0, 100)
	w.ok(err)
	var got []string
	for _, c := range page.Chunks {
		got = append(got, number(c.Owner))
	}
	if strings.Join(got, " ") != want {
		w.t.Errorf("owners %v, want %s", got, want)
	}
}

func number(address string) string {
	if address == "" {
		return "-"
	}
	return strings.TrimSuffix(strings.TrimPrefix(address, "10.0.0."), ":2685")
}

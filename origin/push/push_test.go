package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/trackerclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// How a push ends, by what the tracker answers, one answer a look.
func TestRun(t *testing.T) {
	const (
		done    = trackerapi.RolloutStateComplete
		loading = trackerapi.RolloutStateDownloading
		failed  = trackerapi.RolloutStateFailed
	)
	for _, c := range []struct {
		what    string
		cfg     Config
		answers []answer // the last one is repeated
		want    string   // what the error contains; empty for none
	}{
		{"all have it", Config{}, []answer{{peers: on(loading, loading)}, {peers: on(done, done)}}, ""},
		{"one fails", Config{}, []answer{{peers: on(loading, failed)}, {peers: on(done, failed)}}, "a: 1 of 2 peers have it; failed: p2"},
		{"one is off", Config{}, []answer{{peers: append(on(done), offline("p2"))}}, "a: 1 of 2 peers have it; off: p2"},
		{"one is waited for", Config{Wait: true}, []answer{{peers: append(on(done), offline("p2"))}, {peers: on(done, done)}}, ""},
		{"they are waited for", Config{Wait: true}, []answer{{}, {peers: on(loading)}, {peers: on(done)}}, ""},
		{"nobody is there any more", Config{}, []answer{{}}, "a: 0 of 0 peers have it"},
		{"the tracker is away for a while", Config{}, []answer{{peers: on(loading)}, {status: 503}, {peers: on(done)}}, ""},
		{"it is ended", Config{}, []answer{{peers: on(loading)}, {status: 404}}, "a: the rollout was ended from elsewhere"},
		{"the file is withdrawn", Config{}, []answer{{peers: on(loading)}, {status: 410}}, "a: it was withdrawn at the tracker"},
		{"another one takes its place", Config{}, []answer{{peers: on(loading)}, {id: "2", peers: on(loading)}}, "a: the rollout was ended from elsewhere"},
		{"it takes too long", Config{Timeout: time.Nanosecond}, []answer{{peers: on(loading)}}, "gave up after 1ns: "},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := newPush(t, c.cfg, c.answers)
			err := p.Run(t.Context(), publish())
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if p.rollouts.complete() != (c.want == "") {
				t.Error("complete:", p.rollouts.complete())
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	loading := on(trackerapi.RolloutStateDownloading)
	p := newPush(t, Config{}, []answer{{peers: loading}, {peers: loading, then: cancel}})
	err := p.Run(ctx, publish())
	if !errors.As(err, &cli.Interrupted{}) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted: 0 of 1 peers have a; the rollout goes on") || !strings.Contains(err.Error(), "curl -X DELETE http://127.0.0.1:") {
		t.Error(err)
	}
	asking, cancel := context.WithCancel(t.Context())
	p = newPush(t, Config{}, []answer{{peers: loading, then: cancel}, {peers: loading}}) // while it is asked for
	if err := p.Run(asking, publish()); err == nil || !strings.Contains(err.Error(), "interrupted: 0 of 1 peers have a; ") {
		t.Error(err)
	}
	p = newPush(t, Config{}, []answer{{}})
	if err := p.Run(ctx, nil); err == nil || err.Error() != "interrupted: no peer was asked for anything" {
		t.Error(err)
	}
}

// What becomes of the rollouts when a push gives up, by what else there is. Every file is told
// of, and what is ended was asked to be.
func TestGivesUp(t *testing.T) {
	loading := trackerapi.RolloutPeer{Id: "p1", Online: true, State: trackerapi.RolloutStateDownloading}
	complete := trackerapi.RolloutPeer{Id: "p2", Online: true, State: trackerapi.RolloutStateComplete}
	gone := trackerapi.RolloutPeer{Id: "p2", State: trackerapi.RolloutStateComplete}
	for _, c := range []struct {
		what   string
		peers  []trackerapi.RolloutPeer
		file   trackerapi.File
		status int // of the DELETE
		want   string
		ends   bool
	}{
		{"nobody else", []trackerapi.RolloutPeer{loading}, trackerapi.File{Origins: []trackerapi.Origin{{Id: "own"}}}, 204, "0 of 1 peers have it; not done: p1; the rollout of a was ended, for nobody else has the whole file", true},
		{"a peer that has it and is off", []trackerapi.RolloutPeer{loading, gone}, trackerapi.File{}, 204, "the rollout of a was ended", true},
		{"ended by somebody else meanwhile", []trackerapi.RolloutPeer{loading}, trackerapi.File{}, 404, "the rollout of a was ended", true},
		{"a peer that has it", []trackerapi.RolloutPeer{loading, complete}, trackerapi.File{}, 0, "the rollout of a goes on with those that have the file; to take it back: curl -X DELETE URL/v1/files/ID/rollout", false},
		{"a peer that was not asked has it", []trackerapi.RolloutPeer{loading}, trackerapi.File{PeersComplete: 1}, 0, "the rollout of a goes on", false},
		{"another origin", []trackerapi.RolloutPeer{loading}, trackerapi.File{Origins: []trackerapi.Origin{{Id: "own"}, {Id: "other"}}}, 0, "the rollout of a goes on", false},
		{"a tracker that fails", []trackerapi.RolloutPeer{loading}, trackerapi.File{}, 500, "the rollout of a may go on, for it could not be ended (", true},
	} {
		t.Run(c.what, func(t *testing.T) {
			ended := false
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodDelete:
					ended = true
					if c.status == http.StatusNoContent {
						w.WriteHeader(c.status)
						return
					}
					reply(w, c.status, trackerapi.Problem{Title: http.StatusText(c.status), Status: c.status})
				case strings.HasSuffix(r.URL.Path, "/rollout"):
					reply(w, 200, answer{peers: c.peers}.rollout())
				default:
					reply(w, 200, c.file)
				}
			}))
			t.Cleanup(srv.Close)
			p := New(Config{Tracker: client(t, srv.URL), Files: 1, Origin: "own", Timeout: time.Second})
			v := answer{peers: c.peers}.rollout()
			p.rollouts.seen = []*trackerapi.Rollout{&v}
			err := p.gaveUp(t.Context(), "gave up after 1s")
			want := strings.NewReplacer("URL", srv.URL, "ID", id.String()).Replace(c.want)
			if !strings.HasPrefix(err.Error(), "gave up after 1s: a: ") || !strings.Contains(err.Error(), want) || ended != c.ends {
				t.Errorf("ended %v; got %v, want %s", ended, err, want)
			}
		})
	}
}

// Interrupted without a tracker, it says that too.
func TestInterruptedWithoutTracker(t *testing.T) {
	p := New(Config{Tracker: client(t, "http://127.0.0.1:1"), Files: 2})
	v := answer{peers: on(trackerapi.RolloutStateDownloading)}.rollout()
	p.rollouts.seen = []*trackerapi.Rollout{&v}
	err := p.interrupted(t.Context())
	for _, want := range []string{"0 of 1 peers have a; the rollout goes on as soon as it can (", "tracker unreachable at http://127.0.0.1:1", "nobody was asked for 1 of the 2 files", "curl -X DELETE http://127.0.0.1:1/v1/files/" + id.String() + "/rollout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// Each thing is said once, for however many files.
func TestManyFiles(t *testing.T) {
	p := New(Config{Tracker: client(t, "http://127.0.0.1:1/"), Files: 28})
	for i := range 28 {
		v := answer{peers: append(on(trackerapi.RolloutStateComplete), offline("web-5"), offline("web-6"))}.rollout()
		v.File = fmt.Sprintf("f%02d", i)
		p.rollouts.seen = append(p.rollouts.seen, &v)
	}
	if got := p.missing(); got != "f00, f01, f02, f03, f04 and 23 more: 1 of 3 peers have it; off: web-5, web-6" {
		t.Error(got)
	}
	var out bytes.Buffer
	want := "A peer that is off (web-5, web-6) fetches when it comes back; one that is gone for good is forgotten with: curl -X DELETE 'http://127.0.0.1:1/v1/peers/web-5?forget=true'\n"
	if err := p.Advice(&out); err != nil || out.String() != want {
		t.Errorf("%v\ngot  %swant %s", err, out.String(), want)
	}
}

// The last reports of origins are waited for, and the own origin is made to give its.
func TestSettles(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(seconds int) *time.Time { t := began.Add(time.Duration(seconds) * time.Second); return &t }
	done := on(trackerapi.RolloutStateComplete)
	done[0].FinishedAt = at(2)
	p := newPush(t, Config{}, []answer{{peers: done, reported: at(1)}, {peers: done, reported: at(1)}, {peers: done, reported: at(3), sent: 199}})
	reports := 0
	p.cfg.Report = func(context.Context) error { reports++; return nil }
	if err := p.Run(t.Context(), publish()); err != nil || p.rollouts.seen[0].OriginBytesSent != 199 || reports != 1 {
		t.Errorf("%v, %d reports, %+v", err, reports, p.rollouts.seen[0])
	}
}

func TestCheck(t *testing.T) {
	ids := []string{"p1", "deaf", "unknown"}
	for _, c := range []struct {
		what  string
		cfg   Config
		fleet []trackerapi.Peer
		want  string
		late  *int // peers that a tracker which was just started waits for
	}{
		{"all, one is on", Config{}, fleet("p1", true), "", nil},
		{"all, nobody yet", Config{}, nil, "", new(1)},
		{"all, nobody follows", Config{}, fleet("deaf", false), "no peer that follows rollouts is on: start some with peerd --follow, or wait for them with --wait", nil},
		{"all, to be waited for", Config{Wait: true}, nil, "", nil},
		{"one that follows", Config{Request: trackerapi.RolloutRequest{Peers: &ids}}, fleet("p1", true), "", nil},
		{"one that does not", Config{Request: trackerapi.RolloutRequest{Peers: &ids}}, fleet("deaf", false), "--peers: peer deaf does not follow rollouts: start it with peerd --follow", nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				reply(w, 200, trackerapi.PeerList{Peers: c.fleet, Awaited: c.late})
			}))
			t.Cleanup(srv.Close)
			c.cfg.Tracker = client(t, srv.URL)
			if err := New(c.cfg).Check(t.Context()); (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestTable(t *testing.T) {
	took, before, whole, trouble := 12.34, 0.0, 12.4, "disk\tfull\n\x1b[2Jweb-9  complete"
	report := Report{files: 1, Rollouts: []*trackerapi.Rollout{{
		File: "image.iso", Size: 2_500_000_000, Asked: 4, Complete: 2, DurationSeconds: &whole, OriginRatio: 1.018,
		Peers: &[]trackerapi.RolloutPeer{
			{Id: "web-1", Online: true, State: trackerapi.RolloutStateComplete, DurationSeconds: &took, BytesFromOrigin: 1_300_000_000, BytesFromPeers: 1_200_000_000},
			{Id: "web-10", State: trackerapi.RolloutStateFailed, DurationSeconds: &took, BytesFromOrigin: 32768, Error: &trouble},
			{Id: "web-2", Online: true, State: trackerapi.RolloutStateComplete, DurationSeconds: &before},
			{Id: "web-3", State: trackerapi.RolloutStatePending},
		},
	}}}
	var out bytes.Buffer
	if err := report.Table(&out); err != nil {
		t.Fatal(err)
	}
	want := `
PEER    STATE     TIME    FROM ORIGIN  FROM PEERS  ERROR
web-1   complete  12.3 s  1.21 GiB     1.12 GiB
web-2   complete  had it  0 B          0 B
web-3   off       -       0 B          0 B
web-10  failed    12.3 s  32.0 KiB     0 B         disk full �[2Jweb-9  complete
image.iso, 2.33 GiB: 2 of 4 peers have it, the last after 12.4 s; the origin sent 1.02 times its size
`
	if got := out.String(); got != want[1:] {
		t.Errorf("got\n%s\nwant%s", got, want)
	}
	out.Reset()
	if err := report.JSON(&out); err != nil || !strings.HasPrefix(out.String(), `{"complete":false,"rollouts":[{`) {
		t.Error(err, out.String())
	}
}

// The line below the bar.
func TestDetail(t *testing.T) {
	rate, trouble := 25e6, "waiting: the tracker knows no origin"
	slow := trackerapi.RolloutPeer{Id: "p2", Online: true, State: trackerapi.RolloutStateDownloading, BytesDone: 25, RateBytesPerSecond: &rate}
	stuck := slow
	stuck.RateBytesPerSecond, stuck.Error = nil, &trouble
	for _, c := range []struct {
		what  string
		peers []trackerapi.RolloutPeer
		want  string
	}{
		{"nobody", nil, "waiting for peers that follow rollouts"},
		{"one is slow", append(on(trackerapi.RolloutStateComplete), slow), "slowest: p2, 25 %, 23.8 MiB/s, 0s left"},
		{"one is stuck", append(on(trackerapi.RolloutStateComplete), stuck), "slowest: p2, 25 %, waiting: the tracker knows no origin"},
		{"some are off", append(on(trackerapi.RolloutStateComplete), offline("p10"), offline("p2"), offline("p3")), "waiting for peers that are off: p2, p3, p10"},
	} {
		d := &display{rollouts: &rollouts{files: 1, seen: []*trackerapi.Rollout{{File: "a", Size: 100, Peers: &c.peers}}}}
		if got := d.detail(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
	}
}

type answer struct {
	status int    // 200 if 0
	id     string // of the rollout, "1" if empty
	// Since when all origins have reported, and what they have sent.
	reported *time.Time
	sent     int64
	peers    []trackerapi.RolloutPeer
	then     func() // what happens when it is asked for
}

// newPush is one at a tracker that answers so.
func newPush(t *testing.T, cfg Config, answers []answer) *Push {
	t.Helper()
	var mu sync.Mutex
	next := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		a := answers[min(next, len(answers)-1)]
		if r.Method == http.MethodGet {
			next++
			if a.then != nil {
				a.then()
			}
		}
		if a.status >= 400 {
			reply(w, a.status, trackerapi.Problem{Title: http.StatusText(a.status), Status: a.status})
			return
		}
		reply(w, 200, a.rollout())
	}))
	t.Cleanup(srv.Close)
	cfg.Tracker, cfg.Files = client(t, srv.URL), 1
	return New(cfg)
}

func (a answer) rollout() trackerapi.Rollout {
	v := trackerapi.Rollout{Id: a.id, File: "a", ManifestId: id.String(), Size: 100, Asked: len(a.peers), Peers: &a.peers}
	v.OriginsReportedAt, v.OriginBytesSent = a.reported, a.sent
	v.StartedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if v.Id == "" {
		v.Id = "1"
	}
	for _, p := range a.peers {
		switch {
		case p.State == trackerapi.RolloutStateComplete:
			v.Complete++
		case failed(p):
			v.Failed++
		case p.Online:
			v.Running++
		default:
			v.Pending++
		}
	}
	return v
}

var id = (&manifest.Manifest{Name: "a", ChunkSize: 32768}).ID()

func publish() <-chan Published {
	c := make(chan Published, 1)
	c <- Published{Name: "a", ID: id}
	return c
}

// on are peers p1, p2 and so on that are on, with these states.
func on(states ...trackerapi.RolloutState) (peers []trackerapi.RolloutPeer) {
	for i, s := range states {
		peers = append(peers, trackerapi.RolloutPeer{Id: "p" + string(rune('1'+i)), Online: true, State: s})
	}
	return peers
}

func offline(id string) trackerapi.RolloutPeer {
	return trackerapi.RolloutPeer{Id: id, State: trackerapi.RolloutStatePending}
}

func fleet(id string, follow bool) []trackerapi.Peer {
	return []trackerapi.Peer{{Id: id, Address: "127.0.0.1:1", Follow: follow}}
}

func client(t *testing.T, url string) *trackerclient.Client {
	t.Helper()
	c, err := trackerclient.New(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	if status >= 400 {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

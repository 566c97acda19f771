package page_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
	"fanout/internal/proving/patience"
	"fanout/internal/proving/valve"
)

// A page through the life of a fleet of real daemons: nothing yet, a file, peers, a transfer,
// the tracker away and back, the end. What it shows is what the API says.
func TestLive(t *testing.T) {
	ctx := t.Context()
	f := fleettest.New(t, fleettest.Plain)
	tracker := f.Tracker("--data-dir", filepath.Join(f.Dir(), "tracker-data"))
	fleettest.Start(t, tracker)
	b := open(t, tracker.URL())

	b.await(`document.querySelector('#empty')?.checkVisibility()`)
	for _, want := range []string{"origin push --tracker " + tracker.URL() + " FILE", "peerd --follow --tracker " + tracker.URL()} {
		if got := b.text(`document.querySelector('#empty').innerText`); !strings.Contains(got, want) {
			t.Errorf("an empty page says %q, which lacks %q", got, want)
		}
	}
	b.shoot("empty", 1000)

	const size, peers = 16 << 20, 4
	source := fleettest.File(t, f.Dir(), "image <b>é.iso", size, 1)
	shut := valve.New(t, size/12) // a third for each, when they have what the others have got
	origin := f.Origin("origin", []string{source}, "--max-upload", "2MB", "--advertise", shut.Address())
	fleettest.Start(t, origin)
	shut.To(origin.ChunkAddress())
	b.await(`document.querySelector('.hint')?.innerText.includes('peerd --follow')`)
	var all []*fleet.Peer
	for i := range peers {
		p := f.Peer(fmt.Sprintf("peer-%d", i+1), "--max-upload", "2MB")
		fleettest.Start(t, p)
		all = append(all, p)
	}
	b.await(`document.querySelector('.hint')?.innerText.includes('` + `/v1/downloads')`)
	if got := b.text(`document.querySelector('.hint').innerText`); !strings.Contains(got, `curl -d '{"file":"image <b>é.iso"}' http://127.0.0.1:`) {
		t.Errorf("hint: %s", got)
	}

	ids := startAll(t, all, peerapi.DownloadRequest{File: "image <b>é.iso"})
	b.await(`document.querySelectorAll('.members tbody tr').length === 4`)
	b.await(`[...document.querySelectorAll('[data-field=done]')].every(e => +e.dataset.value > 20)`)
	compare(t, b, tracker, peers)
	if got := b.text(`document.title`); !strings.Contains(got, "% image <b>é.iso") {
		t.Error("title:", got)
	}

	b.offline()
	if err := tracker.Kill(); err != nil {
		t.Fatal(err)
	}
	b.await(`!document.querySelector('#away').hidden`)
	if got := b.text(`document.querySelector('#away').innerText`); !strings.Contains(got, "does not answer") || !strings.Contains(got, "is from") {
		t.Error("away:", got)
	}
	b.shoot("away", 1000)
	fleettest.Start(t, tracker)
	b.await(`document.querySelector('#away').hidden`)
	shut.Open()
	for i, p := range all {
		if _, err := p.Complete(ctx, ids[i]); err != nil {
			t.Fatal(err)
		}
	}
	b.await(`document.querySelectorAll('.members tr[data-state=complete]').length === 4`)
	b.await(`document.querySelectorAll('#finished tbody tr').length > 0 && !document.querySelector('.file.running')`)
	compare(t, b, tracker, peers)
	for i, p := range all {
		d, err := p.Get(ctx, ids[i])
		if err != nil {
			t.Fatal(err)
		}
		row := `document.querySelector('tr[data-peer="` + p.Name() + `"]')`
		b.await(row + `.checkVisibility()`)
		got := b.text(row + `.querySelector('[data-field=origin]').dataset.value + ' ' + ` + row + `.querySelector('[data-field=peers]').dataset.value`)
		if want := fmt.Sprint(d.BytesFromOrigin, " ", d.BytesFromPeers); got != want {
			t.Errorf("%s: the page shows %s bytes, the peer says %s", p.Name(), got, want)
		}
	}
	if got := b.text(`document.querySelector('#finished').innerText`); !strings.Contains(got, "✓") || !strings.Contains(got, "> ") {
		t.Errorf("the tracker missed the beginning, but the table says %q", got)
	}

	// Again, from start to end under its eyes.
	for i, p := range all {
		if err := p.Delete(ctx, ids[i]); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	ids = startAll(t, all, peerapi.DownloadRequest{File: "image <b>é.iso", Output: ptr("again")})
	patience.Await(t, "the tracker to say that it runs", func() bool { return newest(t, tracker).Running })
	running := time.Now()
	var finished time.Time // by the peers' own account
	for i, p := range all {
		own, err := p.Complete(ctx, ids[i])
		if err != nil {
			t.Fatal(err)
		}
		if own.FinishedAt.After(finished) {
			finished = *own.FinishedAt
		}
	}
	b.await(`document.querySelector('#finished tbody td:nth-child(3)').innerText === '✓ 4' && !document.querySelector('.file.running')`)
	compare(t, b, tracker, peers)
	var d trackerapi.Distribution
	for got, want := "", "the same"; got != want; { // the origin's last report comes after the end
		list, err := tracker.API().ListDistributionsWithResponse(ctx)
		if err != nil {
			t.Fatalf("%v; the table shows %s, want %s", err, got, want)
		}
		d = list.JSON200.Distributions[0]
		ended, _ := d.EndedAt.MarshalText()
		want = fmt.Sprintf("%s %d  %d %v %d %d %v", ended, peers, int64(size), *d.DurationSeconds, d.OriginBytesSent, d.BytesFromPeers, d.EgressRatio)
		got = b.text(`[...document.querySelectorAll('#finished tbody tr:first-child [data-value]')].map(e => e.dataset.value).join(' ')`)
	}
	if d.Running || d.Partial || d.PeersComplete != peers || d.EgressRatio < 1 || d.EgressRatio > 2 || d.BytesFromOrigin+d.BytesFromPeers < peers*size {
		t.Errorf("%+v", d)
	}
	// Its times are those of what was seen to happen, in that order.
	const rounding = 10 * time.Millisecond
	if d.StartedAt.Before(began.Add(-rounding)) || d.StartedAt.After(running) {
		t.Errorf("the tracker says that it started at %v; it was begun at %v and ran at %v", d.StartedAt, began, running)
	}
	if d.EndedAt.Before(finished.Add(-rounding)) || d.EndedAt.After(time.Now()) {
		t.Errorf("the tracker says that it ended at %v, the last peer at %v", d.EndedAt, finished)
	}
	took := time.Duration(*d.DurationSeconds * float64(time.Second)) // until the last completion
	if took < finished.Sub(d.StartedAt)-rounding || took > d.EndedAt.Sub(d.StartedAt)+rounding {
		t.Errorf("the tracker measured %v from %v on, the last peer ended at %v", took, d.StartedAt, finished)
	}
}

// newest is the last distribution that began.
func newest(t *testing.T, tracker *fleet.Tracker) trackerapi.Distribution {
	t.Helper()
	list, err := tracker.API().ListDistributionsWithResponse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list.JSON200.Distributions[0]
}

// compare waits until the page shows what the API says. While a transfer runs, the two are
// asked again until nothing changed in between.
func compare(t *testing.T, b *tab, tracker *fleet.Tracker, peers int) {
	t.Helper()
	var page, api string
	for ctx := patience.Context(t); ctx.Err() == nil; {
		before := holders(t, tracker)
		page = b.text(`[...document.querySelectorAll('.members tbody tr')].map(r => r.querySelector('small').innerText + '=' +
			r.querySelector('canvas').ariaLabel.match(/^(\d+) of/)[1] + '/' + r.querySelector('[data-field=done]').dataset.value).sort().join(' ')`)
		if api = holders(t, tracker); api == before && api == page {
			if strings.Count(api, "=") != peers {
				t.Errorf("only %s", api)
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("the page shows\n%s\nthe API says\n%s", page, api)
}

// holders counts the chunks of every holder in the chunk table.
func holders(t *testing.T, tracker *fleet.Tracker) string {
	t.Helper()
	limit := 10000
	files, err := tracker.API().ListFilesWithResponse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := tracker.API().GetChunksWithResponse(t.Context(), files.JSON200.Files[0].ManifestId, &trackerapi.GetChunksParams{Limit: &limit})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, c := range r.JSON200.Chunks {
		for _, h := range c.Holders {
			counts[h]++
		}
	}
	var lines []string
	for h, n := range counts {
		lines = append(lines, fmt.Sprintf("%s=%d/%d", h, n, n))
	}
	slices.Sort(lines)
	return strings.Join(lines, " ")
}

func startAll(t *testing.T, peers []*fleet.Peer, r peerapi.DownloadRequest) (ids []string) {
	t.Helper()
	for _, p := range peers {
		d, err := p.Download(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.Id)
	}
	return ids
}

func ptr[T any](v T) *T { return &v }

// 200 peers with 10,000 chunks each, changing as fast as they would: the page draws only what
// can be seen, and that not twice in a frame of the browser, however many changes come in one.
func TestManyPeers(t *testing.T) {
	f := fleettest.New(t, fleettest.Plain)
	tracker := f.Tracker()
	fleettest.Start(t, tracker)
	const peers, chunks = 200, 10_000
	id := publish(t, tracker, "weights.safetensors", chunks)
	swarm := newSwarm(peers, chunks)
	swarm.step(t, tracker, id, 0.2)
	b := open(t, tracker.URL())
	b.await(`document.querySelectorAll('.members tbody tr').length === 200`)
	b.await(`document.querySelector('.members canvas').ariaLabel?.includes('of 10000 chunks')`)
	b.run(`(() => { // every drawing begins with the whole canvas
		window.draws_ = new Map(); window.twice_ = 0;
		const fill = CanvasRenderingContext2D.prototype.fillRect;
		CanvasRenderingContext2D.prototype.fillRect = function (x, y, w, h) {
			if (this.canvas.closest('.members') && w === this.canvas.width && h === this.canvas.height) {
				const now = document.timeline.currentTime; // that of the frame
				if (draws_.get(this.canvas) === now) twice_++;
				draws_.set(this.canvas, now);
			}
			fill.call(this, x, y, w, h);
		};
	})()`)
	for range 5 {
		swarm.step(t, tracker, id, 0.12)
	}
	b.await(`+document.querySelector('tr[data-peer="peer-1"] [data-field=done]').dataset.value === ` + fmt.Sprint(swarm.held(0)))
	if n := eval[int](b, `twice_`); n > 0 {
		t.Errorf("%d times a row was drawn twice in a frame", n)
	}
	if n := eval[int](b, `draws_.size`); n < 5 || n > 80 {
		t.Errorf("%d of %d rows were drawn as they changed", n, peers)
	}
	drawn := eval[int](b, `[...document.querySelectorAll('.members canvas')].filter(c => c.ariaLabel).length`)
	if drawn < 5 || drawn > 80 {
		t.Errorf("%d of %d rows are drawn", drawn, peers)
	}
	// The last row is drawn when it comes into sight.
	b.run(`document.querySelector('tr[data-peer="peer-200"]').scrollIntoView()`)
	b.await(`document.querySelector('tr[data-peer="peer-200"] [data-field=done]').dataset.value === '` + fmt.Sprint(swarm.held(peers-1)) + `'`)
	b.shoot("many", 1280)
	// Sorted by what is done, the first is the one with the fewest chunks.
	b.run(`[...document.querySelectorAll('.sort')].find(e => e.innerText === 'Done').click()`)
	fewest := 0
	for i := range peers {
		if swarm.held(i) < swarm.held(fewest) {
			fewest = i
		}
	}
	b.await(fmt.Sprintf(`document.querySelector('.members tbody tr').dataset.peer === 'peer-%d'`, fewest+1))
}

func publish(t *testing.T, tracker *fleet.Tracker, name string, chunks int) string {
	t.Helper()
	m := trackerapi.Manifest{Name: name, Size: int64(chunks) << 20, ChunkSize: 1 << 20, Digests: make([]string, chunks)}
	for i := range m.Digests {
		m.Digests[i] = fmt.Sprintf("%064x", i)
	}
	r, err := tracker.API().PublishFileWithResponse(t.Context(), name, trackerapi.Publication{
		Manifest: m, Origin: trackerapi.Origin{Id: "origin", Address: "127.0.0.1:2684"},
	})
	if err != nil || r.JSON201 == nil {
		t.Fatal(err, r.Status())
	}
	return r.JSON201.ManifestId
}

// swarm are peers that only announce.
type swarm struct {
	rand  *rand.Rand
	peers []swarmPeer
}

type swarmPeer struct {
	held, owned []byte
	order       []int // chunks, in the order in which they come
	done        int
}

func newSwarm(peers, chunks int) *swarm {
	s := &swarm{rand: rand.New(rand.NewPCG(1, 2))}
	for range peers {
		s.peers = append(s.peers, swarmPeer{held: make([]byte, (chunks+7)/8), owned: make([]byte, (chunks+7)/8), order: s.rand.Perm(chunks)})
	}
	return s
}

func (s *swarm) held(i int) int { return s.peers[i].done }

// step has every peer get about so much of the file, and announce it.
func (s *swarm) step(t *testing.T, tracker *fleet.Tracker, id string, share float64) {
	t.Helper()
	for i := range s.peers {
		p := &s.peers[i]
		n := int(share * float64(len(p.order)) * (0.5 + s.rand.Float64()))
		for ; n > 0 && p.done < len(p.order); n-- {
			chunk := p.order[p.done]
			p.held[chunk/8] |= 0x80 >> (chunk % 8)
			if chunk%len(s.peers) == i {
				p.owned[chunk/8] |= 0x80 >> (chunk % 8)
			}
			p.done++
		}
		origin, state := int64(p.done/len(s.peers))<<20, trackerapi.DownloadStateDownloading
		peers := int64(p.done)<<20 - origin
		r, err := tracker.API().AnnounceWithResponse(t.Context(), id, trackerapi.Announce{
			Id: fmt.Sprint("peer-", i+1), Role: trackerapi.AnnounceRolePeer, Address: fmt.Sprintf("10.0.%d.%d:2685", i/250, i%250+1),
			State: &state, Held: &p.held, Owned: &p.owned, BytesFromOrigin: &origin, BytesFromPeers: &peers,
		})
		if err != nil || r.JSON200 == nil {
			t.Fatal(err, r.Status())
		}
	}
}

// Slow or many viewers cost the others nothing: who is too many is refused, and told so.
func TestTooManyViewers(t *testing.T) {
	f := fleettest.New(t, fleettest.Plain)
	tracker := f.Tracker()
	fleettest.Start(t, tracker)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for range 32 {
		r, err := tracker.API().WatchSwarms(ctx)
		if err != nil || r.StatusCode != 200 {
			t.Fatal(r, err)
		}
		defer r.Body.Close()
	}
	r, err := tracker.API().WatchSwarmsWithResponse(t.Context())
	if err != nil || r.StatusCode() != 503 {
		t.Fatal(err, r.Status())
	}
	b := open(t, "about:blank")
	b.offline()
	b.run(`location = '` + tracker.URL() + `'`)
	b.await(`document.querySelector('#away-text')?.innerText.includes('close some of its pages')`)
	leave()
	b.await(`document.querySelector('#away').hidden`)
}

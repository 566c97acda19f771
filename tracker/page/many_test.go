package page_test

import (
	"fmt"
	"strings"
	"testing"

	"fanout/api/trackerapi"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

// Many files and peers: cards of files that are not under way are closed, what is counted is
// what the words say, everything is in the order in which people count, and a rollout shows
// whom it asks, those that are in no swarm, too.
func TestManyFiles(t *testing.T) {
	f := fleettest.New(t, fleettest.Plain)
	tracker := f.Tracker("--lease", "2m") // nobody announces twice
	fleettest.Start(t, tracker)
	const files, peers, busy = 33, 12, 4
	for i := range peers {
		register(t, tracker, i+1)
	}
	var ids []string
	for i := range files {
		ids = append(ids, publish(t, tracker, fmt.Sprintf("part-%d.bin", i+1), 64))
	}
	for _, id := range ids[:2] {
		r, err := tracker.API().PutRolloutWithResponse(t.Context(), id, trackerapi.RolloutRequest{})
		if err != nil || r.JSON201 == nil {
			t.Fatal(err, r.Status())
		}
		for i := range busy {
			download(t, tracker, id, []int{1, 10, 2, 11}[i])
		}
	}
	if r, err := tracker.API().UnregisterPeerWithResponse(t.Context(), "web-12", nil); err != nil || r.StatusCode() != 204 {
		t.Fatal(err, r.Status())
	}
	b := open(t, tracker.URL())
	b.await(`document.querySelectorAll('details.file').length === 33`)
	b.await(`document.querySelectorAll('.members tbody tr').length === 8`)
	b.await(`document.querySelector('#totals').innerText === '33 files · 11 peers registered · 4 peers downloading'`)
	// A file that nobody asked for says how, and what machines elsewhere need besides.
	b.run(`document.querySelectorAll('details.file')[20].querySelector('summary').click()`)
	b.await(`document.querySelectorAll('details.file')[20].querySelector('.hint').innerText.includes('/rollout')`)
	b.run(`document.querySelectorAll('details.file')[20].querySelector('summary').click()`)
	const names = `[...document.querySelectorAll('details.file%s h3')].map(e => e.innerText).join(' ')`
	if got := b.text(fmt.Sprintf(names, "[open]")); got != "part-1.bin part-2.bin" {
		t.Errorf("open are %q", got)
	}
	var want []string
	for i := range files {
		want = append(want, fmt.Sprintf("part-%d.bin", i+1))
	}
	if got := b.text(fmt.Sprintf(names, "")); got != strings.Join(want, " ") {
		t.Errorf("files in the order %s", got)
	}
	if got := b.text(`[...document.querySelectorAll('details.file tbody tr')].map(e => e.dataset.peer).join(' ')`); got != "web-1 web-2 web-10 web-11 web-1 web-2 web-10 web-11" {
		t.Errorf("peers in the order %s", got)
	}
	if height := eval[int](b, `document.documentElement.scrollHeight`); height > 4000 {
		t.Errorf("the page is %d pixels high", height)
	}
	b.await(`document.querySelector('[data-field=rollout]').innerText.includes('every peer that follows: asked 12: 0 complete, 11 under way, 1 off.')`)
	b.await(`document.querySelector('[data-field=progress]').innerText === '0 of 12 asked peers complete, 1 off'`)
	// Of twelve peers, four have half of the file.
	b.await(`Math.abs(document.querySelector('details.file progress').value - 4 / 24) < 0.001`)
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		usable(t, b, theme+", many files")
		b.shoot("files-"+theme, 1280)
	}
	b.shoot("files-phone", 390)
	// What somebody opens stays open.
	b.run(`document.querySelectorAll('details.file')[20].querySelector('summary').click()`)
	download(t, tracker, ids[5], 3)
	b.await(`document.querySelectorAll('details.file[open]').length === 4`)
	if got := b.text(fmt.Sprintf(names, "[open]")); got != "part-1.bin part-2.bin part-6.bin part-21.bin" {
		t.Errorf("open are %q", got)
	}
}

func register(t *testing.T, tracker *fleet.Tracker, i int) {
	t.Helper()
	follow := true
	r, err := tracker.API().RegisterPeerWithResponse(t.Context(), fmt.Sprint("web-", i), trackerapi.Registration{
		Address: fmt.Sprintf("127.0.0.%d:2685", i), Follow: &follow,
	})
	if err != nil || r.JSON200 == nil {
		t.Fatal(err, r.Status())
	}
}

// download announces a peer that has half of 64 chunks.
func download(t *testing.T, tracker *fleet.Tracker, id string, i int) {
	t.Helper()
	held, state := []byte{255, 255, 255, 255, 0, 0, 0, 0}, trackerapi.DownloadStateDownloading
	r, err := tracker.API().AnnounceWithResponse(t.Context(), id, trackerapi.Announce{
		Id: fmt.Sprint("web-", i), Role: trackerapi.AnnounceRolePeer, Address: fmt.Sprintf("127.0.0.%d:2685", i),
		State: &state, Held: &held,
	})
	if err != nil || r.JSON200 == nil {
		t.Fatal(err, r.Status())
	}
}

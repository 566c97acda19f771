package node

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"fanout/api/peerapi"
	"fanout/internal/chunks/manifest"
	"fanout/peerd/transfer"
)

// What counts is the time in the states in which a download is under way.
func TestWorktime(t *testing.T) {
	const (
		queued, downloading, paused = peerapi.DownloadStateQueued, peerapi.DownloadStateDownloading, peerapi.DownloadStatePaused
		complete, failed            = peerapi.DownloadStateComplete, peerapi.DownloadStateFailed
	)
	type step struct {
		after time.Duration
		state peerapi.DownloadState
	}
	for name, c := range map[string]struct {
		was   worktime
		steps []step
		want  time.Duration
	}{
		"queued and downloading": {steps: []step{{0, queued}, {1, downloading}, {10, complete}, {100, complete}}, want: 11},
		"not while paused":       {steps: []step{{0, downloading}, {3, paused}, {100, queued}, {4, complete}}, want: 7},
		"not while failed":       {steps: []step{{0, downloading}, {3, failed}, {100, queued}, {4, complete}}, want: 7},
		"on after a restart":     {was: worktime{state: downloading, before: 5}, steps: []step{{1000, queued}, {4, complete}}, want: 9},
		"still under way":        {steps: []step{{0, queued}, {2, downloading}, {3, downloading}}, want: 5},
		"a repair by itself":     {was: worktime{state: complete, before: 1675}, steps: []step{{1000, downloading}, {9, complete}}, want: 9},
		"complete and then lost": {was: worktime{state: complete, before: 30}, steps: []step{{1000, failed}}, want: 30},
		"the clock is set back":  {steps: []step{{0, downloading}, {-10800, complete}}, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, now := c.was, time.Now().Round(0) // without the monotonic reading, which makes the last case possible
			for _, s := range c.steps {
				now = now.Add(s.after)
				w.enter(s.state, now)
			}
			if got := w.total(now); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// Records of earlier versions have no time worked.
func TestWorkedBefore(t *testing.T) {
	at := time.Now()
	for name, c := range map[string]struct {
		rec  record
		want time.Duration
	}{
		"told":                  {record{Worked: 3, State: peerapi.DownloadStateComplete, Started: at, Finished: at.Add(time.Hour)}, 3},
		"old":                   {record{State: peerapi.DownloadStateComplete, Started: at, Finished: at.Add(time.Hour)}, time.Hour},
		"old, clock set back":   {record{State: peerapi.DownloadStateComplete, Started: at, Finished: at.Add(-3 * time.Hour)}, 0},
		"old, still to be done": {record{State: peerapi.DownloadStateDownloading, Started: at}, 0},
	} {
		if got := c.rec.workedBefore(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// A record is written now and then while the download is under way, and not after: one that
// was removed must not come back.
func TestSaveNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records, err := openRecords(t.TempDir(), ownDir)
		if err != nil {
			t.Fatal(err)
		}
		defer records.close()
		m := &manifest.Manifest{Name: "a", ChunkSize: 32 << 10}
		d := newDownload(&Node{records: records, cfg: Config{Logger: zerolog.Nop()}}, record{ID: "a", Manifest: m.Encode()}, m)
		d.progress = transfer.NewProgress(0)
		d.status.rec.State = peerapi.DownloadStateDownloading
		d.status.track()
		go (&work{download: d}).saveNowAndThen(t.Context())
		time.Sleep(3*saveEvery + time.Second)
		synctest.Wait()
		recs, errs := records.load()
		if len(errs) > 0 || len(recs) != 1 || recs[0].Worked != 3*saveEvery {
			t.Errorf("%+v %v, want %v worked", recs, errs, 3*saveEvery)
		}
		d.mu.Lock()
		d.status.rec.State = peerapi.DownloadStateComplete
		d.mu.Unlock()
		if err := records.remove("a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * saveEvery)
		if recs, _ := records.load(); len(recs) != 0 {
			t.Errorf("%+v was written after the end", recs)
		}
	})
}

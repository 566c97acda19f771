package rollout

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

// A peer counts when it has looked, not because it had the file once.
func TestPushAfterTheFileIsGone(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", 3*mib, 1)
	peers := r.followers(2)
	r.push(source).ends(0, "")
	if err := os.Remove(peers[0].Path("a.bin")); err != nil {
		t.Fatal(err)
	}
	push := r.push(source)
	push.ends(0, "")
	r.same(source, peers...)
	holds(t, push.stdout.String(), "p2    complete  had it")
	if strings.Contains(push.stdout.String(), "p1    complete  had it") {
		t.Error("it counts a file that was gone")
	}
}

// Nor because it was complete when the tracker was restarted in between.
func TestPushAfterARestart(t *testing.T) {
	r := start(t, "--data-dir", filepath.Join(t.TempDir(), "tracker-data"))
	source := fleettest.File(t, r.Dir(), "a.bin", 3*mib, 1)
	peers := r.followers(2)
	r.push(source).ends(0, "")
	if err := r.tracker.Restart(r.ctx); err != nil {
		t.Fatal(err)
	}
	if err := peers[1].Restart(r.ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // one after the other, at once
		push := r.push(source)
		push.ends(0, "")
		holds(t, push.stdout.String(), "p1    complete  had it", "p2    complete  had it", "2 of 2 peers have it, the last after 0.0 s; the origin sent 0.00 times")
		if t.Failed() {
			t.Fatal("push", i)
		}
	}
}

// One that has been told that the file was withdrawn answers when it is pushed again.
func TestPushAfterAWithdrawal(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", mib, 1)
	r.followers(1)
	r.push(source).ends(0, "")
	if a, err := r.tracker.API().DeleteFileWithResponse(r.ctx, "a.bin"); err != nil || a.StatusCode() != http.StatusNoContent {
		t.Fatal(err, a.Status())
	}
	for !strings.Contains(r.tracker.Log(), `/announce","status":410`) {
		if !pause(r.ctx) {
			t.Fatal("the peer is not told")
		}
	}
	push := r.push(source)
	push.ends(0, "")
	holds(t, push.stdout.String(), "p1    complete  had it")
}

// A copied data directory: tracker, peer and push say so, with the remedy, and nobody counts.
func TestPushWithACopiedPeer(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", mib, 1)
	peer := r.followers(1)[0]
	r.push(source).ends(0, "")
	if err := peer.Stop(); err != nil {
		t.Fatal(err)
	}
	duplicate := r.Peer("copy", "--follow", "--id", "p1")
	if err := os.CopyFS(duplicate.DataDir(), os.DirFS(peer.DataDir())); err != nil {
		t.Fatal(err)
	}
	fleettest.Start(t, peer, duplicate)
	want := "two running peerds have the ID p1, at " + peer.ChunkAddress() + " and, refused, at " + duplicate.ChunkAddress() + ": stop one, or "
	for {
		a, err := r.tracker.API().ListPeersWithResponse(r.ctx)
		if err == nil && a.JSON200 != nil && len(a.JSON200.Peers) == 1 && a.JSON200.Peers[0].Clash != nil && strings.HasPrefix(*a.JSON200.Peers[0].Clash, want) {
			break
		}
		if !pause(r.ctx) {
			t.Fatalf("the tracker lists %s", a.Body)
		}
	}
	for !strings.Contains(ready(t, duplicate), want) {
		if !pause(r.ctx) {
			t.Fatal("the copy says", ready(t, duplicate))
		}
	}
	holds(t, r.tracker.Log(), "two running peerds have the ID p1")
	push := r.push(source)
	push.ends(1, "origin: a.bin: 0 of 1 peers have it; failed: p1\n")
	holds(t, push.stdout.String(), want)

	// With the copy stopped, all is well at once; the first was never in doubt.
	if err := duplicate.Stop(); err != nil {
		t.Fatal(err)
	}
	r.push(source).ends(0, "")
	if got := ready(t, peer); got != "ok\n" {
		t.Error(got)
	}
}

// One that is killed and started at another address is no copy of itself.
func TestKilledPeerIsNoCopy(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", mib, 1)
	peer := r.followers(1)[0]
	r.push(source).ends(0, "")
	for range 3 {
		if err := peer.Kill(); err != nil {
			t.Fatal(err)
		}
		peer = r.Peer("p1", "--follow") // the same directory, new addresses
		fleettest.Start(t, peer)
		r.push(source).ends(0, "")
	}
	r.same(source, peer)
	if strings.Contains(r.tracker.Log(), "two running") {
		t.Error("the tracker takes it for a copy")
	}
}

func ready(t *testing.T, p *fleet.Peer) string {
	t.Helper()
	a, err := http.Get(p.URL() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, _ := io.ReadAll(a.Body)
	return string(text)
}

// Interrupted, it says of every file what it leaves behind. Taken back, nobody waits.
func TestPushTakenBack(t *testing.T) {
	r := start(t)
	peers := r.followers(2)
	push := r.push("--max-upload", "200kB", fleettest.File(t, r.Dir(), "a.bin", 4*mib, 1), fleettest.File(t, r.Dir(), "b.bin", 4*mib, 2))
	r.rollout("a.bin", moving)
	r.rollout("b.bin", moving)
	push.interrupt()
	push.ends(130, "origin: interrupted: 0 of 2 peers have a.bin, b.bin; the rollout goes on, but nobody else has the whole file: its peers wait until the same command serves it again; to take it back: curl -X DELETE http://")
	r.rollout("a.bin", moving)
	urls := regexp.MustCompile(`http://\S+/rollout`).FindAllString(push.stderr.String(), -1)
	if len(urls) != 2 {
		t.Fatal(urls)
	}
	for _, url := range urls {
		q, _ := http.NewRequestWithContext(r.ctx, http.MethodDelete, url, nil)
		a, err := http.DefaultClient.Do(q)
		if err != nil || a.StatusCode != http.StatusNoContent {
			t.Fatal(err, a.Status)
		}
		a.Body.Close()
	}
	r.nobodyWaits(peers...)
}

// What only this push could have served does not stay when it gives up.
func TestPushGivesUpForAll(t *testing.T) {
	r := start(t)
	peers := r.followers(2)
	source := fleettest.File(t, r.Dir(), "a.bin", 16*mib, 1)
	for timeout := time.Second; ; timeout *= 2 { // until there is time to begin
		push := r.push("--timeout", timeout.String(), "--max-upload", "100kB", source)
		_ = push.Wait()
		if strings.Contains(push.stderr.String(), "not published yet") {
			continue
		}
		push.ends(1, "the rollout of a.bin was ended, for nobody else has the whole file\n")
		break
	}
	a, err := r.tracker.API().GetRolloutWithResponse(r.ctx, "a.bin")
	if err != nil || a.StatusCode() != http.StatusNotFound {
		t.Errorf("%v %s", err, a.Body)
	}
	r.nobodyWaits(peers...)
}

// What a push can serve no more since the file was written to, it gives up, with its reason.
func TestPushOfAFileThatIsChanged(t *testing.T) {
	r := start(t)
	peers := r.followers(2)
	source := fleettest.File(t, r.Dir(), "a.bin", 16*mib, 1)
	push := r.push("--max-upload", "100kB", source)
	r.rollout("a.bin", moving)
	f, err := os.OpenFile(source, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("more"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	push.ends(1, "origin: a.bin was changed while it was pushed: push it again: ")
	r.nobodyWaits(peers...)
}

// A file that is withdrawn takes its rollout along.
func TestWithdrawnInMidRollout(t *testing.T) {
	r := start(t)
	peers := r.followers(2)
	push := r.push("--max-upload", "100kB", fleettest.File(t, r.Dir(), "a.bin", 16*mib, 1))
	r.rollout("a.bin", moving)
	if a, err := r.tracker.API().DeleteFileWithResponse(r.ctx, "a.bin"); err != nil || a.StatusCode() != http.StatusNoContent {
		t.Fatal(err, a.Status())
	}
	push.ends(1, "origin: a.bin: it was withdrawn at the tracker, and the rollout with it\n")
	r.nobodyWaits(peers...)
}

// Of several files the others go on.
func TestWithdrawnBesideOthers(t *testing.T) {
	r := start(t)
	peers := r.followers(2)
	source := fleettest.File(t, r.Dir(), "a.bin", 3*mib, 1)
	push := r.push("--max-upload", "500kB", source, fleettest.File(t, r.Dir(), "b.bin", 16*mib, 2))
	r.rollout("b.bin", func(v *trackerapi.Rollout) bool { return v.Asked == 2 })
	if a, err := r.tracker.API().DeleteFileWithResponse(r.ctx, "b.bin"); err != nil || a.StatusCode() != http.StatusNoContent {
		t.Fatal(err, a.Status())
	}
	push.ends(1, "origin: b.bin: it was withdrawn at the tracker, and the rollout with it\n")
	r.same(source, peers...)
}

// A tracker that was just restarted calls nobody off that it has not heard of yet.
func TestPushThroughATrackersRestart(t *testing.T) {
	r := start(t, "--data-dir", filepath.Join(t.TempDir(), "tracker-data"))
	peers := r.followers(2)
	source := fleettest.File(t, r.Dir(), "a.bin", 6*mib, 1)
	push := r.push("--max-upload", "1MB", source)
	r.rollout("a.bin", moving)
	if err := r.tracker.Restart(r.ctx); err != nil {
		t.Fatal(err)
	}
	push.ends(0, "")
	r.same(source, peers...)
	if err := r.tracker.Restart(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.push(source).ends(0, "")
}

// nobodyWaits waits until no download is under way and no distribution runs.
func (r *rig) nobodyWaits(peers ...*fleet.Peer) {
	r.t.Helper()
	for _, p := range peers {
		for {
			list, err := p.API().ListDownloadsWithResponse(r.ctx)
			waits := err != nil || list.JSON200 == nil
			if !waits {
				for _, d := range list.JSON200.Downloads {
					waits = waits || d.State != peerapi.DownloadStateCancelled
				}
			}
			if !waits {
				break
			}
			if !pause(r.ctx) {
				r.t.Fatalf("%s: %v %s", p.Name(), err, list.Body)
			}
		}
	}
	for {
		list, err := r.tracker.API().ListDistributionsWithResponse(r.ctx)
		running := err != nil || list.JSON200 == nil
		if !running {
			for _, d := range list.JSON200.Distributions {
				running = running || d.Running
			}
		}
		if !running {
			return
		}
		if !pause(r.ctx) {
			r.t.Fatalf("%v %s", err, list.Body)
		}
	}
}

// What the origins sent is what they count, with two of them, and a peer that is killed.
func TestOriginsCount(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", 6*mib, 1)
	origins := []*fleet.Origin{r.Origin("o1", []string{source}, "--max-upload", "2MB"), r.Origin("o2", []string{source}, "--max-upload", "2MB")}
	fleettest.Start(t, origins[0], origins[1])
	peers := r.followers(3)
	r.put("a.bin")
	r.rollout("a.bin", moving)
	if err := peers[2].Kill(); err != nil {
		t.Fatal(err)
	}
	fleettest.Start(t, peers[2])
	sum := func() (n int64) {
		for _, o := range origins {
			n += sent(t, o)
		}
		return n
	}
	v := r.rollout("a.bin", func(v *trackerapi.Rollout) bool { return v.Complete == 3 && v.OriginBytesSent == sum() })
	if v.OriginRatio != float64(v.OriginBytesSent)/float64(v.Size) || v.OriginRatio < 1 {
		t.Errorf("%+v", v)
	}
	r.same(source, peers...)
	// A push knows the last byte of both. The peer that comes with it takes two seconds: the origins report
	// what they have sent up to half a second later, and what was sent before is not the push's.
	late := r.Peer("late", "--follow", "--max-download", "3MB")
	fleettest.Start(t, late)
	push := r.push("--json", source)
	push.ends(0, "")
	var got struct{ Rollouts []trackerapi.Rollout }
	if err := json.Unmarshal(push.stdout.Bytes(), &got); err != nil || len(got.Rollouts) != 1 {
		t.Fatal(err)
	}
	finished := got.Rollouts[0].StartedAt
	for _, p := range *got.Rollouts[0].Peers {
		if p.FinishedAt.After(finished) {
			finished = *p.FinishedAt
		}
	}
	last := r.rollout("a.bin", func(v *trackerapi.Rollout) bool {
		return v.OriginsReportedAt != nil && v.OriginsReportedAt.After(finished)
	})
	if last.OriginBytesSent != got.Rollouts[0].OriginBytesSent {
		t.Errorf("push says %d, and in the end it was %d", got.Rollouts[0].OriginBytesSent, last.OriginBytesSent)
	}
}

var sentSeries = regexp.MustCompile(`fanout_origin_file_sent_bytes_total\{file="a.bin"\} (\S+)`)

func sent(t *testing.T, o *fleet.Origin) int64 {
	t.Helper()
	a, err := http.Get(o.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, _ := io.ReadAll(a.Body)
	m := sentSeries.FindSubmatch(text)
	if m == nil {
		t.Fatalf("no counter in\n%s", text)
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return int64(n)
}

package server_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/trackerclient"
	"fanout/tracker/store"
)

// A rollout as an operator and a peer see it, over HTTP.
func TestRollout(t *testing.T) {
	tr := start(t, store.NewMemory())
	ctx := t.Context()
	m := makeManifest("ü ß.bin", 3, 1)
	tr.publish(m)
	tr.follow("p1", "127.0.0.1:2685")
	tr.follow("p2", "127.0.0.2:2685")
	const path = "/v1/files/%C3%BC%20%C3%9F.bin/rollout"

	idle, err := tr.client.PeerRollouts(ctx, "p1", "", "", time.Minute)
	if err != nil || len(idle.Rollouts) != 0 {
		t.Fatalf("%+v %v", idle, err)
	}
	if again, err := tr.client.PeerRollouts(ctx, "p1", "", idle.Version, 0); err != nil || again.Version != idle.Version {
		t.Errorf("%+v %v", again, err)
	}
	learned := make(chan *trackerapi.PeerRollouts)
	go func() {
		news, err := tr.client.PeerRollouts(ctx, "p1", "", idle.Version, time.Minute)
		if err != nil {
			t.Error(err)
		}
		learned <- news
	}()
	if got := tr.call("PUT", path, "", ""); !strings.HasPrefix(got, "201 ") {
		t.Fatal(got)
	}
	news := <-learned
	if len(news.Rollouts) != 1 || news.Rollouts[0].File != m.Name || news.Rollouts[0].ManifestId != m.ID().String() || news.Rollouts[0].Strategy != "swarm" || news.Version == idle.Version {
		t.Fatalf("%+v", news)
	}

	a := announce("p1", "peer")
	a.Rollout = &news.Rollouts[0].Id
	moving := trackerapi.DownloadStateDownloading
	a.State = &moving
	if r, err := tr.client.Announce(ctx, m.Name, a); err != nil || r.IntervalSeconds >= 5 {
		t.Errorf("a peer of a rollout is seen to move every %v s; %v", r.IntervalSeconds, err)
	}
	state, ended, trouble := trackerapi.DownloadStateFailed, 0.0, "disk full"
	a.State, a.EndedSecondsAgo, a.Error = &state, &ended, &trouble
	if _, err := tr.client.Announce(ctx, m.Name, a); err != nil {
		t.Fatal(err)
	}
	v, err := tr.client.Rollout(ctx, m.Name)
	if err != nil || v.Asked != 2 || v.Failed != 1 || v.Running != 1 || v.DurationSeconds != nil || !v.AllPeers {
		t.Fatalf("%+v %v", v, err)
	}
	p := (*v.Peers)[0]
	if p.Id != "p1" || !p.Online || p.State != trackerapi.RolloutStateFailed || p.Error == nil || *p.Error != trouble || p.AskedAt == nil || p.FinishedAt == nil || p.DurationSeconds == nil {
		t.Errorf("%+v", p)
	}
	if p := (*v.Peers)[1]; p.State != trackerapi.RolloutStatePending || p.AskedAt != nil || p.FinishedAt != nil {
		t.Errorf("%+v", p)
	}
	if got := tr.call("GET", "/v1/rollouts", "", ""); !strings.Contains(got, `"asked":2`) || strings.Contains(got, `"peers":`) {
		t.Error(got)
	}

	if got := tr.call("PUT", path, "", `{"peers":["p2"],"strategy":"direct","sha256":"`+strings.Repeat("A", 64)+`"}`); !strings.HasPrefix(got, "200 ") {
		t.Error(got)
	}
	if news, err = tr.client.PeerRollouts(ctx, "p2", "", "", 0); err != nil || len(news.Rollouts) != 1 || *news.Rollouts[0].Sha256 != strings.Repeat("a", 64) || news.Rollouts[0].Strategy != "direct" {
		t.Errorf("%+v %v", news, err)
	}
	if got := tr.call("DELETE", "/v1/peers/p2?forget=true", "", ""); got != "204 " {
		t.Error(got)
	}
	if v, err := tr.client.Rollout(ctx, m.ID().String()); err != nil || v.Asked != 0 {
		t.Errorf("after p2 was forgotten: %+v %v", v, err)
	}
	if err := tr.client.EndRollout(ctx, m.Name); err != nil {
		t.Error(err)
	}
	if _, err := tr.client.Rollout(ctx, m.Name); !errors.Is(err, trackerclient.ErrNotFound) {
		t.Error(err)
	}
	if got := tr.call("GET", "/v1/rollouts", "", ""); got != "200 {\"rollouts\":[]}\n" {
		t.Error(got)
	}
}

// A rollout outlives the tracker, and requests that wait end with it.
func TestRolloutRestart(t *testing.T) {
	dir := t.TempDir()
	open := func() store.Store {
		s, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := start(t, open())
	m := makeManifest("a", 3, 1)
	first.publish(m)
	first.follow("p1", "127.0.0.1:2685")
	if _, err := first.client.PutRollout(t.Context(), "a", trackerapi.RolloutRequest{}); err != nil {
		t.Fatal(err)
	}
	before, err := first.client.PeerRollouts(t.Context(), "p1", "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	state := trackerapi.DownloadStateComplete
	a := announce("p1", "peer")
	a.State, a.Rollout = &state, &before.Rollouts[0].Id
	if _, err := first.client.Announce(t.Context(), "a", a); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() {
		_, err := first.client.PeerRollouts(t.Context(), "p1", "", before.Version, time.Minute)
		waiting <- err
	}()
	first.stop() // in much less than a minute
	<-waiting

	second := start(t, open())
	v, err := second.client.Rollout(t.Context(), "a")
	if err != nil || v.Complete != 1 || (*v.Peers)[0].Online {
		t.Errorf("%+v %v", v, err)
	}
	after, err := second.client.PeerRollouts(t.Context(), "p1", "", "", 0)
	if err != nil || after.Version != before.Version {
		t.Errorf("%+v before, %+v %v", before, after, err)
	}
}

func (tr *tracker) follow(id, address string) {
	tr.t.Helper()
	follow := true
	if _, err := tr.client.Register(tr.t.Context(), id, trackerapi.Registration{Address: address, Follow: &follow}); err != nil {
		tr.t.Fatal(err)
	}
}

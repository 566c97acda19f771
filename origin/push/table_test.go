package push

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"fanout/api/trackerapi"
)

// of makes a push of n files to web-1, web-2 and web-10; change spoils what went well.
func of(n int, change func(file int, peers []trackerapi.RolloutPeer)) *Push {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := New(Config{Files: n})
	for i := range n {
		began := start.Add(time.Duration(i) * time.Second)
		ended, took := began.Add(2*time.Second), 2.0
		peers := []trackerapi.RolloutPeer{{Id: "web-1"}, {Id: "web-10"}, {Id: "web-2"}} // as the tracker sorts
		for j := range peers {
			peers[j].Online, peers[j].State = true, trackerapi.RolloutStateComplete
			peers[j].BeganAt, peers[j].FinishedAt, peers[j].DurationSeconds = &began, &ended, &took
			peers[j].BytesFromOrigin, peers[j].BytesFromPeers = 1<<20, 3<<20
		}
		change(i, peers)
		r := &trackerapi.Rollout{
			File: fmt.Sprintf("f%d", n-i), Size: 4 << 20, Asked: len(peers), Peers: &peers,
			StartedAt: began, DurationSeconds: &took, OriginBytesSent: 6 << 20,
		}
		for _, q := range peers {
			if q.State == trackerapi.RolloutStateComplete {
				r.Complete++
			}
		}
		p.rollouts.seen = append(p.rollouts.seen, r)
	}
	return p
}

// Many files have one table, and what is to be said of all of them is said once.
func TestTableOfManyFiles(t *testing.T) {
	full, nothing := "disk full", 0.0
	p := of(28, func(file int, peers []trackerapi.RolloutPeer) {
		peers[1] = trackerapi.RolloutPeer{Id: "web-10", State: trackerapi.RolloutStatePending}
		peers[2].DurationSeconds, peers[2].BytesFromOrigin, peers[2].BytesFromPeers = &nothing, 0, 0
		if file >= 20 {
			peers[0].State, peers[0].Error = trackerapi.RolloutStateFailed, &full
		}
	})
	var out bytes.Buffer
	if err := p.Report().Table(&out); err != nil {
		t.Fatal(err)
	}
	want := `
PEER    FILES     STATE     TIME    FROM ORIGIN  FROM PEERS
web-1   20 of 28  failed    29.0 s  28.0 MiB     84.0 MiB
web-2   28 of 28  complete  had it  0 B          0 B
web-10  0 of 28   off       -       0 B          0 B
f1, f2, f3, f4, f5 and 3 more: web-1: failed: disk full
28 files, 112 MiB: 1 of 3 peers have all of them, the last after 29.0 s; the origin sent 1.50 times their size
`
	if got := out.String(); got != want[1:] {
		t.Errorf("got\n%s\nwant%s", got, want)
	}
	const missing = "f1, f2, f3, f4, f5 and 3 more: 1 of 3 peers have it; failed: web-1; off: web-10; " +
		"f9, f10, f11, f12, f13 and 15 more: 2 of 3 peers have it; off: web-10"
	if got := p.missing(); got != missing {
		t.Errorf("got  %s\nwant %s", got, missing)
	}
}

// Peers that are off are named once, however many files there are.
func TestManyFilesToOneThatIsOff(t *testing.T) {
	p := of(28, func(_ int, peers []trackerapi.RolloutPeer) {
		peers[0] = trackerapi.RolloutPeer{Id: "web-1", State: trackerapi.RolloutStatePending}
		peers[1] = trackerapi.RolloutPeer{Id: "web-10", State: trackerapi.RolloutStatePending}
	})
	if got, want := p.missing(), "f1, f2, f3, f4, f5 and 23 more: 1 of 3 peers have it; off: web-1, web-10"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := p.display.detail(), "waiting for peers that are off: web-1, web-10"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

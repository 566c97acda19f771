package rollout

import (
	"encoding/json"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fanout/api/trackerapi"
	"fanout/internal/proving/fleet/fleettest"
)

// Eight peers, one of which is off: it is named, and gets the file when it comes back.
func TestPush(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", 5*mib+1, 1)
	peers := r.followers(8)
	if err := peers[7].Stop(); err != nil {
		t.Fatal(err)
	}
	push := r.push(source)
	push.ends(1, "origin: a.bin: 7 of 8 peers have it; off: p8\n")
	holds(t, push.stdout.String(), "PEER  STATE     TIME", "p1    complete  ", "p7    complete  ", "p8    off       -", "a.bin, 5.00 MiB: 7 of 8 peers have it, the last after ", "; the origin sent 1.")
	r.same(source, peers[:7]...)

	// It comes back when nobody pushes any more: the others have the file.
	fleettest.Start(t, peers[7])
	v := r.rollout("a.bin", complete(8))
	if p := (*v.Peers)[7]; p.Id != "p8" || p.BytesFromOrigin != 0 || p.BytesFromPeers != 5*mib+1 {
		t.Errorf("%+v", p)
	}
	r.same(source, peers[7])
	push = r.push(source)
	push.ends(0, "")
	holds(t, push.stdout.String(), "p8    complete  had it  0 B", "8 of 8 peers have it, the last after 0.0 s; the origin sent 0.00 times its size")
}

// With --wait, a peer that is off is waited for; --json is for scripts.
func TestPushWaits(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", 3*mib, 1)
	other := fleettest.File(t, r.Dir(), "b.bin", mib, 2)
	peers := r.followers(3)
	if err := peers[2].Kill(); err != nil {
		t.Fatal(err)
	}
	push := r.push("--wait", "--json", "--peers", "p3,p2", "--strategy", "static", source, other)
	r.rollout("a.bin", func(v *trackerapi.Rollout) bool { return v.Complete == 1 && v.Pending == 1 })
	fleettest.Start(t, peers[2])
	push.ends(0, "")
	var got struct {
		Complete bool
		Rollouts []trackerapi.Rollout
	}
	d := json.NewDecoder(&push.stdout)
	if err := d.Decode(&got); err != nil || d.More() {
		t.Fatal("not one JSON document:", err)
	}
	if !got.Complete || len(got.Rollouts) != 2 {
		t.Errorf("%+v", got)
	}
	for _, v := range got.Rollouts {
		if v.Asked != 2 || v.Complete != 2 || v.AllPeers || v.Strategy != trackerapi.StrategyStatic || v.DurationSeconds == nil || v.OriginRatio < 1 {
			t.Errorf("%+v", v)
		}
	}
	r.same(source, peers[1], peers[2])
	fleettest.Same(t, peers[2].Path("b.bin"), other)
	if _, err := os.Stat(peers[0].Path("a.bin")); err == nil {
		t.Error("a peer that was not asked has the file")
	}
}

// One that cannot store the file fails with its reason, and tries again when asked again.
func TestPushToOneThatFails(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", mib, 1)
	peers := r.followers(2)
	if err := os.Mkdir(peers[1].Path("a.bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	push := r.push(source)
	push.ends(1, "origin: a.bin: 1 of 2 peers have it; failed: p2\n")
	holds(t, push.stdout.String(), "p2    failed ", "not a regular file: a.bin in "+peers[1].DataDir())
	if err := os.Remove(peers[1].Path("a.bin")); err != nil {
		t.Fatal(err)
	}
	r.push(source).ends(0, "")
	r.same(source, peers...)
}

// What was pushed under the name before, and is still being fetched, gives way.
func TestPushReplaces(t *testing.T) {
	r := start(t)
	peers := r.followers(2)
	first := r.push("--max-upload", "50kB", fleettest.File(t, r.Dir(), "a.bin", 4*mib, 1))
	r.rollout("a.bin", moving)
	if err := os.Mkdir(filepath.Join(r.Dir(), "new"), 0o755); err != nil {
		t.Fatal(err)
	}
	source := fleettest.File(t, filepath.Join(r.Dir(), "new"), "a.bin", 4*mib, 2)
	r.push(source).ends(0, "")
	r.same(source, peers...)
	first.ends(1, "origin: a.bin: the rollout was ended from elsewhere, or the tracker was restarted without --data-dir\n")
}

// Ctrl-C leaves the rollout, and the same command goes on with it.
func TestPushInterrupted(t *testing.T) {
	r := start(t)
	peers := r.followers(2)
	source := fleettest.File(t, r.Dir(), "a.bin", 4*mib, 1)
	push := r.push("--max-upload", "50kB", source)
	r.rollout("a.bin", moving)
	push.interrupt()
	push.ends(130, "origin: interrupted: 0 of 2 peers have a.bin; the rollout goes on")
	v := r.rollout("a.bin", moving)
	if v.Running != 2 {
		t.Errorf("%+v", v)
	}
	r.push(source).ends(0, "")
	r.same(source, peers...)
}

func TestPushGivesUp(t *testing.T) {
	r := start(t)
	r.followers(1)
	push := r.push("--timeout", "1s", "--max-upload", "100kB", fleettest.File(t, r.Dir(), "a.bin", 16*mib, 1))
	push.ends(1, "origin: gave up after 1s: ")
}

func TestPushRefuses(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", mib, 1)
	r.push(source).ends(1, "origin: no peer that follows rollouts is on: start some with peerd --follow, or wait for them with --wait\n")
	fleettest.Start(t, r.Peer("deaf"))
	r.followers(1)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--peers p9 " + source, 1, "origin: --peers: peer p9 has never been registered here; GET /v1/peers lists the peers\n"},
		{"--peers deaf,p1 " + source, 1, "origin: --peers: peer deaf does not follow rollouts: start it with peerd --follow\n"},
		{"--peers all,p1 " + source, 1, "origin: --peers: give all, or IDs\n"},
		{"nowhere.bin", 1, "origin: nowhere.bin: there is no such file\n"},
		{r.Dir(), 1, " is a directory: pack it first, for example with tar\n"},
		{"--strategy magic " + source, 2, `--strategy must be one of "direct","static","swarm"`},
		{"--tracker http://127.0.0.1:1 " + source, 1, "origin: list peers: tracker unreachable at http://127.0.0.1:1: "},
		{"--listen 0.0.0.0:0 " + source, 1, "origin: --listen 0.0.0.0:0: reachable from other machines"},
		{"", 2, `origin: expected "<file> ..."`},
	} {
		t.Run(c.args, func(t *testing.T) {
			sub := *r
			sub.t = t
			push := sub.push(strings.Fields(c.args)...)
			push.ends(c.code, c.want)
			if push.stdout.Len() > 0 {
				t.Error("it prints", &push.stdout)
			}
		})
	}
}

// However a push is ended, it has its last words: by a terminal that is closed, or by timeout(1),
// which signals twice.
func TestPushIsEnded(t *testing.T) {
	r := start(t)
	r.followers(1)
	source := fleettest.File(t, r.Dir(), "a.bin", 16*mib, 1)
	closed := syscall.SIGHUP
	if signal.Ignored(closed) { // by who runs the tests, and so by the push
		closed = syscall.SIGTERM
	}
	last := ""
	for _, signals := range [][]os.Signal{{closed}, {syscall.SIGINT, syscall.SIGINT}} {
		push := r.push("--max-upload", "100kB", source)
		last = r.rollout("a.bin", func(v *trackerapi.Rollout) bool { return v.Id != last }).Id
		for _, s := range signals {
			if err := push.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
		push.ends(130, "origin: interrupted: 0 of 1 peers have a.bin; ")
	}
}

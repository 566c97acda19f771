// Package rollout tests, with real processes, that one command gives a file to a fleet:
// `origin push`, `peerd --follow`, `peerd get`, and the rollout of the tracker's HTTP
// interface that is behind them.
package rollout

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"fanout/api/trackerapi"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
	"fanout/internal/proving/patience"
)

func TestMain(m *testing.M) { fleettest.Main(m) }

const (
	lookEach = 20 * time.Millisecond
	mib      = 1 << 20
)

// rig is a tracker and peers, and where to run commands.
type rig struct {
	*fleet.Fleet
	t        *testing.T
	ctx      context.Context
	binaries fleet.Binaries
	tracker  *fleet.Tracker
}

func start(t *testing.T, trackerFlags ...string) *rig {
	t.Helper()
	f := fleettest.New(t, fleettest.Race)
	r := &rig{Fleet: f, t: t, ctx: patience.Context(t), binaries: fleettest.Binaries(t, fleettest.Race)}
	// A short lease, so that a peer that was killed is soon known to be off.
	r.tracker = f.Tracker(append([]string{"--lease", "3s"}, trackerFlags...)...)
	fleettest.Start(t, r.tracker)
	return r
}

// followers are peers p1, p2 and so on.
func (r *rig) followers(n int, flags ...string) (peers []*fleet.Peer) {
	r.t.Helper()
	var group errgroup.Group
	group.SetLimit(4)
	for i := range n {
		p := r.Peer(fmt.Sprint("p", i+1), append([]string{"--follow"}, flags...)...)
		peers = append(peers, p)
		group.Go(func() error { return p.Start(r.ctx) })
	}
	if err := group.Wait(); err != nil {
		r.t.Fatal(err)
	}
	return peers
}

// command is one that was started.
type command struct {
	*exec.Cmd
	r              *rig
	stdout, stderr bytes.Buffer
	read           chan struct{} // closed when the terminal has been read; nil without one
}

// push starts origin push.
func (r *rig) push(args ...string) *command { return r.command(r.binaries.Origin, "push", args) }

// get starts peerd get.
func (r *rig) get(args ...string) *command { return r.command(r.binaries.Peerd, "get", args) }

func (r *rig) command(binary, name string, args []string) *command {
	c := r.prepare(binary, name, args)
	c.start()
	return c
}

func (r *rig) prepare(binary, name string, args []string) *command {
	args = append([]string{name, "--tracker", r.tracker.URL()}, args...)
	c := &command{Cmd: fleettest.Command(r.ctx, binary, args...), r: r}
	c.Dir = r.Dir()
	c.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=20")
	c.Stdout, c.Stderr = &c.stdout, &c.stderr
	return c
}

func (c *command) start() {
	c.r.t.Helper()
	if err := c.Start(); err != nil {
		c.r.t.Fatal(err)
	}
	c.r.t.Cleanup(func() { _ = c.Process.Kill() })
}

// waitedFor is what a push says while it waits for long: how fast this machine is decides that.
var waitedFor = regexp.MustCompile(`(?m)^origin: waiting: .*\n`)

// ends waits for the command, checks its exit code and that stderr is one line that contains
// this, or empty.
func (c *command) ends(code int, stderr string) {
	c.r.t.Helper()
	_ = c.Wait()
	if c.read != nil {
		<-c.read
	}
	got := waitedFor.ReplaceAllString(c.stderr.String(), "")
	if c.ProcessState.ExitCode() != code || (stderr == "") != (got == "") || !strings.Contains(got, stderr) || strings.Count(got, "\n") > 1 {
		c.r.t.Errorf("%s\nexit code %d, want %d; stderr %q, want %q; stdout\n%s", c, c.ProcessState.ExitCode(), code, got, stderr, &c.stdout)
	}
	if c.r.t.Failed() {
		return
	}
	c.r.t.Logf("%s\n%s%s", strings.Join(c.Args[1:], " "), &c.stdout, got)
}

func (c *command) interrupt() {
	c.r.t.Helper()
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		c.r.t.Fatal(err)
	}
}

// rollout is that of a file, once it is as wanted.
func (r *rig) rollout(file string, wanted func(*trackerapi.Rollout) bool) *trackerapi.Rollout {
	r.t.Helper()
	for {
		a, err := r.tracker.API().GetRolloutWithResponse(r.ctx, file)
		if err == nil && a.JSON200 != nil && wanted(a.JSON200) {
			return a.JSON200
		}
		if !pause(r.ctx) {
			r.t.Fatalf("rollout of %s: %v; %s", file, err, a.Body)
		}
	}
}

func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(lookEach):
		return true
	}
}

// put asks for a file over HTTP.
func (r *rig) put(file string, peers ...string) {
	r.t.Helper()
	q := trackerapi.RolloutRequest{}
	if peers != nil {
		q.Peers = &peers
	}
	a, err := r.tracker.API().PutRolloutWithResponse(r.ctx, file, q)
	if err != nil || a.StatusCode() > 201 {
		r.t.Fatalf("%v %s", err, a.Body)
	}
}

func complete(n int) func(*trackerapi.Rollout) bool {
	return func(v *trackerapi.Rollout) bool { return v.Complete == n }
}

func moving(v *trackerapi.Rollout) bool { return v.BytesDone > 0 }

func (r *rig) same(source string, peers ...*fleet.Peer) {
	r.t.Helper()
	for _, p := range peers {
		fleettest.Same(r.t, p.Path("a.bin"), source)
	}
}

// holds fails the test unless a text has these lines or parts of lines.
func holds(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in\n%s", p, text)
		}
	}
}

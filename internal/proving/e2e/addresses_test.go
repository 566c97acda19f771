package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fanout/internal/proving/fleet/fleettest"
)

// No daemon tells the fleet an address that means another machine to everybody who hears it,
// or none.
func TestAddressesThatNobodyCanDial(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", mib, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}})
	bin, data := fleettest.Binaries(t, fleettest.Race), t.TempDir()
	const free, remote = "127.0.0.1:0", "http://192.0.2.1:2680" // of no network; it is not asked
	with := func(tracker string, line []string, args ...string) []string {
		return append(append(line, "--tracker", tracker, "--listen", free, "--http", free), args...)
	}
	here := r.tracker.URL()
	origin, push := []string{"serve", source}, []string{"push", source}
	peerd, get := []string{"serve", "--data-dir", data}, []string{"get", "image.bin", "-o", filepath.Join(data, "copy")}
	programs := map[string]struct {
		binary string
		line   []string
	}{"origin": {bin.Origin, origin}, "push": {bin.Origin, push}, "peerd": {bin.Peerd, peerd}, "get": {bin.Peerd, get}}
	wrong := map[string]struct {
		args []string
		says []string
	}{
		"all interfaces":      {[]string{"--listen", "0.0.0.0:0", "--insecure"}, []string{"--listen 0.0.0.0:", "--advertise HOST:PORT", "listen on 127.0.0.1:0"}},
		"all of IPv6":         {[]string{"--listen", "[::]:0", "--insecure"}, []string{"--listen [::]:0", "--advertise"}},
		"no host":             {[]string{"--listen", ":0", "--insecure"}, []string{"--listen", "--advertise"}},
		"all for metrics":     {[]string{"--http", "0.0.0.0:0", "--insecure"}, []string{"--http 0.0.0.0:", "--advertise"}},
		"nothing to listen":   {[]string{"--listen", "", "--insecure"}, []string{"--listen"}},
		"no port to listen":   {[]string{"--listen", "127.0.0.1:"}, []string{"--listen", "give host:port"}},
		"advertise all":       {[]string{"--advertise", "0.0.0.0:2684"}, []string{`--advertise "0.0.0.0:2684"`}},
		"advertise no host":   {[]string{"--advertise", ":2684"}, []string{`--advertise ":2684"`}},
		"advertise port 0":    {[]string{"--advertise", "host:0"}, []string{`--advertise "host:0"`}},
		"advertise a bad one": {[]string{"--advertise", "host:99999"}, []string{`--advertise "host:99999"`}},
		"advertise two words": {[]string{"--advertise", "a b:2684"}, []string{`--advertise "a b:2684"`}},
	}
	refused := func(t *testing.T, binary string, args []string, says []string) {
		t.Helper()
		r := *r
		r.t = t
		code, stderr := r.attempt(binary, args...)
		if code == 0 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("exit code %d, want another and one line on stderr:\n%s", code, stderr)
		}
		for _, s := range says {
			if !strings.Contains(stderr, s) {
				t.Errorf("it does not name %q: %s", s, stderr)
			}
		}
	}
	for program, p := range programs {
		for what, w := range wrong {
			t.Run(program+": "+what, func(t *testing.T) { refused(t, p.binary, with(here, p.line, w.args...), w.says) })
		}
	}
	for _, program := range []string{"origin", "push"} {
		t.Run(program+": on loopback, the tracker elsewhere", func(t *testing.T) {
			refused(t, bin.Origin, with(remote, programs[program].line), []string{"--listen 127.0.0.1:", "--advertise", "192.0.2.1"})
		})
	}
}

// What --advertise names is told for the metrics of a wildcard listener, too; those that only
// this machine can ask are not told.
func TestMetricsAddressIsTrue(t *testing.T) {
	t.Parallel()
	r := bare(t, fleettest.Race)
	r.tracker = r.Tracker()
	fleettest.Start(t, r.tracker)
	peerd := fleettest.Binaries(t, fleettest.Race).Peerd
	for id, c := range map[string]struct {
		args []string
		want string
	}{
		"wildcard": {[]string{"--listen", "0.0.0.0:0", "--http", "0.0.0.0:0", "--insecure", "--advertise", "host.example:2685"}, "host.example:"},
		"loopback": {[]string{"--listen", "0.0.0.0:0", "--http", "127.0.0.1:0", "--insecure", "--advertise", "host.example:2685"}, ""},
		"all-here": {[]string{"--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, "127.0.0.1:"},
	} {
		r.background(peerd, append([]string{"--tracker", r.tracker.URL(), "--data-dir", t.TempDir(), "--id", id}, c.args...)...)
		r.eventually(id+" is registered", func() bool {
			list, err := r.tracker.API().ListPeersWithResponse(r.ctx)
			r.must(err)
			for _, p := range list.JSON200.Peers {
				if p.Id != id {
					continue
				}
				told := ""
				if p.HttpAddress != nil {
					told = *p.HttpAddress
				}
				if !strings.HasPrefix(told, c.want) || c.want == "" && told != "" {
					t.Errorf("%s tells %q, want %q", id, told, c.want)
				}
				return true
			}
			return false
		})
	}
}

// background runs a program until the test ends.
func (r *rig) background(binary string, args ...string) {
	r.t.Helper()
	cmd := fleettest.Command(context.Background(), binary, args...) // interrupted, not killed
	r.run(cmd)
}

// run runs a command until the test ends, and shows what it said if the test fails.
func (r *rig) run(cmd *exec.Cmd) {
	r.t.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	r.must(cmd.Start())
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // interrupted
		if r.t.Failed() {
			r.t.Logf("%q said:\n%s", cmd.Args, &said)
		}
	})
}

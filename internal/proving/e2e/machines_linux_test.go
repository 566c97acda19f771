package e2e

import (
	"os"
	"strings"
	"testing"

	"fanout/internal/proving/fleet/fleettest"
)

// otherMachine makes another network namespace, 192.0.2.2 to this one's 192.0.2.1, that lasts as
// long as the process whose ID it leaves in OTHER.
const otherMachine = `ip link set lo up && ip link add here type veth peer name there && { setpriv --pdeathsig KILL unshare --net sleep 600 >/dev/null 2>&1 & OTHER=$!; } &&
	while [ "$(readlink /proc/$OTHER/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done &&
	ip link set there netns $OTHER && ip address add 192.0.2.1/24 dev here && ip link set here up &&
	nsenter -t $OTHER -n sh -c 'ip link set lo up && ip address add 192.0.2.2/24 dev there && ip link set there up' && export OTHER`

// A push from the tracker's machine does not wait in vain for peers of other machines that it
// has told its loopback address: it says so. An origin is not ready then.
func TestPushToAnotherMachine(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		reexec(t, otherMachine)
		return
	}
	r := bare(t, fleettest.Plain)
	bin := fleettest.Binaries(t, fleettest.Plain)
	const tracker = "http://127.0.0.1:2680"
	source := fleettest.File(t, t.TempDir(), "image.bin", mib, 1)
	r.background(bin.Tracker, "--listen", "0.0.0.0:2680", "--insecure")
	r.eventually("the tracker is ready", func() bool {
		code, _ := r.attempt(bin.Tracker, "health", "--listen", "127.0.0.1:2680")
		return code == 0
	})
	there := []string{"-t", os.Getenv("OTHER"), "-n", bin.Peerd}
	r.background("nsenter", append(there, "--tracker", "http://192.0.2.1:2680", "--data-dir", t.TempDir(),
		"--listen", "0.0.0.0:2685", "--http", "127.0.0.1:2695", "--insecure", "--follow")...)
	r.eventually("the peer is ready", func() bool {
		code, _ := r.attempt("nsenter", append(there, "health", "--http", "127.0.0.1:2695")...)
		return code == 0
	})
	wants := func(stderr string) {
		t.Helper()
		for _, s := range []string{"192.0.2.2:2685", "are told 127.0.0.1:", "--listen 0.0.0.0:", "--advertise"} {
			if !strings.Contains(stderr, s) {
				t.Errorf("it does not say %q: %s", s, stderr)
			}
		}
	}
	code, stderr := r.attempt(bin.Origin, "push", source, "--tracker", tracker)
	if wants(stderr); code != 1 {
		t.Errorf("exit code %d", code)
	}
	r.background(bin.Origin, source, "--tracker", tracker)
	r.eventually("the origin is not ready", func() bool { // for the peer still wants it
		code, stderr = r.attempt(bin.Origin, "health")
		return code == 1 && strings.Contains(stderr, "are told")
	})
	wants(stderr)
	if code, stderr = r.attempt(bin.Origin, "push", source, "--tracker", "http://192.0.2.1:2680", "--listen", "0.0.0.0:0", "--insecure"); code != 0 {
		t.Errorf("the remedy: exit code %d: %s", code, stderr)
	}
}

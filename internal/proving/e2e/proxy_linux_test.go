package e2e

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fanout/internal/proving/fleet/fleettest"
)

// inNamespace is set for the copy of this test that runs in a network namespace, where the
// machine has an address of its own beyond loopback.
const inNamespace = "FANOUTTEST_IN_NAMESPACE"

const (
	ownAddress  = "192.0.2.1"
	prepareNet  = `ip link set lo up && ip address add ` + ownAddress + `/32 dev lo`
	noNamespace = 77
)

// With HTTP_PROXY set, no program asks a proxy for this machine, by whichever address; it
// does for another one.
func TestOwnMachineIsNotProxied(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		reexec(t, prepareNet)
		return
	}
	var mu sync.Mutex
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+r.URL.Host+r.URL.Path)
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer proxy.Close()
	r := bare(t, fleettest.Plain)
	bin := fleettest.Binaries(t, fleettest.Plain)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	t.Setenv("NO_PROXY", "")
	t.Setenv("no_proxy", "")
	source, target := fleettest.File(t, t.TempDir(), "image.bin", mib, 1), t.TempDir()
	ready := func(binary string, flag, address string) {
		t.Helper()
		r.eventually(address+" is ready", func() bool {
			code, _ := r.attempt(binary, "health", flag, address)
			return code == 0
		})
	}
	at := func(port string) string { return net.JoinHostPort(ownAddress, port) }
	tracker := "http://" + at("2680")
	r.background(bin.Tracker, "--listen", at("2680"), "--insecure")
	ready(bin.Tracker, "--listen", at("2680"))
	r.background(bin.Origin, "--tracker", tracker, "--listen", at("2684"), "--http", at("2694"), "--insecure", source)
	ready(bin.Origin, "--http", at("2694"))
	r.background(bin.Peerd, "--tracker", tracker, "--data-dir", t.TempDir(), "--listen", at("2685"), "--http", at("2695"), "--insecure", "--follow")
	ready(bin.Peerd, "--http", at("2695"))
	for what, line := range map[string][]string{
		"get":  {bin.Peerd, "get", "image.bin", "-o", target, "--tracker", tracker, "--listen", at("0"), "--http", at("0"), "--insecure"},
		"push": {bin.Origin, "push", source, "--tracker", tracker, "--listen", at("0"), "--http", at("0"), "--insecure"},
	} {
		if code, stderr := r.attempt(line[0], line[1:]...); code != 0 {
			t.Errorf("%s: exit code %d: %s", what, code, stderr)
		}
	}
	fleettest.Same(t, filepath.Join(target, "image.bin"), source)
	mu.Lock()
	if len(asked) > 0 {
		t.Errorf("the proxy was asked for this machine: %q", asked)
	}
	mu.Unlock()
	if code, stderr := r.attempt(bin.Peerd, "get", "image.bin", "--tracker", "http://192.0.2.99:2680"); code == 0 || !strings.Contains(stderr, "502") {
		t.Errorf("get from a tracker that only the proxy reaches: exit code %d: %s", code, stderr)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 1 {
		t.Errorf("the proxy was asked %q for another machine, want once", asked)
	}
}

// reexec runs this test again where the machine has another address.
func reexec(t *testing.T, prepare string) {
	script := prepare + ` || exit 77; exec "$0" "$@"`
	cmd := fleettest.Command(t.Context(), "unshare", "--net", "sh", "-c", script, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	built := filepath.Dir(filepath.Dir(fleettest.Binaries(t, fleettest.Plain).Tracker)) // once is enough
	cmd.Env = append(os.Environ(), inNamespace+"=1", "FLEETTEST_BINARIES="+built)
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil && strings.Contains(string(out), "--- PASS"):
	case cmd.ProcessState == nil || cmd.ProcessState.ExitCode() == noNamespace || strings.Contains(string(out), "unshare failed"):
		t.Skipf("needs root, unshare and ip: %v\n%s", err, out)
	default:
		t.Errorf("in a network namespace: %v\n%s", err, out)
	}
}

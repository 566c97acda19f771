package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

// answer is what a daemon answered to something wrong.
type answer struct {
	fleet.Problem
	contentType string
}

// call sends a request as curl would, with a body that no client of ours would send.
func (r *rig) call(method, url, body string) answer {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.ctx, method, url, strings.NewReader(body))
	r.must(err)
	got, err := http.DefaultClient.Do(q)
	r.must(err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	r.must(err)
	a := answer{contentType: got.Header.Get("Content-Type")}
	if err := json.Unmarshal(text, &a.Problem); err != nil {
		r.t.Fatalf("%s %s: %s, no JSON: %q", method, url, got.Status, text)
	}
	if a.Status != got.StatusCode {
		r.t.Errorf("%s %s: %s, but the problem says %d", method, url, got.Status, a.Status)
	}
	return a
}

// wants fails the test unless an answer is a problem with that status and field, whose
// detail names everything of says.
func (a answer) wants(t *testing.T, status int, field string, says ...string) {
	t.Helper()
	if a.contentType != "application/problem+json" || a.Status != status || a.Field != field {
		t.Errorf("%s %d, field %q, want %d, field %q: %s", a.contentType, a.Status, a.Field, status, field, a.Detail)
	}
	for _, s := range says {
		if !strings.Contains(a.Detail, s) {
			t.Errorf("it says %q, which does not name %q", a.Detail, s)
		}
	}
}

// What a peer refuses to download, or refuses to believe.
func TestRefusedDownloads(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", mib, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, peers: 1})
	p := r.peers[0]
	outside := t.TempDir()
	r.must(os.Symlink(outside, p.Path("elsewhere")))
	r.must(os.Symlink(filepath.Join(outside, "new.bin"), p.Path("link.bin")))
	r.must(os.Symlink("/", p.Path("root")))
	r.must(os.Mkdir(p.Path("directory"), 0o755))
	to := func(output string) string {
		body, err := json.Marshal(peerapi.DownloadRequest{File: "image.bin", Output: &output})
		r.must(err)
		return string(body)
	}
	for name, c := range map[string]struct {
		body   string
		status int
		field  string
		says   []string
	}{
		"unknown file":            {`{"file":"no such.bin"}`, 404, "file", []string{`"no such.bin"`, "image.bin"}},
		"unknown manifest":        {`{"file":"` + strings.Repeat("0", 64) + `"}`, 404, "file", []string{strings.Repeat("0", 64)}},
		"above the data dir":      {to("../image.bin"), 400, "output", []string{"../image.bin", p.DataDir()}},
		"absolute elsewhere":      {to("/tmp/image.bin"), 400, "output", []string{"/tmp/image.bin", p.DataDir()}},
		"sneaking out":            {to("a/../../image.bin"), 400, "output", []string{"a/../../image.bin"}},
		"through a directory":     {to("elsewhere/image.bin"), 400, "output", []string{"elsewhere/image.bin", p.DataDir()}},
		"through a link":          {to("link.bin"), 400, "output", []string{"link.bin", p.DataDir()}},
		"through a link to /":     {to("root/tmp/image.bin"), 400, "output", []string{"root/tmp/image.bin"}},
		"with a zero byte":        {`{"file":"image.bin","output":"x\u0000y"}`, 400, "output", []string{"zero byte"}},
		"onto a directory":        {to("directory"), 400, "output", []string{"directory"}},
		"onto the data dir":       {to("."), 400, "output", []string{p.DataDir()}},
		"into peerd's own":        {to(".fanout/image.bin"), 400, "output", []string{".fanout"}},
		"no JSON":                 {`{"file": image.bin}`, 400, "", []string{"not JSON", "byte 10"}},
		"half of it":              {`{"file": "image.bin"`, 400, "", []string{"ends too early"}},
		"nothing":                 {``, 400, "", []string{"no body"}},
		"no file":                 {`{}`, 400, "file", []string{"file"}},
		"a number for a name":     {`{"file": 7}`, 400, "file", []string{"file"}},
		"an unknown strategy":     {`{"file":"image.bin","strategy":"fast"}`, 400, "strategy", []string{"strategy", "swarm"}},
		"half a digest":           {`{"file":"image.bin","sha256":"abc"}`, 400, "sha256", []string{"sha256"}},
		"a field with a mistake":  {`{"file":"image.bin","ouput":"x"}`, 400, "body", []string{`"ouput"`}},
		"a list where one is due": {`[{"file":"image.bin"}]`, 400, "body", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := *r
			r.t = t
			r.call("POST", p.URL()+"/v1/downloads", c.body).wants(t, c.status, c.field, c.says...)
		})
	}
	list, err := p.API().ListDownloadsWithResponse(r.ctx)
	r.must(err)
	if n := len(list.JSON200.Downloads); n != 0 {
		t.Errorf("%d downloads on the list after nothing but refusals", n)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("outside the data directory there is %v, %v", entries, err)
	}
}

// A whole-file digest that does not fit: the download fails with both digests in the reason,
// nothing gets the final name, and the chunks that were verified are kept.
func TestWrongSHA256(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", 4*mib, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, peers: 1})
	p := r.peers[0]
	data, err := os.ReadFile(source)
	r.must(err)
	right := fmt.Sprintf("%x", sha256.Sum256(data))
	wrong := strings.Repeat("ab", 32)
	d := r.begin(peerapi.DownloadRequest{File: "image.bin", Sha256: &wrong}, p)[0]
	now, err := p.Wait(r.ctx, d.id)
	r.must(err)
	if trouble := fleet.Trouble(now); now.State != peerapi.DownloadStateFailed || !strings.Contains(trouble, right) || !strings.Contains(trouble, wrong) {
		t.Errorf("%s: %s; want failed with the digests %s and %s", now.State, trouble, right, wrong)
	}
	absent(t, d.path())
	if _, err := os.Stat(d.part()); err != nil {
		t.Errorf("the part was not kept: %v", err)
	}
	// Asked for again with the right digest, in the other spelling, it is only hashed again.
	before := r.fetched(p)
	upper := strings.ToUpper(right)
	again := r.begin(peerapi.DownloadRequest{File: "image.bin", Sha256: &upper}, p)
	r.complete(source, again...)
	if after := r.fetched(p); after != before {
		t.Errorf("%d bytes were fetched again", after-before)
	}
}

// Without a tracker an origin and a peer keep trying, say so, and refuse downloads with the
// reason; they go on when it appears.
func TestTrackerUnreachableAtTheStart(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", mib, 1)
	r := bare(t, fleettest.Race)
	r.tracker = r.Tracker()
	fleettest.Start(t, r.tracker) // so that its address is known
	r.must(r.tracker.Stop())
	r.origin = r.Origin("origin", []string{source})
	p := r.Peer("peer-01")
	r.must(r.origin.Launch(r.ctx))
	r.must(p.Launch(r.ctx))
	r.eventually("the peer has tried and says why it is not ready", func() bool {
		return strings.Contains(r.call("GET", p.URL()+"/readyz", "").Detail, r.tracker.URL())
	})
	r.eventually("the origin has tried and says why it is not ready", func() bool {
		return strings.Contains(r.call("GET", r.origin.URL()+"/readyz", "").Detail, r.tracker.URL())
	})
	r.call("GET", p.URL()+"/readyz", "").wants(t, 503, "", "tracker unreachable", "connection refused")
	r.call("GET", r.origin.URL()+"/readyz", "").wants(t, 503, "", "image.bin is not published", "tracker unreachable")
	r.call("POST", p.URL()+"/v1/downloads", `{"file":"image.bin"}`).wants(t, 503, "", r.tracker.URL(), "start the tracker")
	fleettest.Start(t, r.tracker)
	r.must(r.origin.Ready(r.ctx))
	r.must(p.Ready(r.ctx))
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), p)...)
}

// attempt runs a program that should end by itself, and returns its exit code and what it
// printed to stderr.
func (r *rig) attempt(binary string, args ...string) (code int, stderr string) {
	r.t.Helper()
	cmd := fleettest.Command(r.ctx, binary, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	if r.ctx.Err() != nil {
		r.t.Fatalf("%s %q went on running: %s", filepath.Base(binary), args, said.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), said.String()
}

// A daemon that cannot start says in one line what is wrong with which thing, and how to mend
// it, and exits with 1.
func TestDaemonsThatCannotStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := fleettest.File(t, dir, "image.bin", mib, 1)
	data := filepath.Join(t.TempDir(), "tracker-data")
	r := start(t, plan{build: fleettest.Race, files: []string{source}, tracker: []string{"--data-dir", data}, peers: 1})
	bin := fleettest.Binaries(t, fleettest.Race)
	url, taken := r.tracker.URL(), r.peers[0].ChunkAddress()
	fresh := func() string { return filepath.Join(dir, "never") }
	const free = "127.0.0.1:0"
	r.must(os.MkdirAll(filepath.Join(dir, "elsewhere"), 0o755))
	twin := fleettest.File(t, filepath.Join(dir, "elsewhere"), "image.bin", 1, 1)
	peerd := func(args ...string) []string {
		return append([]string{"--tracker", url, "--data-dir", fresh(), "--listen", free, "--http", free}, args...)
	}
	origin := func(args ...string) []string {
		return append([]string{"--tracker", url, "--listen", free, "--http", free}, args...)
	}
	for name, c := range map[string]struct {
		binary string
		args   []string
		says   []string
	}{
		"tracker: port in use":           {bin.Tracker, []string{"--listen", r.tracker.HTTPAddress()}, []string{"--listen", r.tracker.HTTPAddress(), "another process listens there"}},
		"tracker: beyond loopback":       {bin.Tracker, []string{"--listen", "0.0.0.0:0"}, []string{"--listen", "no authentication", "--insecure"}},
		"tracker: data dir is a file":    {bin.Tracker, []string{"--listen", free, "--data-dir", source}, []string{source}},
		"tracker: data dir below a file": {bin.Tracker, []string{"--listen", free, "--data-dir", source + "/data"}, []string{source + "/data"}},
		"tracker: data dir in use":       {bin.Tracker, []string{"--listen", free, "--data-dir", data}, []string{"--data-dir", data, "another tracker"}},
		"tracker: lease too short":       {bin.Tracker, []string{"--listen", free, "--lease", "1ms"}, []string{"--lease"}},
		"origin: chunk port in use":      {bin.Origin, origin("--listen", taken, source), []string{"--listen", taken, "another process listens there"}},
		"origin: HTTP port in use":       {bin.Origin, origin("--http", taken, source), []string{"--http", taken, "another process listens there"}},
		"origin: beyond loopback":        {bin.Origin, origin("--listen", "0.0.0.0:0", source), []string{"--listen", "no authentication", "--insecure"}},
		"origin: HTTP beyond loopback":   {bin.Origin, origin("--http", "[::]:0", source), []string{"--http", "no authentication", "--insecure"}},
		"origin: missing file":           {bin.Origin, origin("/nowhere/image.bin"), []string{"/nowhere/image.bin", "no such file"}},
		"origin: a directory":            {bin.Origin, origin(dir), []string{dir, "is a directory", "tar"}},
		"origin: a device":               {bin.Origin, origin("/dev/null"), []string{"/dev/null", "not a regular file"}},
		"origin: more than its size":     {bin.Origin, origin("--log-level", "error", "/proc/cpuinfo"), []string{"/proc/cpuinfo has more bytes than its size says"}},
		"origin: one name twice":         {bin.Origin, origin(source, twin), []string{twin, "image.bin"}},
		"origin: chunks too small":       {bin.Origin, origin("--chunk-size", "4095", source), []string{"--chunk-size", "4095 bytes", "from 4096 (4KiB) to 67108864 (64MiB)"}},
		"origin: chunks too large":       {bin.Origin, origin("--chunk-size", "67108865B", source), []string{"--chunk-size", "67108865 bytes", "from 4096 (4KiB) to 67108864 (64MiB)"}},
		"origin: an ID that is none":     {bin.Origin, origin("--id", "a b", source), []string{"--id", "a b"}},
		"origin: no tracker's URL":       {bin.Origin, []string{"--tracker", "http://", "--listen", free, "--http", free, source}, []string{"tracker", "http://"}},
		"peerd: chunk port in use":       {bin.Peerd, peerd("--listen", taken), []string{"--listen", taken, "another process listens there"}},
		"peerd: HTTP port in use":        {bin.Peerd, peerd("--http", taken), []string{"--http", taken, "another process listens there"}},
		"peerd: beyond loopback":         {bin.Peerd, peerd("--listen", "0.0.0.0:0"), []string{"--listen", "no authentication", "--insecure"}},
		"peerd: HTTP beyond loopback":    {bin.Peerd, peerd("--http", "0.0.0.0:0"), []string{"--http", "no authentication", "--insecure"}},
		"peerd: data dir is a file":      {bin.Peerd, peerd("--data-dir", source), []string{"--data-dir", source}},
		"peerd: data dir below a file":   {bin.Peerd, peerd("--data-dir", source+"/data"), []string{"--data-dir", source + "/data"}},
		"peerd: data dir not writable":   {bin.Peerd, peerd("--data-dir", "/proc/fanout"), []string{"--data-dir", "/proc/fanout"}},
		"peerd: data dir in use":         {bin.Peerd, peerd("--data-dir", r.peers[0].DataDir()), []string{"--data-dir", r.peers[0].DataDir(), "another peerd"}},
		"peerd: an ID that is none":      {bin.Peerd, peerd("--id", "a b"), []string{"--id", "a b"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := *r
			r.t = t
			code, stderr := r.attempt(c.binary, c.args...)
			if code != 1 || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, want 1 and one line on stderr:\n%s", code, stderr)
			}
			for _, s := range c.says {
				if !strings.Contains(stderr, s) {
					t.Errorf("it does not name %q: %s", s, stderr)
				}
			}
		})
	}
	absent(t, filepath.Join(dir, "image.bin.part"))
	// The peer whose data directory was wanted is unharmed.
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)...)
}

// With --insecure a daemon may be reached from elsewhere.
func TestInsecureListensBeyondLoopback(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", mib, 1)
	r := bare(t, fleettest.Race)
	r.tracker = r.Tracker()
	fleettest.Start(t, r.tracker)
	ports := []string{"--listen", "0.0.0.0:0", "--insecure", "--advertise", "127.0.0.1"}
	r.origin = r.Origin("origin", []string{source}, ports...)
	fleettest.Start(t, r.origin)
	r.complete(source, r.begin(request("image.bin", peerapi.StrategySwarm), r.addPeers(2, ports...)...)...)
}

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

// intruder is one who speaks the chunk protocol, and then does not.
type intruder struct {
	net.Conn
	in *bufio.Reader
}

func intrude(ctx context.Context, address string) (*intruder, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { c.Close() })
	return &intruder{c, bufio.NewReader(c)}, nil
}

// hello does the handshake about a manifest, under a peer ID.
func (i *intruder) hello(manifest, id string) error {
	greeting, err := i.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(greeting, "FANOUT 1 ") {
		return fmt.Errorf("greeting %q: %v", greeting, err)
	}
	fmt.Fprintf(i, "HELLO %s %s 1 -\n", manifest, id)
	answer, err := i.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(answer, "HELLO "+manifest+" ") {
		return fmt.Errorf("answer %q: %v", answer, err)
	}
	return nil
}

// reason reads until the connection is closed, and returns the code of the ERR before that.
func (i *intruder) reason() (code string, err error) {
	defer i.Close()
	text, err := io.ReadAll(i.in)
	at := strings.LastIndex(string(text), "ERR ")
	if at < 0 {
		return "", fmt.Errorf("closed without ERR after %d bytes: %v", len(text), err)
	}
	code, _, _ = strings.Cut(strings.TrimSuffix(string(text[at+len("ERR "):]), "\n"), " ")
	return code, nil
}

// drip sends a byte now and then until that fails.
func (i *intruder) drip(text string) {
	for {
		for n := range len(text) {
			if _, err := i.Write([]byte{text[n]}); err != nil {
				return
			}
			time.Sleep(200 * time.Millisecond) // not to wait for something: this is the attack
		}
	}
}

// Whoever breaks the rules of the chunk protocol is told why, loses the connection and is
// counted. Downloads that run at the same time do not notice.
func TestIntruders(t *testing.T) {
	t.Parallel()
	const chunk, chunks = 64 * kib, 384
	source := fleettest.File(t, t.TempDir(), "image.bin", chunks*chunk, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, origin: []string{"--chunk-size", "64KiB"},
		peers: 2, peer: []string{"--max-download", "1.5MB", "--max-upload", "20MB"}, shut: 0.1})
	manifest := r.file("image.bin").ManifestId
	begun := r.begin(request("image.bin", peerapi.StrategySwarm), r.peers...)
	for _, d := range begun {
		r.await(d, 0.01)
	}
	garbage := strings.Repeat("\x00\xff\xfe{}", 100)
	type attack struct {
		name  string
		hello bool
		say   string
		code  string
	}
	attacks := []attack{
		{"HTTP", false, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bad-message"},
		{"bytes instead of HELLO", false, garbage + "\n", "bad-message"},
		{"a line without end instead of HELLO", false, strings.Repeat("HELLO", 1000), "bad-message"},
		{"a manifest that is not here", false, "HELLO " + strings.Repeat("0", 64) + " intruder 1 -\n", "unknown-manifest"},
		{"a peer ID that is none", false, "HELLO " + manifest + " ../x 1 -\n", "bad-message"},
		{"a message before HELLO", false, "GET 0\n", "bad-message"},
		{"bytes after HELLO", true, garbage + "\n", "bad-message"},
		{"a line without end", true, "GET " + strings.Repeat("1", 5000), "bad-message"},
		{"an unknown word", true, "PUT 0\n", "bad-message"},
		{"no number", true, "GET one\n", "bad-message"},
		{"a negative chunk", true, "GET -1\n", "bad-message"},
		{"a chunk that does not exist", true, fmt.Sprintf("GET %d\n", chunks), "bad-message"},
		{"to have a chunk that does not exist", true, "HAVE 2147483647\n", "bad-message"},
		{"a bitmap that is too short", true, "BITS 1\n\xff", "bad-length"},
		{"a bitmap of gigabytes", true, "BITS 2147483647\n", "bad-length"},
		{"a chunk of the wrong length", true, "DATA 0 5\nhello", "bad-length"},
		{"a chunk of gigabytes", true, "DATA 0 2147483647\n", "bad-length"},
		{"a chunk that nobody asked for", true, fmt.Sprintf("DATA 0 %d\n", chunk), "unasked"},
		{"greed", true, strings.Repeat("GET 0\n", 5000), "too-many"},
	}
	for name, d := range map[string]*fleet.Daemon{"origin": r.origin.Daemon, "peer": r.peers[0].Daemon} {
		for _, a := range attacks {
			t.Run(name+"/"+a.name, func(t *testing.T) {
				r := *r
				r.t = t
				before := r.metric(d, "fanout_sessions_rejected_total", "code", a.code)
				i, err := intrude(r.ctx, d.ChunkAddress())
				r.must(err)
				if a.hello {
					r.must(i.hello(manifest, "intruder"))
				}
				go io.WriteString(i, a.say) // it may not all be read
				if code, err := i.reason(); err != nil || code != a.code {
					t.Errorf("ERR %q, %v; want %s", code, err, a.code)
				}
				if after := r.metric(d, "fanout_sessions_rejected_total", "code", a.code); after != before+1 {
					t.Errorf("%d sessions were rejected as %s, %d before", after, a.code, before)
				}
			})
		}
	}
	r.underWay(begun...)

	// Those that take their time, all at once, while the download goes on.
	missing := chunks - 1 // the last ones come last
	slow := []struct {
		name  string
		hello bool
		say   string // at once
		drip  string // then, a byte now and then
	}{
		{"silence", false, "", ""},
		{"HELLO, slowly", false, "", "HELLO " + manifest + " " + strings.Repeat("x", 60)},
		{"a chunk that stops", true, fmt.Sprintf("OFFER %d\nDATA %d %d\n", missing, missing, chunk), ""},
		{"a chunk, slowly", true, fmt.Sprintf("OFFER %d\nDATA %d %d\n", missing, missing, chunk), "x"},
	}
	r.valve.Open()
	for _, d := range begun {
		r.await(d, 0.25)
	}
	victim := r.peers[0]
	before := r.metric(victim.Daemon, "fanout_sessions_rejected_total", "code", "timeout")
	var wg sync.WaitGroup
	for n, a := range slow {
		wg.Go(func() {
			i, err := intrude(r.ctx, victim.ChunkAddress())
			if err == nil && a.hello {
				err = i.hello(manifest, fmt.Sprint("intruder-", n)) // of one ID, the last one counts
			}
			if err != nil {
				t.Errorf("%s: %v", a.name, err)
				return
			}
			io.WriteString(i, a.say)
			if a.drip != "" {
				go i.drip(a.drip)
			}
			if code, err := i.reason(); err != nil || code != "timeout" {
				t.Errorf("%s: ERR %q, %v; want timeout", a.name, code, err)
			}
		})
	}
	r.complete(source, begun...)
	wg.Wait()
	if got := r.metric(victim.Daemon, "fanout_sessions_rejected_total", "code", "timeout"); got != before+int64(len(slow)) {
		t.Errorf("%d sessions timed out, want %d more than %d", got, len(slow), before)
	}
	for _, p := range r.peers {
		if wrong := r.metric(p.Daemon, "fanout_chunk_verify_failures_total"); wrong != 0 {
			t.Errorf("%s took %d wrong chunks", p.Name(), wrong)
		}
	}
}

// Wrong bytes of the right length cost the sender the session, and his ID the swarm.
func TestIntruderWithWrongBytes(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", 8*mib, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, peers: 1, shut: 0.5})
	manifest := r.file("image.bin").ManifestId
	d := r.begin(request("image.bin", peerapi.StrategyDirect), r.peers...)[0]
	r.await(d, 0.01)
	for range 2 { // the second time it is banned from the start
		i, err := intrude(r.ctx, r.peers[0].ChunkAddress())
		r.must(err)
		r.must(i.hello(manifest, "intruder"))
		go fmt.Fprintf(i, "OFFER 255\nDATA 255 %d\n%s", autoChunk, strings.Repeat("x", int(autoChunk)))
		if code, err := i.reason(); err != nil || code != "banned" {
			t.Errorf("ERR %q, %v; want banned", code, err)
		}
	}
	r.underWay(d)
	r.valve.Open()
	if got := r.complete(source, d)[0]; got.BytesFromPeers != 0 {
		t.Errorf("%d bytes came from peers; there is none", got.BytesFromPeers)
	}
	if wrong := r.metric(r.peers[0].Daemon, "fanout_chunk_verify_failures_total"); wrong < 1 {
		t.Error("no wrong chunk was counted")
	}
}

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"fanout"
	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/proving/contracttest"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
)

const (
	// The environment may name another seed, and another number of requests.
	contractSeed     = 1
	contractRequests = 300
	// renewEach is after how many requests what they destroyed is made again.
	renewEach = 25
)

// subject is a daemon to which random requests go.
type subject struct {
	*rig
	url      string
	tags     []string
	contract *contracttest.Contract
	client   *http.Client
	requests *contracttest.Generator
	renew    func()
	seen     map[string]int // "operation status"
}

// Whatever is asked of a daemon, the answer is in the contract: its status, media type, headers
// and every property.
func TestAnswersAreInTheContract(t *testing.T) {
	t.Parallel()
	r, contract := contractRig(t)
	for _, c := range []struct {
		name    string
		daemon  *fleet.Daemon
		tags    []string
		prepare func(*subject)
		times   int // contractRequests
		seen    string
	}{
		{"origin", r.origin.Daemon, []string{"ops"}, func(*subject) {}, 1, `livez 200|readyz 200|metrics 200|contract 200`},
		{"peerd", r.peers[0].Daemon, []string{"peer", "ops"}, (*subject).preparePeer, 3, `
			startDownload 200|startDownload 400|startDownload 404|listDownloads 200|getDownload 200|getDownload 404
			deleteDownload 204|pauseDownload 200|pauseDownload 409|resumeDownload 200|watchDownload 200
			readDownload 200|readDownload 206|readDownload 304|readDownload 404|readDownload 409|readDownload 412|readDownload 416|livez 200`},
		{"tracker", r.tracker.Daemon, []string{"tracker", "ops", "page"}, (*subject).prepareTracker, 4, `
			listFiles 200|publishFile 200|publishFile 400|publishFile 422|getFile 200|getFile 404|deleteFile 204|getManifest 200
			getChunks 200|getChunks 400|putChunks 422|deleteChunks 204|putRollout 200|getRollout 200|deleteRollout 204|listRollouts 200
			announce 200|listPeers 200|registerPeer 200|unregisterPeer 204|peerRollouts 200|listDistributions 200|watchSwarms 200|serviceDiscovery 200
			page 200|page 206|page 304|page 412|page 416|pageFile 200|pageFile 304|metrics 200|readyz 200|contract 200`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := r.subject(t, contract, c.daemon.URL(), c.tags)
			c.prepare(s)
			s.run(c.times)
			for want := range strings.FieldsFuncSeq(c.seen, func(r rune) bool { return strings.ContainsRune("|\n\t", r) }) {
				if s.seen[want] == 0 {
					t.Errorf("no request was answered with %s: the test proves less than it should", want)
				}
			}
			for _, want := range []string{" 404", " 405"} {
				if s.seen[want] == 0 {
					t.Errorf("nothing was answered with%s", want)
				}
			}
		})
	}
}

// contractRig has a published file, and a peer that follows a rollout.
func contractRig(t *testing.T) (*rig, *contracttest.Contract) {
	t.Helper()
	contract, err := contracttest.Load(fanout.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := []string{fleettest.File(t, dir, "image.bin", 64*kib, 1), fleettest.File(t, dir, "bad.bin", 64*kib, 2), fleettest.File(t, dir, "big.bin", 64*mib, 3)}
	r := start(t, plan{build: fleettest.Race, files: files, peers: 1, peer: []string{"--follow", "--max-download", "3MB"}})
	return r, contract
}

func (r *rig) subject(t *testing.T, contract *contracttest.Contract, url string, tags []string) *subject {
	seed := uint64(setting(t, "CONTRACT_SEED", contractSeed))
	t.Logf("CONTRACT_SEED=%d", seed)
	own := *r
	own.t = t
	s := &subject{
		rig: &own, url: url, tags: tags, contract: contract, renew: func() {}, seen: map[string]int{},
		requests: contracttest.NewGenerator(contract, tags, seed),
		client: &http.Client{
			Transport:     &http.Transport{DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

func setting(t *testing.T, name string, usual int) int {
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// run sends every call as it should be, and then random requests.
func (s *subject) run(times int) {
	for _, q := range s.requests.Plain() {
		s.renew()
		s.try(q)
	}
	for i := range times * setting(s.t, "CONTRACT_REQUESTS", contractRequests) {
		if i%renewEach == 0 {
			s.renew()
		}
		s.try(s.requests.Next())
		if s.t.Failed() {
			return
		}
	}
}

// try sends a request and checks the answer.
func (s *subject) try(q contracttest.Request) {
	s.t.Helper()
	x, err := s.exchange(q)
	if err != nil {
		s.t.Fatalf("%s: %v", q, err)
	}
	if err := s.contract.Check(x); err != nil {
		s.t.Errorf("%s\nanswered %d %v\n%.2000s\n%v", q, x.Status, x.Header, x.Body, err)
	}
	if x.Status >= 500 && x.Status != http.StatusServiceUnavailable {
		s.t.Errorf("%s\nanswered %d %.2000s", q, x.Status, x.Body)
	}
	s.seen[fmt.Sprint(q.Call, " ", x.Status)]++
	s.seen[fmt.Sprint(" ", x.Status)]++
}

func (s *subject) exchange(q contracttest.Request) (contracttest.Exchange, error) {
	x := contracttest.Exchange{Tags: s.tags, Method: q.Method, Target: q.Target}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, q.Method, s.url+q.Target, strings.NewReader(q.Body))
	if err != nil {
		return x, err
	}
	request.Header = q.Header
	answer, err := s.client.Do(request)
	if err != nil {
		return x, err
	}
	defer answer.Body.Close()
	x.Status, x.Header = answer.StatusCode, answer.Header
	x.Body, x.Cut, err = read(answer)
	return x, err
}

// read reads a body to its end, an event stream to the end of its first event, and nothing of
// a file's bytes, some of which may have to be waited for.
func read(answer *http.Response) (body []byte, cut bool, err error) {
	switch contentType := answer.Header.Get("Content-Type"); {
	case contentType == "application/octet-stream":
		return nil, true, nil
	case contentType != "text/event-stream" || answer.Request.Method == http.MethodHead:
		body, err = io.ReadAll(answer.Body)
		return body, false, err
	}
	for piece := make([]byte, 4096); !strings.Contains(string(body), "\n\n"); {
		n, err := answer.Body.Read(piece)
		body = append(body, piece[:n]...)
		if err != nil && err != io.EOF {
			return body, true, err
		}
		if err == io.EOF {
			return body, false, nil
		}
	}
	return body, true, nil
}

// prepareTracker lets the generator know what the tracker has, and has it published again
// whenever it was withdrawn.
func (s *subject) prepareTracker() {
	api, g := s.tracker.API(), s.requests
	m, err := api.GetManifestWithResponse(s.ctx, "image.bin")
	s.must(err)
	file, err := api.GetFileWithResponse(s.ctx, "image.bin")
	s.must(err)
	publication := trackerapi.Publication{Manifest: *m.JSON200, Origin: file.JSON200.Origins[0]}
	id := file.JSON200.ManifestId
	g.Known["name"] = []string{"image.bin", "image.bin", "big.bin", id, "none.bin"}
	g.Known["id"] = []string{"peer-02", "peer-01", "peer-01", "origin"}
	g.Known["file"] = []string{"main.js", "page.css", "icon.svg"}
	g.Known["address"] = []string{s.peers[0].ChunkAddress(), "127.0.0.2:1"}
	g.Known["http_address"] = []string{"127.0.0.2:2"}
	g.Known["peers"] = []string{"peer-01", "peer-02"}
	g.Known["held"], g.Known["owned"] = []string{"gA==", "", "AAA="}, []string{"gA==", ""}
	for _, path := range []string{"/", "/page/main.js", "/page/page.css"} {
		answer, err := s.client.Get(s.url + path)
		s.must(err)
		answer.Body.Close()
		g.Known["ETag"] = append(g.Known["ETag"], answer.Header.Get("ETag"))
	}
	g.Bodies["publishFile"] = []string{text(publication)}
	g.Bodies["putRollout"] = []string{"{}", `{"peers":["peer-01"]}`, `{"strategy":"static"}`}
	g.Bodies["announce"] = []string{
		`{"id":"peer-02","role":"peer","address":"127.0.0.2:1","strategy":"swarm","state":"downloading","held":"gA==","bytes_from_origin":1}`,
		`{"id":"peer-02","role":"peer","address":"127.0.0.2:1","strategy":"static","state":"failed","error":"disk full","ended_seconds_ago":1e300}`,
		`{"id":"peer-02","role":"peer","address":"127.0.0.2:1","state":"complete","held":"gA==","owned":"gA==","ended_seconds_ago":3}`,
	}
	g.Bodies["registerPeer"] = []string{`{"address":"127.0.0.2:1","http_address":"127.0.0.2:2","follow":true}`}
	s.renew = func() {
		_, err := api.RegisterPeerWithResponse(s.ctx, "peer-02", trackerapi.Registration{Address: "127.0.0.2:1", Follow: ptr(true)})
		s.must(err)
		_, err = api.PublishFileWithResponse(s.ctx, "image.bin", publication)
		s.must(err)
		_, err = api.PutRolloutWithResponse(s.ctx, "image.bin", trackerapi.RolloutRequest{})
		s.must(err)
	}
}

// preparePeer lets the generator know the peer's downloads: a complete one, one that failed,
// one under way and one that waits, which are begun again whenever they were cancelled or forgotten.
func (s *subject) preparePeer() {
	p, g := s.peers[0], s.requests
	requests := []peerapi.DownloadRequest{
		{File: "image.bin"},
		{File: "bad.bin", Sha256: ptr(strings.Repeat("ab", 32))},
		{File: "big.bin"},
		{File: "stuck.bin"},
	}
	s.publishStuck()
	for _, q := range requests {
		g.Bodies["startDownload"] = append(g.Bodies["startDownload"], text(q))
	}
	s.renew = func() {
		g.Known["id"] = nil
		for i, q := range requests {
			d, err := p.Download(s.ctx, q)
			if err != nil { // it has been begun in another way
				s.forget(q.File)
				d, err = p.Download(s.ctx, q)
			}
			s.must(err)
			if i < 2 && d.State != peerapi.DownloadStatePaused {
				d, err = p.Wait(s.ctx, d.Id)
				s.must(err)
			}
			g.Known["id"] = append(g.Known["id"], d.Id)
			g.Known["ETag"] = []string{strconv.Quote(d.ManifestId)}
		}
		g.Known["id"] = append(g.Known["id"], "none")
	}
	g.Known["file"] = []string{"image.bin", "none.bin"}
	g.Known["output"] = []string{"other.bin"}
	g.Known["sha256"] = []string{strings.Repeat("ab", 32)}
	s.renew()
}

// forget makes the peer forget the download of a file.
func (s *subject) forget(file string) {
	list, err := s.peers[0].API().ListDownloadsWithResponse(s.ctx)
	s.must(err)
	for _, d := range list.JSON200.Downloads {
		for d.File == file && err == nil { // cancelled first, if it is under way
			err = s.peers[0].Delete(s.ctx, d.Id)
		}
		err = nil
	}
	s.must(os.RemoveAll(s.peers[0].Path(file)))
}

// publishStuck publishes a file that nobody has.
func (s *subject) publishStuck() {
	reply, err := s.tracker.API().PublishFileWithResponse(s.ctx, "stuck.bin", trackerapi.Publication{
		Manifest: trackerapi.Manifest{Name: "stuck.bin", Size: 5000, ChunkSize: 4096, Digests: []string{strings.Repeat("ab", 32), strings.Repeat("cd", 32)}},
		Origin:   trackerapi.Origin{Id: "nobody", Address: "127.0.0.9:1"},
	})
	s.must(err)
	if reply.JSON201 == nil {
		s.t.Fatalf("%s %s", reply.Status(), reply.Body)
	}
}

// text is JSON.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of our own types
	}
	return string(b)
}

package inproc_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"fanout/api/peerapi"
	"fanout/peerd/node"
)

// Every strategy brings every size, byte for byte.
func TestDownload(t *testing.T) {
	r := newRig(t)
	content := map[string][]byte{}
	for name, size := range map[string]int{
		"empty": 0, "one": 1, "chunk-1": chunkSize - 1, "chunk": chunkSize, "chunk+1": chunkSize + 1,
		"große Datei 漢.bin": 1<<20 + 5,
	} {
		content[name] = r.write(name, size)
	}
	var names []string
	for name := range content {
		names = append(names, name)
	}
	r.origin(names...)
	a, b := r.peer(""), r.peer("")
	for _, strategy := range []string{"direct", "static", "swarm"} {
		for name, data := range content {
			t.Run(strategy+" "+name, func(t *testing.T) {
				request := fmt.Sprintf(`{"file":%q,"strategy":%q}`, name, strategy)
				for _, p := range []*peer{a, b} {
					p.start(request)
				}
				for _, p := range []*peer{a, b} {
					d := p.finish(request)
					complete(t, d)
					if d.BytesFromOrigin+d.BytesFromPeers != d.Size || string(d.Strategy) != strategy || d.Path != filepath.Join(p.dir, name) {
						t.Errorf("%+v", d)
					}
					p.has(data, name)
				}
				for _, p := range []*peer{a, b} {
					d := p.finish(request)
					p.do("DELETE", "/v1/downloads/"+d.Id)
					os.Remove(d.Path)
				}
			})
		}
	}
}

// The same file again is the same download, whatever its state, unless it is wanted elsewhere.
func TestStartAgain(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 20*chunkSize)
	shut := r.originBehind(2, "f")
	p := r.peer("")
	status, first := p.start(`{"file":"f","output":"sub/g"}`)
	if status != 202 || first.State == peerapi.DownloadStateComplete {
		t.Fatalf("%d %+v", status, first)
	}
	for _, request := range []string{`{"file":"f","output":"sub/g"}`, `{"file":"f"}`, `{"file":"` + first.ManifestId + `"}`} {
		if status, d := p.start(request); status != 202 || d.Id != first.Id || d.Path != first.Path {
			t.Errorf("%s: %d %+v", request, status, d)
		}
	}
	if problem := p.refused(409, "POST", "/v1/downloads", `{"file":"f","output":"h"}`); *problem.Field != "output" {
		t.Errorf("field %q", *problem.Field)
	}
	shut.Open()
	complete(t, p.finish(`{"file":"f"}`))
	p.has(data, "sub/g")
	if _, d := p.start(`{"file":"f"}`); d.Id != first.Id || d.State != peerapi.DownloadStateComplete {
		t.Errorf("%+v", d)
	}
	p.refused(409, "POST", "/v1/downloads", `{"file":"f","output":"h"}`)
	if _, text := p.call("GET", p.http+"/v1/downloads", ""); strings.Count(text, `"id"`) != 1 {
		t.Errorf("list: %s", text)
	}
}

// Other content is not written to a file that a download is writing.
func TestOutputInUse(t *testing.T) {
	r := newRig(t)
	r.write("a", 20*chunkSize)
	b := r.write("b", 20*chunkSize)
	shut := r.originBehind(2, "a", "b")
	p := r.peer("")
	_, first := p.start(`{"file":"a","output":"x"}`)
	if problem := p.refused(409, "POST", "/v1/downloads", `{"file":"b","output":"x"}`); *problem.Field != "output" {
		t.Errorf("field %q", *problem.Field)
	}
	p.do("POST", "/v1/downloads/"+first.Id+"/pause")
	p.refused(409, "POST", "/v1/downloads", `{"file":"b","output":"x"}`)
	p.do("DELETE", "/v1/downloads/"+first.Id)
	shut.Open()
	complete(t, p.finish(`{"file":"b","output":"x"}`))
	p.has(b, "x")
}

func TestPauseAndResume(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 20*chunkSize)
	shut := r.originBehind(4, "f")
	p := r.peer("")
	_, d := p.start(`{"file":"f"}`)
	path := "/v1/downloads/" + d.Id
	p.some(d.Id, 2)
	for range 2 { // pausing again is no error
		p.do("POST", path+"/pause")
		if d = p.look(d.Id); d.State != peerapi.DownloadStatePaused {
			t.Fatalf("%+v", d)
		}
	}
	shut.Open()
	complete(t, r.peer("").finish(`{"file":"f"}`)) // in this time one that is not paused gets all
	if again := p.look(d.Id); again.ChunksDone != d.ChunksDone {
		t.Errorf("%d chunks came while paused", again.ChunksDone-d.ChunksDone)
	}
	p.has(nil)
	p.begun(d.Id)
	for range 2 {
		p.do("POST", path+"/resume")
	}
	complete(t, p.finish(`{"file":"f"}`))
	p.has(data, "f")
	p.refused(409, "POST", path+"/pause", "")
	p.do("POST", path+"/resume") // complete: nothing to do
}

func TestCancelAndForget(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 20*chunkSize)
	shut := r.originBehind(2, "f")
	p := r.peer("")
	_, d := p.start(`{"file":"f"}`)
	path := "/v1/downloads/" + d.Id
	p.some(d.Id, 1)
	p.do("DELETE", path)
	if d = p.look(d.Id); d.State != peerapi.DownloadStateCancelled || d.FinishedAt == nil {
		t.Errorf("%+v", d)
	}
	p.has(nil)
	p.refused(409, "POST", path+"/pause", "")
	p.refused(409, "POST", path+"/resume", "")
	p.refused(409, "GET", path+"/content", "")
	_, again := p.start(`{"file":"f"}`)
	if again.Id != d.Id {
		t.Errorf("started again as %s, was %s", again.Id, d.Id)
	}
	shut.Open()
	complete(t, p.finish(`{"file":"f"}`))
	p.has(data, "f")
	p.do("DELETE", path)
	p.refused(404, "GET", path, "")
	p.refused(404, "DELETE", path, "")
	p.has(data, "f") // stays
}

// Calls that cross each other leave a download in a state that it can go on from.
func TestControlCallsCross(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 8*chunkSize)
	r.origin("f")
	p := r.peer("", slowly(4<<20))
	_, d := p.start(`{"file":"f"}`)
	path := p.http + "/v1/downloads/" + d.Id
	cross := func(wg *sync.WaitGroup, call func() (int, string, error)) {
		wg.Go(func() {
			for range 12 {
				if status, text, err := call(); status >= 500 {
					t.Errorf("%d %s %v", status, text, err)
				}
			}
		})
	}
	// What reads the content waits for chunks, which do not come while the download is paused.
	var controls, readers sync.WaitGroup
	cross(&readers, func() (int, string, error) { return r.try("GET", path+"/content", "", "Range", "bytes=0-9") })
	for _, call := range []func() (int, string, error){
		func() (int, string, error) { return r.try("POST", path+"/pause", "") },
		func() (int, string, error) { return r.try("POST", path+"/resume", "") },
		func() (int, string, error) { return r.try("DELETE", path, "") },
		func() (int, string, error) { return r.try("POST", p.http+"/v1/downloads", `{"file":"f"}`) },
		func() (int, string, error) { return r.try("GET", path, "") },
		func() (int, string, error) { return r.try("GET", p.http+"/metrics", "") },
	} {
		cross(&controls, call)
	}
	controls.Wait()
	r.try("POST", path+"/resume", "")
	complete(t, p.finish(`{"file":"f"}`))
	readers.Wait()
	p.has(data, "f")
}

// A reader of content is told when no more will come.
func TestContentEndsWithTheDownload(t *testing.T) {
	r := newRig(t)
	r.write("f", 40*chunkSize)
	r.originBehind(2, "f")
	p := r.peer("")
	_, d := p.start(`{"file":"f","strategy":"direct"}`) // in order: the first chunks come
	resp := p.open(d.Id)
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, chunkSize)); err != nil {
		t.Fatal(err)
	}
	p.do("DELETE", "/v1/downloads/"+d.Id)
	rest, err := io.Copy(io.Discard, resp.Body)
	if r.ctx.Err() != nil {
		t.Fatal("the response does not end")
	}
	if err == nil {
		t.Errorf("%d bytes more, and the response looks whole", rest)
	}
}

// Content can be read in ranges while it comes; what is not here yet is waited for.
func TestContentWhileDownloading(t *testing.T) {
	r := newRig(t)
	data := r.write("f ü", 20*chunkSize+7)
	shut := r.originBehind(2, "f ü")
	p := r.peer("")
	_, d := p.start(`{"file":"f ü","strategy":"direct"}`) // in order: the first chunk comes
	path := p.http + "/v1/downloads/" + d.Id + "/content"
	resp, err := http.Head(path)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.ContentLength != int64(len(data)) || resp.Header.Get("Accept-Ranges") != "bytes" ||
		resp.Header.Get("ETag") != `"`+d.ManifestId+`"` || !strings.Contains(resp.Header.Get("Content-Disposition"), url.PathEscape("f ü")) {
		t.Errorf("HEAD: %d %d %v", resp.StatusCode, resp.ContentLength, resp.Header)
	}
	for _, c := range []struct {
		header string
		status int
		want   []byte
	}{
		{"bytes=0-0", 206, data[:1]},
		{"bytes=-5", 206, data[len(data)-5:]},
		{fmt.Sprintf("bytes=%d-%d", chunkSize-3, chunkSize+2), 206, data[chunkSize-3 : chunkSize+3]},
		{"bytes=600000-", 206, data[600000:]},
		{"", 200, data},
	} {
		var headers []string
		if c.header != "" {
			headers = []string{"Range", c.header}
		}
		if status, got := r.call("GET", path, "", headers...); status != c.status || got != string(c.want) {
			t.Errorf("%q: %d, %d bytes, want %d, %d", c.header, status, len(got), c.status, len(c.want))
		}
		shut.Open() // after the first, which is here
	}
	if status, _ := r.call("GET", path, "", "Range", "bytes=9999999-"); status != 416 {
		t.Errorf("beyond the end: %d", status)
	}
}

// The stream of events closes after `end`.
func TestEvents(t *testing.T) {
	r := newRig(t)
	r.write("f", 20*chunkSize)
	shut := r.originBehind(0, "f")
	p := r.peer("")
	_, d := p.start(`{"file":"f"}`)
	resp, err := http.Get(p.http + "/v1/downloads/" + d.Id + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Error(resp.Header)
	}
	var names []string
	var last peerapi.Download
	done := -1
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		if name, ok := strings.CutPrefix(in.Text(), "event: "); ok {
			names = append(names, name)
		}
		if text, ok := strings.CutPrefix(in.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(text), &last); err != nil {
				t.Fatal(err)
			}
			if last.ChunksDone < done {
				t.Errorf("%d chunks after %d", last.ChunksDone, done)
			}
			if done = last.ChunksDone; done == 0 {
				shut.Let(4 * chunkSize)
			} else {
				shut.Open()
			}
		}
	}
	if len(names) < 3 || slices.Index(names, "end") != len(names)-1 {
		t.Errorf("events %v", names)
	}
	complete(t, last)
	if status, text := r.call("GET", p.http+"/v1/downloads/"+d.Id+"/events", ""); status != 200 || !strings.HasPrefix(text, "event: end\n") {
		t.Errorf("events of one that has ended: %d %s", status, text)
	}
}

// Prefer: wait answers when the download has ended, or the time is up.
func TestPreferWait(t *testing.T) {
	r := newRig(t)
	r.write("f", 20*chunkSize)
	shut := r.originBehind(4, "f")
	p := r.peer("")
	_, begun := p.start(`{"file":"f"}`)
	p.some(begun.Id, 1)
	began := time.Now()
	status, d := p.start(`{"file":"f"}`, "Prefer", "respond-async, wait=1")
	if took := time.Since(began); status != 202 || took < time.Second || d.ChunksDone == 0 {
		t.Errorf("%d after %v: %+v", status, took, d)
	}
	if status, text := p.call("POST", p.http+"/v1/downloads", `{"file":"f"}`, "Prefer", "wait=soon"); status != 400 || !strings.Contains(text, `"field":"Prefer"`) {
		t.Errorf("%d %s", status, text)
	}
	shut.Open()
	complete(t, p.finish(`{"file":"f"}`))
}

// A wrong sha256 fails the download, and nothing gets the final name; with the right one it
// completes without fetching anything again.
func TestSHA256(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 5*chunkSize)
	sum := sha256.Sum256(data)
	right, wrong := hex.EncodeToString(sum[:]), strings.Repeat("0a", 32)
	o := r.origin("f")
	p := r.peer("")
	d := p.finish(fmt.Sprintf(`{"file":"f","sha256":%q}`, wrong))
	if d.State != peerapi.DownloadStateFailed || d.Error == nil || !strings.Contains(*d.Error, wrong) || !strings.Contains(*d.Error, right) {
		t.Fatalf("%+v", d)
	}
	p.has(nil)
	p.begun(d.Id)
	o.stop() // so that there is nobody to fetch from
	d = p.finish(fmt.Sprintf(`{"file":"f","sha256":%q}`, strings.ToUpper(right)))
	complete(t, d)
	if d.BytesFromOrigin != 0 || d.BytesFromPeers != 0 {
		t.Errorf("fetched again: %+v", d)
	}
	p.has(data, "f")
	// A complete file that was checked, or not, is not said to be what it is not.
	p.refused(409, "POST", "/v1/downloads", fmt.Sprintf(`{"file":"f","sha256":%q}`, wrong))
	complete(t, p.finish(fmt.Sprintf(`{"file":"f","sha256":%q}`, right)))
}

// Output paths stay below the data directory.
func TestOutputRefused(t *testing.T) {
	r := newRig(t)
	r.write("f", 10)
	r.origin("f")
	p := r.peer("")
	outside := t.TempDir()
	for name, to := range map[string]string{"link": outside, "dangling": outside + "/none", "up": ".."} {
		if err := os.Symlink(to, filepath.Join(p.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(p.dir, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{
		"../f", "/etc/f", outside + "/f", "a/../../f", "link/f", "up/f", "dangling", "dir", ".", "..",
		".fanout/x", ".fanout", "a/../.fanout/lock",
	} {
		problem := p.refused(400, "POST", "/v1/downloads", fmt.Sprintf(`{"file":"f","output":%q}`, output))
		if *problem.Field != "output" || *problem.Detail == "" {
			t.Errorf("%s: field %q, %s", output, *problem.Field, *problem.Detail)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("written outside: %v", left)
	}
	for _, output := range []string{"a/b/c", filepath.Join(p.dir, "abs"), "./dot"} {
		complete(t, p.finish(fmt.Sprintf(`{"file":"f","output":%q}`, output)))
		_, list := p.call("GET", p.http+"/v1/downloads", "")
		var all peerapi.DownloadList
		p.parse(list, &all)
		p.do("DELETE", "/v1/downloads/"+all.Downloads[0].Id)
	}
}

func TestBadRequests(t *testing.T) {
	r := newRig(t)
	r.write("f", 10)
	p := r.peer("")
	for _, c := range []struct {
		body   string
		status int
		field  string
	}{
		{`{"file":"nobody"}`, 404, "file"},
		{`{"file":"` + strings.Repeat("0", 64) + `"}`, 404, "file"},
		{`{"file":7}`, 400, "file"},
		{`{}`, 400, "file"},
		{`{"file":"f","sha256":"12"}`, 400, "sha256"},
		{`{"file":"f","strategy":"magic"}`, 400, "strategy"},
		{`{"file":"f","wat":1}`, 400, "body"},
		{`{"file":`, 400, ""},
	} {
		if problem := p.refused(c.status, "POST", "/v1/downloads", c.body); *problem.Field != c.field {
			t.Errorf("%s: field %q, want %q", c.body, *problem.Field, c.field)
		}
	}
	for _, path := range []string{"", "/pause", "/resume", "/events", "/content"} {
		method := "GET"
		if path == "/pause" || path == "/resume" {
			method = "POST"
		}
		p.refused(404, method, "/v1/downloads/nobody"+path, "")
	}
	r.tracker.stop()
	p.refused(503, "POST", "/v1/downloads", `{"file":"f"}`)
	r.await("not ready", func() bool { return strings.HasPrefix(r.get(p.http+"/readyz"), "503") })
}

// A peerd that is started again goes on where it stopped: what it had verified is not
// fetched again, what was paused stays so, what is complete is served on.
func TestRestart(t *testing.T) {
	r := newRig(t)
	slow, quick, later := r.write("slow", 40*chunkSize), r.write("quick", 3*chunkSize), r.write("later", 40*chunkSize)
	shut := r.originBehind(8, "slow", "quick", "later")
	p := r.peer("")
	done := p.finish(`{"file":"quick"}`)
	_, paused := p.start(`{"file":"later"}`)
	p.some(paused.Id, 2)
	p.do("POST", "/v1/downloads/"+paused.Id+"/pause")
	shut.Let(30 * chunkSize)
	_, running := p.start(`{"file":"slow"}`)
	p.some(running.Id, 10)
	p.stop()
	if _, err := os.Stat(filepath.Join(p.dir, "slow")); err == nil {
		t.Fatal("a final name before the end")
	}
	shut.Open()
	p = r.peer(p.dir)
	complete(t, p.finish(`{"file":"slow"}`))
	after := p.look(running.Id)
	if !after.StartedAt.Equal(running.StartedAt) || after.BytesFromOrigin > after.Size+4*chunkSize {
		t.Errorf("%+v", after)
	}
	if state := p.look(paused.Id).State; state != peerapi.DownloadStatePaused {
		t.Errorf("paused is %s", state)
	}
	p.do("POST", "/v1/downloads/"+paused.Id+"/resume")
	complete(t, p.state(paused.Id, peerapi.DownloadStateComplete))
	for name, data := range map[string][]byte{"slow": slow, "quick": quick, "later": later} {
		if got, err := os.ReadFile(filepath.Join(p.dir, name)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s differs (%v)", name, err)
		}
	}
	complete(t, p.look(done.Id))
	// Another peer gets it all from this one.
	shut.stop()
	q := r.peer("")
	d := q.finish(`{"file":"quick"}`)
	complete(t, d)
	if d.BytesFromPeers != d.Size {
		t.Errorf("%+v", d)
	}
}

// Many downloads are taken up at once, also ones that end at once.
func TestRestartOfMany(t *testing.T) {
	r := newRig(t)
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprint("f", i))
		r.write(names[i], 0) // which completes at once
	}
	r.origin(names...)
	p := r.peer("")
	var ids []string
	for _, name := range names {
		ids = append(ids, p.finish(fmt.Sprintf(`{"file":%q}`, name)).Id)
	}
	p.stop()
	for i, id := range ids { // as if it had been killed just before the end
		path := filepath.Join(p.dir, ".fanout", id+".json")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.Replace(text, []byte(`"complete"`), []byte(`"downloading"`), 1)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			os.Remove(filepath.Join(p.dir, names[i]))
		}
	}
	p = r.peer(p.dir, func(c *node.Config) { c.Logger = zerolog.Nop() }) // whose lock would hide races
	for _, id := range ids {
		complete(t, p.state(id, peerapi.DownloadStateComplete))
	}
}

// A file that was removed after its download is fetched again when asked for.
func TestRemovedFile(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 3*chunkSize)
	r.origin("f")
	p := r.peer("")
	d := p.finish(`{"file":"f"}`)
	if err := os.Remove(d.Path); err != nil {
		t.Fatal(err)
	}
	again := p.finish(`{"file":"f"}`)
	complete(t, again)
	if again.Id != d.Id || again.BytesFromOrigin != again.Size {
		t.Errorf("%+v", again)
	}
	p.has(data, "f")
}

// Other content under the same name is another download; the old one goes on.
func TestRepublished(t *testing.T) {
	r := newRig(t)
	old := r.write("f", 40*chunkSize)
	r.origin("f")
	p := r.peer("", slowly(500<<10))
	_, first := p.start(`{"file":"f","output":"old"}`)
	p.some(first.Id, 1)
	fresh := r.write("next", 3*chunkSize)
	if err := os.Rename(filepath.Join(r.dir, "next"), filepath.Join(r.dir, "f")); err != nil {
		t.Fatal(err)
	}
	r.await("the new content", func() bool {
		f, err := r.client.File(t.Context(), "f")
		return err == nil && f.ManifestId != first.ManifestId
	})
	second := p.finish(`{"file":"f"}`)
	complete(t, second)
	if second.Id == first.Id {
		t.Error("the same download")
	}
	complete(t, p.state(first.Id, peerapi.DownloadStateComplete))
	p.has(fresh, "f", "old")
	if got, err := os.ReadFile(filepath.Join(p.dir, "old")); err != nil || !bytes.Equal(got, old) {
		t.Errorf("old content differs (%v)", err)
	}
}

// A second peerd, or a wrong identity, is refused with a reason.
func TestNewNode(t *testing.T) {
	r := newRig(t)
	p := r.peer("")
	for _, c := range []struct {
		cfg  node.Config
		want string
	}{
		{node.Config{DataDir: p.dir}, "another peerd uses it"},
		{node.Config{DataDir: t.TempDir(), ID: "a b"}, "--id"},
		{node.Config{DataDir: "/proc/none"}, "cannot write"},
	} {
		if _, err := node.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// The metrics of a download are exported.
func TestMetrics(t *testing.T) {
	r := newRig(t)
	r.write("f", 3*chunkSize)
	r.origin("f")
	p := r.peer("")
	p.finish(`{"file":"f"}`)
	text := r.get(p.http + "/metrics")
	for _, want := range []string{
		fmt.Sprintf(`fanout_received_bytes_total{source="origin"} %d`, 3*chunkSize),
		`fanout_transfer_duration_seconds_count{outcome="complete",strategy="swarm"} 1`,
		`fanout_chunk_verify_failures_total 0`, `fanout_download_progress_ratio{`, `fanout_downloads{state="complete"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

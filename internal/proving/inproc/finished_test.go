package inproc_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fanout/api/peerapi"
)

// harm is what may happen to a finished file.
type harm struct {
	do      func(path string, data []byte) error
	says    string // why the download has failed then; empty: the file is right after all
	refused string // when the file is asked for again; empty: it is fetched
	fetched int64  // chunks, when it is
}

// harms happen to a file of 5 chunks and 1 byte.
var harms = map[string]harm{
	"removed": {do: func(path string, _ []byte) error { return os.Remove(path) }, says: "was removed", fetched: 6},
	"emptied": {do: func(path string, _ []byte) error { return os.Truncate(path, 0) }, says: "it has 0 bytes", fetched: 6},
	"shorter": {do: func(path string, data []byte) error { return os.Truncate(path, chunkSize+1) }, says: "bytes, not", fetched: 5},
	"longer":  {do: func(path string, data []byte) error { return os.Truncate(path, int64(len(data)+1)) }, says: "bytes, not"},
	"one byte flipped": {do: func(path string, data []byte) error { return flip(path, data, chunkSize) },
		says: "1 of its 6 chunks has other bytes", fetched: 1},
	"one byte flipped, and the time set back": {do: func(path string, data []byte) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return errors.Join(flip(path, data, chunkSize), os.Chtimes(path, time.Time{}, info.ModTime()))
	}, says: "1 of its 6 chunks has other bytes", fetched: 1},
	"linked": {do: func(path string, _ []byte) error {
		return errors.Join(os.Link(path, path+".link"), os.Remove(path+".link"))
	}},
	"touched": {do: func(path string, data []byte) error { return flip(path, data, -1) }},
	"replaced by a copy": {do: func(path string, data []byte) error {
		return errors.Join(os.WriteFile(path+".copy", data, 0o644), os.Rename(path+".copy", path))
	}},
	"replaced by another of the same size": {do: func(path string, data []byte) error {
		return errors.Join(os.Remove(path), os.WriteFile(path, bytes.Repeat([]byte("x"), len(data)), 0o644))
	}, says: "is in the way", refused: "is in the way"},
	"replaced by another of another size": {do: func(path string, data []byte) error {
		return errors.Join(os.Remove(path), os.WriteFile(path, []byte("mine"), 0o644))
	}, says: "is in the way", refused: "is there already"},
	"replaced by a directory": {do: func(path string, data []byte) error {
		return errors.Join(os.Remove(path), os.Mkdir(path, 0o755))
	}, says: "is in the way", refused: "not a regular file"},
}

// flip changes the byte at an offset; with -1 it writes what is there.
func flip(path string, data []byte, at int) error {
	data = bytes.Clone(data)
	if at >= 0 {
		data[at] ^= 1
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// What happens to a finished file shows in the list of downloads, whoever did it. To ask for
// the file again fetches what is wrong and no more, and does not touch what fanout did not
// make.
func TestFinishedFileHarmed(t *testing.T) {
	for name, h := range harms {
		t.Run(name, func(t *testing.T) {
			r, p, d, data := finishedPeer(t)
			if err := h.do(d.Path, data); err != nil {
				t.Fatal(err)
			}
			if h.says == "" {
				r.await("the file to be looked at", func() bool { return p.look(d.Id).State == peerapi.DownloadStateComplete })
				now := p.finish(`{"file":"f"}`)
				complete(t, now)
				p.has(data, "f")
				if now.BytesFromOrigin != d.BytesFromOrigin || *now.DurationSeconds != *d.DurationSeconds || !now.FinishedAt.Equal(*d.FinishedAt) {
					t.Errorf("it was fetched otherwise: %+v, before %+v", now, d)
				}
				p.transfers(1, 0)
				return
			}
			if now := p.state(d.Id, peerapi.DownloadStateFailed); now.Error == nil || !strings.Contains(*now.Error, h.says) || !strings.Contains(*now.Error, d.Path) {
				t.Errorf("it says %v", now.Error)
			}
			p.transfers(1, 0)
			r.wantMended(p, h, data)
		})
	}
}

// The same, while peerd is down. What was changed in place is then mended by itself.
func TestFinishedFileHarmedWhileDown(t *testing.T) {
	for name, h := range harms {
		t.Run(name, func(t *testing.T) {
			r, p, d, data := finishedPeer(t)
			p.stop()
			if err := h.do(d.Path, data); err != nil {
				t.Fatal(err)
			}
			p = r.peer(p.dir)
			if h.says == "was removed" || h.refused != "" {
				p.state(d.Id, peerapi.DownloadStateFailed)
				r.wantMended(p, h, data)
				return
			}
			now := p.state(d.Id, peerapi.DownloadStateComplete)
			complete(t, now)
			p.has(data, "f")
			if want := min(h.fetched*chunkSize, int64(len(data))); h.says != "" && now.BytesFromOrigin > want {
				t.Errorf("%d bytes were fetched, want at most %d", now.BytesFromOrigin, want)
			}
		})
	}
}

// transfers checks how many are counted as complete and failed.
func (p *peer) transfers(complete, failed int) {
	p.Helper()
	text := p.get(p.http + "/metrics")
	for outcome, n := range map[string]int{"complete": complete, "failed": failed} {
		if want := fmt.Sprintf("fanout_transfers_total{outcome=%q} %d\n", outcome, n); !strings.Contains(text, want) {
			p.Errorf("the metrics lack %s", want)
		}
	}
}

func finishedPeer(t *testing.T) (*rig, *peer, peerapi.Download, []byte) {
	r := newRig(t)
	data := r.write("f", 5*chunkSize+1)
	r.origin("f")
	p := r.peer("")
	d := p.finish(`{"file":"f"}`)
	complete(t, d)
	return r, p, d, data
}

// wantMended asks for the file again.
func (r *rig) wantMended(p *peer, h harm, data []byte) {
	r.Helper()
	before, _ := os.ReadFile(filepath.Join(p.dir, "f"))
	status, text := p.call("POST", p.http+"/v1/downloads", `{"file":"f"}`, "Prefer", "wait=20")
	if h.refused != "" {
		if !strings.Contains(text, h.refused) || strings.Contains(text, `"complete"`) {
			r.Errorf("%d %s; want %q", status, text, h.refused)
		}
		if after, _ := os.ReadFile(filepath.Join(p.dir, "f")); !bytes.Equal(before, after) {
			r.Error("what fanout did not make was changed")
		}
		return
	}
	var d peerapi.Download
	r.parse(text, &d)
	complete(r, d)
	p.has(data, "f")
	if want := min(h.fetched*chunkSize, int64(len(data))); d.BytesFromOrigin > want {
		r.Errorf("%d bytes were fetched, want at most %d", d.BytesFromOrigin, want)
	}
}

// A file that was changed while peerd ran is mended by the next start.
func TestChangedFileIsMendedByARestart(t *testing.T) {
	r, p, d, data := finishedPeer(t)
	if err := flip(d.Path, data, 0); err != nil {
		t.Fatal(err)
	}
	p.state(d.Id, peerapi.DownloadStateFailed)
	p.stop()
	p = r.peer(p.dir)
	if now := p.state(d.Id, peerapi.DownloadStateComplete); now.BytesFromOrigin != chunkSize {
		t.Errorf("%d bytes fetched, want one chunk", now.BytesFromOrigin)
	}
	p.has(data, "f")
}

// A removed file is not kept open, nor is anything of its download.
func TestRemovedFileIsClosed(t *testing.T) {
	r, p, d, _ := finishedPeer(t)
	open := func() (names string) {
		links, err := filepath.Glob("/proc/self/fd/*")
		if err != nil || links == nil {
			t.Skip("no /proc")
		}
		for _, l := range links {
			if target, _ := os.Readlink(l); strings.HasPrefix(target, p.dir) && strings.HasSuffix(target, " (deleted)") {
				names += target + "\n"
			}
		}
		return names
	}
	if names := open(); names != "" {
		t.Errorf("a finished download keeps open %s", names)
	}
	if err := os.Remove(d.Path); err != nil {
		t.Fatal(err)
	}
	r.await("the removed file to be closed", func() bool { return open() == "" })
}

// The content of a file that has become shorter is broken off, and the download fails.
func TestContentOfATruncatedFile(t *testing.T) {
	r, p, d, _ := finishedPeer(t)
	if err := os.Truncate(d.Path, 10); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", p.http+"/v1/downloads/"+d.Id+"/content", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", chunkSize))
	if resp, err := http.DefaultClient.Do(req); err == nil {
		defer resp.Body.Close()
		body := new(bytes.Buffer)
		if _, err := body.ReadFrom(resp.Body); err == nil && resp.StatusCode < 400 {
			t.Errorf("%d and %d bytes that look whole", resp.StatusCode, body.Len())
		}
	}
	p.state(d.Id, peerapi.DownloadStateFailed)
	_ = r
}

// Nothing that fanout did not make is opened, emptied, replaced or deleted.
func TestForeignFilesAreLeftAlone(t *testing.T) {
	r := newRig(t)
	data := r.write("x", 3*chunkSize)
	part := r.write("x.part", 2*chunkSize)
	r.origin("x", "x.part")
	p := r.peer("")
	mine := map[string]string{"x.part.state": "my notes", ".fanout-mine": "mine", "x.tmp": "tmp"}
	for name, text := range mine {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	complete(t, p.finish(`{"file":"x.part"}`))
	p.stop()
	p = r.peer(p.dir)
	complete(t, p.finish(`{"file":"x"}`))
	for name, text := range mine {
		if got, err := os.ReadFile(filepath.Join(p.dir, name)); err != nil || string(got) != text {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	for name, want := range map[string][]byte{"x": data, "x.part": part} {
		if got, err := os.ReadFile(filepath.Join(p.dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs: %v", name, err)
		}
	}
}

// A file that somebody has put at the output is taken as it is if it is right, and else left
// alone, whether it was there at the start or has come meanwhile.
func TestFileAtTheOutput(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 20*chunkSize)
	r.origin("f")
	for name, c := range map[string]struct {
		there []byte
		want  string
	}{
		"the file itself": {data, ""},
		"same size":       {bytes.Repeat([]byte("x"), len(data)), "is in the way"},
		"another size":    {[]byte("mine"), "is there already"},
	} {
		t.Run(name, func(t *testing.T) {
			sub := *r
			sub.T = t
			p := sub.peer("")
			path := filepath.Join(p.dir, "f")
			if err := os.WriteFile(path, c.there, 0o644); err != nil {
				t.Fatal(err)
			}
			_, text := p.call("POST", p.http+"/v1/downloads", `{"file":"f"}`, "Prefer", "wait=20")
			if c.want == "" {
				var d peerapi.Download
				sub.parse(text, &d)
				complete(t, d)
				if d.BytesFromOrigin != 0 {
					t.Errorf("%d bytes were fetched", d.BytesFromOrigin)
				}
			} else if !strings.Contains(text, c.want) {
				t.Errorf("%s; want %q", text, c.want)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, c.there) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
	t.Run("comes meanwhile", func(t *testing.T) {
		sub := *r
		sub.T = t
		sub.write("g", 20*chunkSize)
		o := sub.originBehind(2, "g")
		p := sub.peer("")
		_, d := p.start(`{"file":"g"}`)
		p.some(d.Id, 1)
		path := filepath.Join(p.dir, "g")
		if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		o.Open()
		if d = p.state(d.Id, peerapi.DownloadStateFailed); d.Error == nil || !strings.Contains(*d.Error, "is in the way") {
			t.Errorf("%v", d.Error)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "mine" {
			t.Errorf("it is %q now, %v", got, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		before := d.BytesFromOrigin
		p.do("POST", "/v1/downloads/"+d.Id+"/resume")
		if d = p.state(d.Id, peerapi.DownloadStateComplete); d.BytesFromOrigin != before {
			t.Errorf("fetched again: %d bytes, %d before", d.BytesFromOrigin, before)
		}
	})
}

// A newer content of a name replaces the older one that was finished there, also when that
// one's download is no longer listed.
func TestNewerContentReplaces(t *testing.T) {
	for _, forget := range []bool{false, true} {
		t.Run(fmt.Sprint("forgotten ", forget), func(t *testing.T) {
			r := newRig(t)
			r.write("a", 3*chunkSize)
			b := r.write("b", 2*chunkSize)
			r.origin("a", "b")
			p := r.peer("")
			first := p.finish(`{"file":"a","output":"f"}`)
			complete(t, first)
			if forget {
				p.do("DELETE", "/v1/downloads/"+first.Id)
				p.stop()
				p = r.peer(p.dir)
			}
			complete(t, p.finish(`{"file":"b","output":"f"}`))
			p.has(b, "f")
			p.refused(404, "GET", "/v1/downloads/"+first.Id, "")
		})
	}
}

// A download that exists needs no tracker to be asked for again.
func TestStartAgainWithoutATracker(t *testing.T) {
	r, p, d, data := finishedPeer(t)
	r.tracker.stop()
	for _, file := range []string{"f", d.ManifestId} {
		if status, again := p.start(fmt.Sprintf(`{"file":%q}`, file)); status != 200 || again.Id != d.Id {
			t.Errorf("%s: %d %+v", file, status, again)
		}
	}
	p.has(data, "f")
	p.refused(503, "POST", "/v1/downloads", `{"file":"g"}`)
}

// What an earlier version has left is taken over: a part beside its output, and finished files
// that nothing was noted of.
func TestEarlierVersion(t *testing.T) {
	r := newRig(t)
	slow, quick, newer := r.write("slow", 40*chunkSize), r.write("quick", 3*chunkSize), r.write("newer", 2*chunkSize)
	r.origin("quick", "newer")
	o := r.originBehind(12, "slow")
	p := r.peer("")
	done := p.finish(`{"file":"quick"}`)
	_, running := p.start(`{"file":"slow"}`)
	p.some(running.Id, 10)
	p.stop()
	o.Open()
	own := filepath.Join(p.dir, ".fanout")
	if err := os.RemoveAll(filepath.Join(own, "finished")); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{".part", ".part.state"} {
		if err := os.Rename(filepath.Join(own, running.Id+suffix), filepath.Join(p.dir, "slow"+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{done.Id, running.Id} {
		path := filepath.Join(own, id+".json")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Replace(text, []byte(`"format":1,`), nil, 1), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p = r.peer(p.dir)
	now := p.state(running.Id, peerapi.DownloadStateComplete)
	if now.BytesFromOrigin > now.Size {
		t.Errorf("%d bytes were fetched of %d", now.BytesFromOrigin, now.Size)
	}
	p.has(quick, "quick", "slow")
	if got, err := os.ReadFile(filepath.Join(p.dir, "slow")); err != nil || !bytes.Equal(got, slow) {
		t.Errorf("slow differs: %v", err)
	}
	complete(t, p.finish(`{"file":"newer","output":"quick"}`))
	p.has(newer, "quick", "slow")
}

// Who reads a complete file just after a restart waits until it has been hashed.
func TestContentWaitsForTheHashing(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 32<<20)
	r.origin("f")
	p := r.peer("")
	d := p.finish(`{"file":"f"}`)
	complete(t, d)
	p.stop()
	p = r.peer(p.dir)
	if status, got := p.call("GET", p.http+"/v1/downloads/"+d.Id+"/content", ""); status != 200 || got != string(data) {
		t.Errorf("%d, %d bytes", status, len(got))
	}
}

package inproc_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/peerd/node"
)

// A file that was changed, and whose place another one has taken since, does not come back by
// itself.
func TestSuccessorOfAChangedFileStays(t *testing.T) {
	r := newRig(t)
	first, second := r.write("f", 5*chunkSize+1), r.write("g", 5*chunkSize+1)
	r.origin("f", "g")
	p := r.peer("")
	a := p.finish(`{"file":"f","output":"out"}`)
	if err := flip(a.Path, first, chunkSize); err != nil {
		t.Fatal(err)
	}
	p.state(a.Id, peerapi.DownloadStateFailed)
	b := p.finish(`{"file":"g","output":"out"}`)
	complete(t, b)
	for range 2 {
		p.list(b.Id)
		p.has(second, "out")
		p.stop()
		p = r.peer(p.dir)
		p.state(b.Id, peerapi.DownloadStateComplete)
	}
}

// list checks which downloads there are.
func (p *peer) list(ids ...string) {
	p.Helper()
	var got struct{ Downloads []peerapi.Download }
	_, text := p.call("GET", p.http+"/v1/downloads", "")
	p.parse(text, &got)
	var have []string
	for _, d := range got.Downloads {
		have = append(have, d.Id)
	}
	if strings.Join(have, " ") != strings.Join(ids, " ") {
		p.Errorf("there are %q, want %q", have, ids)
	}
}

// What a user puts where an earlier version had finished a file stays the user's, whenever.
func TestEarlierVersionsPlaceIsTaken(t *testing.T) {
	for _, size := range []int{5*chunkSize + 1, 100} {
		for _, upgraded := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, upgraded before: %v", size, upgraded), func(t *testing.T) {
				r := newRig(t)
				r.write("f", 5*chunkSize+1)
				r.origin("f")
				p := r.peer("")
				d := p.finish(`{"file":"f"}`)
				p.stop()
				p.asOfFormat0(d.Id)
				if upgraded {
					p = r.peer(p.dir)
					p.state(d.Id, peerapi.DownloadStateComplete)
					p.stop()
				}
				mine := bytes.Repeat([]byte("m"), size)
				r.must(os.Remove(d.Path))
				r.must(os.WriteFile(d.Path, mine, 0o644))
				p = r.peer(p.dir)
				if d = p.state(d.Id, peerapi.DownloadStateFailed); !strings.Contains(*d.Error, "in the way") {
					t.Error(*d.Error)
				}
				if got, err := os.ReadFile(d.Path); err != nil || !bytes.Equal(got, mine) {
					t.Errorf("the user's file is gone: %v", err)
				}
			})
		}
	}
}

// asOfFormat0 makes a finished download's record one of the first format.
func (p *peer) asOfFormat0(id string) {
	p.Helper()
	path := filepath.Join(p.dir, ".fanout", id+".json")
	text, err := os.ReadFile(path)
	p.must(err)
	p.must(os.WriteFile(path, bytes.Replace(text, []byte(`"format":1,`), nil, 1), 0o644))
	p.must(os.RemoveAll(filepath.Join(p.dir, ".fanout", "finished")))
}

// Two downloads do not write one output, whichever way the second is begun.
func TestOutputIsTaken(t *testing.T) {
	r := newRig(t)
	r.write("f", 4*chunkSize+1)
	second := r.write("g", 40*chunkSize+1)
	r.origin("f")
	o := r.originBehind(3, "g")
	p := r.peer("")
	_, a := p.start(`{"file":"f","output":"out","sha256":"` + strings.Repeat("0", 64) + `"}`)
	p.state(a.Id, peerapi.DownloadStateFailed)
	_, b := p.start(`{"file":"g","output":"out"}`)
	p.refused(409, "POST", "/v1/downloads", `{"file":"f","output":"out"}`)
	p.refused(409, "POST", "/v1/downloads/"+a.Id+"/resume", "")
	p.stop()
	p = r.peer(p.dir)
	p.state(a.Id, peerapi.DownloadStateFailed)
	o.Open()
	complete(t, p.state(b.Id, peerapi.DownloadStateComplete))
	p.has(second, "out")
}

// A user's own file of the right content is taken as it is, and stays the user's.
func TestAdoptedFileStaysTheUsers(t *testing.T) {
	for what, then := range map[string]func(p *peer, path string, data []byte) (now []byte){
		"as it is": func(_ *peer, _ string, data []byte) []byte { return data },
		"edited": func(p *peer, path string, data []byte) []byte {
			now := append(bytes.Clone(data), "my notes"...)
			p.must(os.WriteFile(path, now, 0o644))
			return now
		},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart: %v", what, restart), func(t *testing.T) {
				r := newRig(t)
				data := r.write("f", 2*chunkSize)
				r.write("next", 3*chunkSize)
				r.origin("f", "next")
				p := r.peer("")
				path := filepath.Join(p.dir, "f")
				r.must(os.WriteFile(path, data, 0o644))
				d := p.finish(`{"file":"f"}`)
				if complete(t, d); d.BytesFromOrigin != 0 {
					t.Errorf("%d bytes fetched", d.BytesFromOrigin)
				}
				now := then(p, path, data)
				if restart {
					p.stop()
					p = r.peer(p.dir)
				}
				if what == "edited" {
					p.state(d.Id, peerapi.DownloadStateFailed)
					p.refused(409, "POST", "/v1/downloads", `{"file":"f"}`)
				}
				p.refused(409, "POST", "/v1/downloads", `{"file":"next","output":"f"}`)
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, now) {
					t.Errorf("it is another file now, %d bytes: %v", len(got), err)
				}
			})
		}
	}
}

// A data directory may be copied to another place: what fanout has made is known there.
func TestMovedFilesAreStillOurs(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 2*chunkSize)
	next := r.write("next", 3*chunkSize)
	r.origin("f", "next")
	p := r.peer("")
	d := p.finish(`{"file":"f"}`)
	p.stop()
	dir := filepath.Join(t.TempDir(), "copy")
	r.must(os.CopyFS(dir, os.DirFS(p.dir)))
	p = r.peer(dir)
	if d = p.state(d.Id, peerapi.DownloadStateComplete); d.BytesFromOrigin > d.Size {
		t.Errorf("%d bytes fetched", d.BytesFromOrigin)
	}
	p.has(data, "f")
	complete(t, p.finish(`{"file":"next","output":"f"}`))
	p.has(next, "f")
}

// A data directory that is somewhere else now holds no finished file, until peerd is started
// again with what is there.
func TestDataDirectoryIsMoved(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 2*chunkSize)
	r.write("next", 3*chunkSize)
	r.origin("f", "next")
	p := r.peer(filepath.Join(t.TempDir(), "data"))
	kept := p.finish(`{"file":"f"}`)
	r.must(os.Rename(p.dir, p.dir+".moved"))
	r.must(os.CopyFS(p.dir, os.DirFS(p.dir+".moved")))
	ids := []string{kept.Id}
	for _, request := range []string{`{"file":"f"}`, `{"file":"next"}`} {
		_, d := p.start(request)
		if d = p.state(d.Id, peerapi.DownloadStateFailed); !strings.Contains(*d.Error, p.dir+" was moved or replaced") {
			t.Error(*d.Error)
		}
		ids = append(ids, d.Id)
	}
	p.stop()
	p = r.peer(p.dir)
	for _, id := range ids {
		complete(t, p.state(id, peerapi.DownloadStateComplete))
	}
	if d := p.look(kept.Id); d.BytesFromOrigin > d.Size {
		t.Errorf("%d bytes fetched", d.BytesFromOrigin)
	}
	p.has(data, "f", "next")
}

// A new version waits until what is there of the old one has been hashed, and is known to be
// fanout's.
func TestNewVersionOfWhatIsHashed(t *testing.T) {
	r := newRig(t)
	r.write("f", 64<<20)
	r.origin("f")
	follow := func(c *node.Config) { c.Follow = true }
	complete := func(id string) {
		t.Helper()
		r.await("the rollout", func() bool {
			v, err := r.client.Rollout(t.Context(), "f")
			return err == nil && v.ManifestId == id && v.Complete == 1
		})
	}
	p := r.peer("", follow)
	first, err := r.client.PutRollout(t.Context(), "f", trackerapi.RolloutRequest{})
	r.must(err)
	complete(first.ManifestId)
	p.stop()
	dir := filepath.Join(t.TempDir(), "copy")
	r.must(os.CopyFS(dir, os.DirFS(p.dir)))
	r.write("next", 3*chunkSize)
	r.rename("next", "f")
	r.awaitOther("f", first.ManifestId)
	second, err := r.client.PutRollout(t.Context(), "f", trackerapi.RolloutRequest{})
	r.must(err)
	r.peer(dir, follow)
	complete(second.ManifestId)
}

// A file that was away while peerd was started is fanout's when it is back.
func TestFileThatWasAwayIsStillOurs(t *testing.T) {
	r := newRig(t)
	r.write("f", 2*chunkSize)
	next := r.write("next", 3*chunkSize)
	r.origin("f", "next")
	p := r.peer("")
	d := p.finish(`{"file":"f"}`)
	r.must(os.Rename(d.Path, d.Path+".away"))
	p.state(d.Id, peerapi.DownloadStateFailed)
	p.stop()
	p = r.peer(p.dir)
	r.must(os.Rename(d.Path+".away", d.Path))
	if again := p.finish(`{"file":"f"}`); again.BytesFromOrigin != 0 {
		t.Errorf("%d bytes fetched", again.BytesFromOrigin)
	}
	complete(t, p.finish(`{"file":"next","output":"f"}`))
	p.has(next, "f")
}

// Of a part that somebody empties or removes meanwhile nothing wrong gets the final name.
func TestPartIsHarmed(t *testing.T) {
	for what, harm := range map[string]func(part string) error{
		"emptied":    func(part string) error { return os.Truncate(part, 0) },
		"removed":    os.Remove,
		"moved away": func(part string) error { return os.Rename(part, part+".away") },
	} {
		for when, meanwhile := range map[string]func(p *peer, id string){
			"downloading": func(*peer, string) {},
			"read": func(p *peer, id string) { // which notices it first
				if resp := p.open(id); resp != nil {
					_, _ = io.CopyN(io.Discard, resp.Body, chunkSize) // it may be broken off
					resp.Body.Close()
				}
			},
			"paused": func(p *peer, id string) { p.do("POST", "/v1/downloads/"+id+"/pause") },
		} {
			t.Run(what+", "+when, func(t *testing.T) {
				r := newRig(t)
				data := r.write("f", 20*chunkSize+1)
				o := r.originBehind(6, "f")
				p := r.peer("")
				_, d := p.start(`{"file":"f"}`)
				p.some(d.Id, 5)
				if when == "paused" {
					meanwhile(p, d.Id)
				}
				parts, err := filepath.Glob(filepath.Join(p.dir, ".fanout", "*.part"))
				r.must(err)
				for _, part := range parts {
					r.must(harm(part))
				}
				if when == "paused" {
					p.do("POST", "/v1/downloads/"+d.Id+"/resume")
				} else {
					meanwhile(p, d.Id)
				}
				o.Open()
				complete(t, p.state(d.Id, peerapi.DownloadStateComplete))
				p.has(data, "f")
			})
		}
	}
}

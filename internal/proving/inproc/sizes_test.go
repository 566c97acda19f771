package inproc_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"fanout/api/peerapi"
	"fanout/internal/proving/valve"
	"fanout/peerd/node"
)

// oddSize is a chunk size that is no power of two: of 10 MiB it makes one chunk for each of 13 peers.
const oddSize = 806_597

// oddOrigin is an origin of these files in such chunks.
func (r *rig) oddOrigin(names ...string) {
	r.Helper()
	cfg := r.configOrigin(names...)
	cfg.ChunkSize = oddSize
	r.startOrigin(cfg)
}

// Every strategy brings chunks of any size: a whole file in one, a last one of a byte, as many as peers.
func TestOddChunks(t *testing.T) {
	r := newRig(t)
	content, chunks := map[string][]byte{}, map[string]int{"one": 1, "one byte over": 4, "10 MiB": 13}
	for name, size := range map[string]int{"one": oddSize, "one byte over": 3*oddSize + 1, "10 MiB": 10 << 20} {
		content[name] = r.write(name, size)
	}
	r.oddOrigin("one", "one byte over", "10 MiB")
	peers := []*peer{r.peer(""), r.peer(""), r.peer("")}
	for _, strategy := range []string{"direct", "static", "swarm"} {
		for name, data := range content {
			t.Run(strategy+" "+name, func(t *testing.T) {
				request := fmt.Sprintf(`{"file":%q,"strategy":%q}`, name, strategy)
				for _, p := range peers {
					p.start(request)
				}
				for _, p := range peers {
					d := p.finish(request)
					complete(t, d)
					if d.ChunkSize != oddSize || d.ChunksTotal != chunks[name] || d.BytesFromOrigin+d.BytesFromPeers != d.Size {
						t.Errorf("%+v", d)
					}
					p.has(data, name)
				}
				for _, p := range peers {
					d := p.finish(request)
					p.do("DELETE", "/v1/downloads/"+d.Id)
					os.Remove(d.Path)
				}
			})
		}
	}
}

// Each of 13 peers brings one chunk from the origin, and the rest from the others.
func TestOneChunkForEachPeer(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 10<<20)
	r.oddOrigin("f")
	var peers []*peer
	for range 13 {
		peers = append(peers, r.peer(""))
	}
	const request = `{"file":"f","strategy":"static"}`
	for _, p := range peers {
		p.start(request)
	}
	short := 0
	for _, p := range peers {
		d := p.finish(request)
		complete(t, d)
		p.has(data, "f")
		switch d.BytesFromOrigin {
		case oddSize:
		case 10<<20 - 12*oddSize: // of the owner of the last one
			short++
		default:
			t.Errorf("%d bytes from the origin, want one chunk", d.BytesFromOrigin)
		}
	}
	if short != 1 {
		t.Errorf("%d peers have the last chunk from the origin", short)
	}
}

// Ranges begin and end anywhere in such chunks, and wait for what is not here yet.
func TestContentInOddChunks(t *testing.T) {
	r := newRig(t)
	const size = 7*oddSize + 1
	data := string(r.write("f", size))
	v := valve.New(t, 4*oddSize+overhead)
	cfg := r.configOrigin("f")
	v.To(cfg.Address)
	cfg.Address, cfg.ChunkSize = v.Address(), oddSize
	r.startOrigin(cfg)
	p := r.peer("")
	_, d := p.start(`{"file":"f","strategy":"direct"}`) // in order
	p.some(d.Id, 2)
	path := p.http + "/v1/downloads/" + d.Id + "/content"
	for _, c := range []struct{ from, to int }{ // the first two are here
		{oddSize - 1, oddSize}, {0, 2*oddSize - 1},
		{4*oddSize - 1, 4 * oddSize}, {5*oddSize - 70_000, 6*oddSize + 70_000}, {7*oddSize - 1, size - 1}, {7 * oddSize, size - 1},
	} {
		if c.to == 4*oddSize {
			v.Open()
		}
		status, got := r.call("GET", path, "", "Range", fmt.Sprintf("bytes=%d-%d", c.from, c.to))
		if status != 206 || got != data[c.from:c.to+1] {
			t.Errorf("bytes %d to %d: %d, %d bytes, the right ones: %v", c.from, c.to, status, len(got), strings.Contains(data, got))
		}
	}
	resp := p.open(d.Id)
	defer resp.Body.Close()
	if whole, err := io.ReadAll(resp.Body); string(whole) != data || err != nil {
		t.Errorf("%d bytes of the whole, %v", len(whole), err)
	}
	if status, _ := r.call("GET", path, "", "Range", fmt.Sprintf("bytes=%d-", size)); status != 416 {
		t.Errorf("behind the last byte: %d", status)
	}
}

// A peer that was stopped in the middle goes on with what it has.
func TestResumeInOddChunks(t *testing.T) {
	r := newRig(t)
	const size = 12*oddSize + 1
	data := r.write("f", size)
	v := valve.New(t, 8*oddSize+overhead)
	cfg := r.configOrigin("f")
	v.To(cfg.Address)
	cfg.Address, cfg.ChunkSize = v.Address(), oddSize
	r.startOrigin(cfg)
	p := r.peer("", func(c *node.Config) { c.ID = "resumes" })
	_, d := p.start(`{"file":"f","strategy":"direct"}`)
	p.some(d.Id, 4)
	p.stop()
	v.Open()
	p = r.peer(p.dir, func(c *node.Config) { c.ID = "resumes" })
	d = p.state(d.Id, peerapi.DownloadStateComplete)
	complete(t, d)
	if d.BytesFromOrigin < size || d.BytesFromOrigin > size+oddSize { // one may have been on its way to the disk
		t.Errorf("%d bytes from the origin in both runs, want %d, and one chunk again at most", d.BytesFromOrigin, size)
	}
	p.has(data, "f")
}

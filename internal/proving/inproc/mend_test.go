package inproc_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"fanout/api/peerapi"
)

// A finished file that was changed stays as it is, at its place and under other names, until
// all of it is there again: who changed it may want that, and nobody may be able to serve the
// rest. To cancel the repair costs nothing.
func TestChangedFileStaysUntilItIsMended(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 5*chunkSize+1)
	o := r.origin("f")
	p := r.peer("")
	d := p.finish(`{"file":"f"}`)
	p.stop()
	o.stop()
	mine := filepath.Join(p.dir, "mine")
	if err := os.Link(d.Path, mine); err != nil {
		t.Fatal(err)
	}
	if err := flip(d.Path, data, chunkSize); err != nil {
		t.Fatal(err)
	}
	changed, err := os.ReadFile(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	same := func(path string, want []byte) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, or other bytes", path, err)
		}
	}

	p = r.peer(p.dir)
	p.state(d.Id, peerapi.DownloadStateDownloading)
	if d = p.look(d.Id); d.ChunksDone != 5 {
		t.Errorf("%d chunks are right, want 5", d.ChunksDone)
	}
	same(d.Path, changed)
	p.stop() // in between
	p = r.peer(p.dir)
	p.state(d.Id, peerapi.DownloadStateDownloading)
	p.do("DELETE", "/v1/downloads/"+d.Id)
	p.state(d.Id, peerapi.DownloadStateCancelled)
	same(d.Path, changed)

	r.origin("f")
	d = p.finish(`{"file":"f"}`)
	complete(t, d)
	if d.BytesFromOrigin != chunkSize {
		t.Errorf("%d bytes fetched, want one chunk", d.BytesFromOrigin)
	}
	same(d.Path, data)
	same(mine, changed)
	p.has(nil, "f", "mine")
}

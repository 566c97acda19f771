package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet/fleettest"
)

// Every peer gets the same bytes, whatever the strategy and however the size falls on the
// chunks.
func TestIdentical(t *testing.T) {
	t.Parallel()
	identical(t, autoChunk)
}

// The same with a chunk size that is no power of two: 10 MiB are one chunk for each of 13 peers.
func TestIdenticalInOddChunks(t *testing.T) {
	t.Parallel()
	identical(t, 806_597, "--chunk-size", "806597B")
}

func identical(t *testing.T, chunk int64, origin ...string) {
	sizes := []int64{0, 1, chunk - 1, chunk, chunk + 1, 10 * mib}
	dir := t.TempDir()
	var files []string
	for i, size := range sizes {
		files = append(files, fleettest.File(t, dir, fmt.Sprintf("%d.bin", size), size, uint64(i)))
	}
	r := start(t, plan{build: fleettest.Race, files: files, origin: origin, peers: 3})
	for _, s := range strategies {
		for i, file := range files {
			t.Run(fmt.Sprintf("%s/%d", s, sizes[i]), func(t *testing.T) {
				r := *r
				r.t = t
				name := filepath.Base(file)
				output := filepath.Join(string(s), name)
				begun := r.begin(peerapi.DownloadRequest{File: name, Strategy: &s, Output: &output}, r.peers...)
				for _, d := range r.complete(file, begun...) {
					chunks := int((sizes[i] + chunk - 1) / chunk)
					if d.Size != sizes[i] || d.ChunkSize != chunk || d.BytesDone != sizes[i] || d.ChunksDone != chunks || d.ChunksTotal != chunks {
						t.Errorf("size %d, %d bytes and %d of %d chunks of %d done; want %d bytes in %d chunks of %d",
							d.Size, d.BytesDone, d.ChunksDone, d.ChunksTotal, d.ChunkSize, sizes[i], chunks, chunk)
					}
					if got := d.BytesFromOrigin + d.BytesFromPeers; got != sizes[i] {
						t.Errorf("%d bytes from the origin and %d from peers, want %d together", d.BytesFromOrigin, d.BytesFromPeers, sizes[i])
					}
					if s == peerapi.StrategyDirect && d.BytesFromPeers != 0 {
						t.Errorf("direct, but %d bytes came from peers", d.BytesFromPeers)
					}
				}
				for _, d := range begun {
					absent(t, d.part())
					absent(t, d.part()+".state")
					r.must(d.peer.Delete(r.ctx, d.id)) // so that the next strategy starts anew
				}
			})
		}
	}
}

// Files with names that need quoting somewhere, at once, on the same peers.
func TestTwoFilesAtOnceWithOddNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	names := []string{"Größe & Maß 100%41 #1?.bin", "日本 語.tar", "-v", "a+b;c='d\".x"}
	var files []string
	for i, name := range names {
		files = append(files, fleettest.File(t, dir, name, 2*mib+int64(i), uint64(i)))
	}
	// Shut, so that the downloads overlap: the first is not over when the last begins.
	r := start(t, plan{build: fleettest.Race, files: files, peers: 2, shut: 0.1})
	begun := make([][]download, len(files))
	for i, name := range names {
		begun[i] = r.begin(request(name, strategies[i%len(strategies)]), r.peers...)
	}
	r.underWay(begun[0]...) // while the last one has begun
	r.underWay(begun[len(begun)-1]...)
	r.valve.Open()
	for i, file := range files {
		for _, d := range r.complete(file, begun[i]...) {
			if d.File != names[i] || filepath.Base(d.Path) != names[i] {
				t.Errorf("%q was downloaded as %q to %s", names[i], d.File, d.Path)
			}
		}
	}
	for _, p := range r.peers {
		if entries, err := os.ReadDir(p.DataDir()); err != nil || len(entries) != len(names)+1 {
			t.Errorf("%s has %v, %v; want the %d files and the state directory", p.Name(), entries, err, len(names))
		}
	}
}

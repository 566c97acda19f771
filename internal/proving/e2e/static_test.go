package e2e

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
	"fanout/internal/chunks/trackerfile"
	"fanout/internal/proving/fleet/fleettest"
)

// In `static`, the table that curl shows before the start, what a relay sees the origin send
// to whom, and what the peers say they got from it, are one and the same.
func TestStaticObeysTheTable(t *testing.T) {
	t.Parallel()
	const chunk, chunks = 64*kib + 1, 81
	source := fleettest.File(t, t.TempDir(), "image.bin", (chunks-1)*chunk+123, 1)
	tap := newTap(t)
	r := bare(t, fleettest.Race)
	r.tracker = r.Tracker()
	r.origin = r.Origin("origin", []string{source}, "--advertise", tap.Address(), "--chunk-size", fmt.Sprint(chunk))
	fleettest.Start(t, r.tracker, r.origin)
	tap.to(r.origin.ChunkAddress())
	r.addPeers(4, "--max-download", "10MB")
	owners := map[string]string{} // chunk address -> ID
	for _, p := range r.peers {
		owners[p.ChunkAddress()] = p.Name()
	}

	obeyed := func(t *testing.T, r rig, want []string) {
		t.Helper()
		r.t = t
		if got := r.table("image.bin", chunks); !cmp.Equal(got, want) {
			t.Fatalf("the table is not what it should be: %s", cmp.Diff(want, got))
		}
		begun := r.begin(request("image.bin", peerapi.StrategyStatic), r.peers...)
		ended := r.complete(source, begun...)
		if got := r.table("image.bin", chunks); !cmp.Equal(got, want) {
			t.Errorf("the table has changed while it was obeyed: %s", cmp.Diff(want, got))
		}
		r.jsonTable("image.bin", want)
		sent, wanted, bytes := tap.take(), map[int][]string{}, map[string]int64{}
		for c, address := range want {
			wanted[c] = []string{owners[address]}
			bytes[owners[address]] += lengthOf(c, chunks, chunk, 123)
		}
		if diff := cmp.Diff(wanted, sent); diff != "" {
			t.Errorf("what the origin sent to whom (+) is not what the table says (-):\n%s", diff)
		}
		for i, d := range ended {
			id := begun[i].peer.Name()
			if d.BytesFromOrigin != bytes[id] || d.BytesFromPeers != d.Size-bytes[id] {
				t.Errorf("%s: %d bytes from the origin and %d from peers; its chunks in the table have %d of %d",
					id, d.BytesFromOrigin, d.BytesFromPeers, bytes[id], d.Size)
			}
			r.must(begun[i].peer.Delete(r.ctx, begun[i].id))
		}
	}

	t.Run("round robin in address order", func(t *testing.T) {
		addresses := addressOrder(t, owners)
		want := make([]string, chunks)
		for c := range want {
			want[c] = addresses[c%len(addresses)]
		}
		obeyed(t, *r, want)
	})
	t.Run("uploaded", func(t *testing.T) {
		// One peer owns most, one owns the last chunk only, one owns nothing.
		want := make([]string, chunks)
		for c := range want {
			want[c] = r.peers[2].ChunkAddress()
			if c%5 == 3 {
				want[c] = r.peers[0].ChunkAddress()
			}
		}
		want[chunks-1] = r.peers[1].ChunkAddress()
		var text []byte
		for c, address := range slices.Backward(want) { // any order will do
			text = trackerfile.AppendLine(text, c, address)
		}
		answer, err := r.tracker.API().PutChunksWithBodyWithResponse(r.ctx, "image.bin", trackerfile.MediaType, bytes.NewReader(text))
		r.must(err)
		if answer.StatusCode() != 204 {
			t.Fatalf("upload: %s %s", answer.Status(), answer.Body)
		}
		obeyed(t, *r, want)
	})
}

// A file of one chunk that the last peer's owner, too, has to wait for: the asker of a chunk
// that its owner has not got yet is not sent to the origin.
func TestStaticAskersWaitForTheOwner(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "one.bin", 2*mib, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, origin: []string{"--chunk-size", "2MiB", "--max-upload", "2MB"}, peers: 3})
	owner := r.table("one.bin", 1)[0]
	begun := r.begin(request("one.bin", peerapi.StrategyStatic), r.peers...)
	for i, d := range r.complete(source, begun...) {
		want := int64(0)
		if begun[i].peer.ChunkAddress() == owner {
			want = 2 * mib
		}
		if d.BytesFromOrigin != want {
			t.Errorf("%s got %d bytes from the origin, want %d", begun[i].peer.Name(), d.BytesFromOrigin, want)
		}
	}
}

func lengthOf(c, chunks int, chunk, last int64) int64 {
	if c == chunks-1 {
		return last
	}
	return chunk
}

// addressOrder sorts host:port by number.
func addressOrder(t *testing.T, set map[string]string) []string {
	t.Helper()
	var order []netip.AddrPort
	for a := range set {
		p, err := netip.ParseAddrPort(a)
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, p)
	}
	slices.SortFunc(order, netip.AddrPort.Compare)
	texts := make([]string, len(order))
	for i, a := range order {
		texts[i] = a.String()
	}
	return texts
}

// table is the tracker file, as `curl -H 'Accept: text/tab-separated-values'` shows it: the
// owner of every chunk, one a line, in order.
func (r *rig) table(file string, chunks int) []string {
	r.t.Helper()
	accept := trackerfile.MediaType
	answer, err := r.tracker.API().GetChunksWithResponse(r.ctx, file, &trackerapi.GetChunksParams{Accept: &accept})
	r.must(err)
	if answer.StatusCode() != 200 || !strings.HasPrefix(answer.ContentType(), trackerfile.MediaType) {
		r.t.Fatalf("table: %s, %s: %s", answer.Status(), answer.ContentType(), answer.Body)
	}
	var owners []string
	for line := range strings.Lines(string(answer.Body)) {
		number, address, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || number != fmt.Sprint(len(owners)) {
			r.t.Fatalf("line %d of the tracker file is %q", len(owners)+1, line)
		}
		owners = append(owners, address)
	}
	if len(owners) != chunks {
		r.t.Fatalf("the tracker file has %d lines for %d chunks", len(owners), chunks)
	}
	return owners
}

// jsonTable compares the owners in the JSON table, read in pages, and waits until every peer
// is listed as a holder of every chunk.
func (r *rig) jsonTable(file string, owners []string) {
	r.t.Helper()
	var everybody []string
	for _, p := range r.peers {
		everybody = append(everybody, p.ChunkAddress())
	}
	slices.Sort(everybody)
	const page = 50
	look := func() (table []trackerapi.Chunk) {
		for offset := 0; ; {
			answer, err := r.tracker.API().GetChunksWithResponse(r.ctx, file,
				&trackerapi.GetChunksParams{Offset: &offset, Limit: ptr(page)})
			r.must(err)
			if answer.JSON200 == nil {
				r.t.Fatalf("chunks from %d on: %s %s", offset, answer.Status(), answer.Body)
			}
			table = append(table, answer.JSON200.Chunks...)
			if answer.JSON200.NextOffset == nil {
				return table
			}
			offset = *answer.JSON200.NextOffset
		}
	}
	r.eventually("every peer holds every chunk", func() bool {
		for _, c := range look() {
			slices.Sort(c.Holders)
			if !slices.Equal(c.Holders, everybody) {
				return false
			}
		}
		return true
	})
	table := look()
	if len(table) != len(owners) {
		r.t.Fatalf("%d chunks in the table, want %d", len(table), len(owners))
	}
	for i, c := range table {
		if c.Chunk != i || c.Owner == nil || *c.Owner != owners[i] {
			r.t.Errorf("line %d of the JSON table: %+v, want owner %s", i, c, owners[i])
		}
	}
}

// A table with a mistake is refused, with the line and the remedy, and the old one stays.
func TestTablesWithMistakes(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", 3*autoChunk, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}, peers: 2})
	a, b := r.peers[0].ChunkAddress(), r.peers[1].ChunkAddress()
	before := r.table("image.bin", 3)
	for name, c := range map[string]struct{ text, says string }{
		"unknown chunk":       {"0\t" + a + "\n1\t" + a + "\n3\t" + a + "\n", "line 3"},
		"missing chunk":       {"0\t" + a + "\n2\t" + a + "\n", "no line: 1;"},
		"nothing":             {"", "0, 1, 2"},
		"no registered peer":  {"0\t" + a + "\n1\t127.0.0.1:1\n2\t" + b + "\n", "line 2"},
		"no address":          {"0\t" + a + "\n1\thello\n2\t" + b + "\n", "line 2"},
		"two peers that may":  {"0\t" + a + "\n1\t" + b + "\n2\t127.0.0.1\n", "line 3"},
		"twice the same":      {"0\t" + a + "\n0\t" + b + "\n1\t" + a + "\n2\t" + b + "\n", "line 2"},
		"no number":           {"zero\t" + a + "\n1\t" + b + "\n2\t" + b + "\n", "line 1"},
		"too long a line":     {"0\t" + strings.Repeat("x", 5000) + "\n", "line 1"},
		"not a table at all":  {"<html><body>404</body></html>", "line 1"},
		"the origin as owner": {"0\t" + r.origin.ChunkAddress() + "\n1\t" + a + "\n2\t" + b + "\n", "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := *r
			r.t = t
			p := r.call("PUT", r.tracker.URL()+"/v1/files/image.bin/chunks", c.text)
			p.wants(t, 422, "", c.says)
		})
	}
	if after := r.table("image.bin", 3); !slices.Equal(before, after) {
		t.Errorf("the table is %v after the refusals, was %v", after, before)
	}
}

package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/trackerfile"
	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/manifestjson"
)

// The limits leave room for everything that may be sent of a file with the most chunks.
func TestBodiesFitTheLargestFile(t *testing.T) {
	const few = 1000 // chunks; what is sent grows evenly with their number
	for _, c := range []struct {
		call string
		body func(chunks int) []byte
		most int
	}{
		{"PUT /v1/files/{name}", publication, manifest.MaxChunks},
		{"PUT /v1/files/{name}", indented(publication), manifest.MaxChunks},
		{"PUT /v1/files/{name}/chunks", ownerLines, manifest.MaxChunks},
		{"POST /v1/files/{name}/announce", announce, manifest.MaxChunks},
		{"PUT /v1/files/{name}/rollout", rollout, 10_000},
		{"PUT /v1/files/{name}/rollout", indented(rollout), 10_000},
	} {
		fixed, each := len(c.body(0)), float64(len(c.body(few))-len(c.body(0)))/few
		need := float64(fixed) + each*float64(c.most)
		if limit := float64(bodies[c.call]); need > limit || limit > 2*need+httpkit.SmallBody {
			t.Errorf("%s: %.0f bytes for %d, the limit is %.0f", c.call, need, c.most, limit)
		}
	}
}

func publication(chunks int) []byte {
	m := &manifest.Manifest{Name: strings.Repeat("n", manifest.MaxNameLen), Size: 1 << 40, ChunkSize: 1 << 20, Digests: make([]manifest.Digest, chunks)}
	return asJSON(trackerapi.Publication{Manifest: manifestjson.From(m, m.ID())})
}

func announce(chunks int) []byte {
	bits, text := make([]byte, (chunks+7)/8), strings.Repeat("e", 2000)
	return asJSON(trackerapi.Announce{Id: strings.Repeat("i", 64), Held: &bits, Owned: &bits, Error: &text})
}

func rollout(peers int) []byte {
	ids := make([]string, peers)
	for i := range ids {
		ids[i] = fmt.Sprintf("%064d", i)
	}
	return asJSON(trackerapi.RolloutRequest{Peers: &ids})
}

func ownerLines(chunks int) (text []byte) {
	for range chunks {
		text = trackerfile.AppendLine(text, manifest.MaxChunks-1, "[2001:0db8:85a3:0000:0000:8a2e:0370:7334]:65535")
	}
	return text
}

func indented(body func(int) []byte) func(int) []byte {
	return func(n int) []byte {
		var out bytes.Buffer
		if err := json.Indent(&out, body(n), "", "  "); err != nil {
			panic(err)
		}
		return out.Bytes()
	}
}

func asJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

package manifestjson_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/manifestjson"
)

func TestRoundTrip(t *testing.T) {
	for _, m := range []*manifest.Manifest{
		{Name: "empty", ChunkSize: 32768},
		{Name: "odd", Size: 2*806_597 + 1, ChunkSize: 806_597, Digests: []manifest.Digest{{1}, {2}, {3}}},
		{Name: "ü ß 漢", Size: 40000, ChunkSize: 32768, Digests: []manifest.Digest{{1}, {2}}},
	} {
		got, id, err := manifestjson.Parse(manifestjson.From(m, m.ID()))
		if err != nil || id != m.ID() || got.Name != m.Name || cmp.Diff(got.ID(), id) != "" {
			t.Errorf("%s: %v %v", m.Name, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := func() trackerapi.Manifest {
		m := &manifest.Manifest{Name: "a", Size: 40000, ChunkSize: 32768, Digests: []manifest.Digest{{1}, {2}}}
		return manifestjson.From(m, m.ID())
	}
	other := strings.Repeat("0", 64)
	for what, c := range map[string]struct {
		spoil func(*trackerapi.Manifest)
		want  error
	}{
		"bad digest":     {func(m *trackerapi.Manifest) { m.Digests[1] = "xyz" }, manifest.ErrHex},
		"missing digest": {func(m *trackerapi.Manifest) { m.Digests = m.Digests[:1] }, manifest.ErrCount},
		"bad name":       {func(m *trackerapi.Manifest) { m.Name = "../a" }, manifest.ErrName},
		"bad chunk size": {func(m *trackerapi.Manifest) { m.ChunkSize = 5 }, manifest.ErrChunkSize},
		"another ID":     {func(m *trackerapi.Manifest) { m.ManifestId = &other }, manifestjson.ErrID},
	} {
		m := good()
		c.spoil(&m)
		if _, _, err := manifestjson.Parse(m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

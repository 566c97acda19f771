// Package manifestjson turns a manifest into the JSON model of the contract and back, for
// the tracker and its clients alike. It knows no HTTP.
package manifestjson

import (
	"errors"
	"fmt"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
)

// ErrID is returned where a manifest does not have the ID that it was sent or asked for with.
var ErrID = errors.New("manifest does not have this ID")

// From is the model of a valid manifest with the given ID.
func From(m *manifest.Manifest, id manifest.ID) trackerapi.Manifest {
	text := id.String()
	digests := make([]string, len(m.Digests))
	for i, d := range m.Digests {
		digests[i] = d.String()
	}
	return trackerapi.Manifest{
		Name: m.Name, ManifestId: &text, Size: m.Size, ChunkSize: m.ChunkSize, Digests: digests,
	}
}

// Parse reads a model. The manifest is valid, and has the ID returned; where the model states
// an ID and it is another one, the error is ErrID. Else errors are those of
// manifest.ParseDigest, with the number of the chunk, and of manifest.Manifest.Validate.
func Parse(model trackerapi.Manifest) (*manifest.Manifest, manifest.ID, error) {
	m := &manifest.Manifest{
		Name: model.Name, Size: model.Size, ChunkSize: model.ChunkSize,
		Digests: make([]manifest.Digest, len(model.Digests)),
	}
	for i, text := range model.Digests {
		d, err := manifest.ParseDigest(text)
		if err != nil {
			return nil, manifest.ID{}, fmt.Errorf("digest of chunk %d: %w", i, err)
		}
		m.Digests[i] = d
	}
	if err := m.Validate(); err != nil {
		return nil, manifest.ID{}, err
	}
	id := m.ID()
	if model.ManifestId != nil && *model.ManifestId != id.String() {
		return nil, manifest.ID{}, fmt.Errorf("%w: stated %s, is %s", ErrID, *model.ManifestId, id)
	}
	return m, id, nil
}

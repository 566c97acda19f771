package server

import (
	"errors"
	"net/http"

	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/trackerfile"
	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/manifestjson"
	"fanout/tracker/feed"
	"fanout/tracker/store"
	"fanout/tracker/table"
)

// statuses says what the kinds of domain errors mean in HTTP. This is the only such place.
var statuses = []struct {
	kind   error
	status int
	field  string // of the request, where the kind tells it
}{
	{table.ErrUnknown, http.StatusNotFound, ""},
	{table.ErrWithdrawn, http.StatusGone, ""},
	{table.ErrNoPeers, http.StatusConflict, ""},
	{feed.ErrFull, http.StatusServiceUnavailable, ""},
	{store.ErrNoRoom, http.StatusInsufficientStorage, ""},
	{table.ErrInvalid, http.StatusUnprocessableEntity, ""},
	{table.ErrNotFollowing, http.StatusConflict, ""},
	{table.ErrClash, http.StatusConflict, ""},
	{trackerfile.ErrMalformed, http.StatusUnprocessableEntity, ""},
	{manifest.ErrName, http.StatusUnprocessableEntity, "manifest.name"},
	{manifest.ErrSize, http.StatusUnprocessableEntity, "manifest.size"},
	{manifest.ErrChunkSize, http.StatusUnprocessableEntity, "manifest.chunk_size"},
	{manifest.ErrCount, http.StatusUnprocessableEntity, "manifest.digests"},
	{manifest.ErrHex, http.StatusUnprocessableEntity, "manifest.digests"},
	{manifestjson.ErrID, http.StatusUnprocessableEntity, "manifest.manifest_id"},
}

func statusOf(err error) *httpkit.Error {
	for _, s := range statuses {
		if !errors.Is(err, s.kind) {
			continue
		}
		e := httpkit.Errorf(s.status, "%w", err).WithField(s.field)
		var detailed *table.Error
		if errors.As(err, &detailed) {
			e.Field = detailed.Field
		}
		return e
	}
	return nil
}

package server

import (
	"cmp"
	"context"
	"time"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/manifestjson"
	"fanout/tracker/table"
)

// fileCalls are the calls about what is published.
type fileCalls struct {
	files   *table.Files
	origins *table.Origins
	lease   time.Duration
}

// ListFiles implements GET /v1/files.
func (c *fileCalls) ListFiles(context.Context, trackerapi.ListFilesRequestObject) (trackerapi.ListFilesResponseObject, error) {
	files := []trackerapi.File{}
	for _, v := range c.files.List() {
		files = append(files, fileModel(v))
	}
	return trackerapi.ListFiles200JSONResponse{Files: files}, nil
}

// PublishFile implements PUT /v1/files/{name}.
func (c *fileCalls) PublishFile(_ context.Context, r trackerapi.PublishFileRequestObject) (trackerapi.PublishFileResponseObject, error) {
	o := r.Body.Origin
	origin, err := parseOrigin("origin.", o.Id, o.Address, o.HttpAddress)
	if err != nil {
		return nil, err
	}
	m, id, err := manifestjson.Parse(r.Body.Manifest)
	if err != nil {
		return nil, err
	}
	created, err := c.origins.Publish(r.Name, m, id, origin)
	if err != nil {
		return nil, err
	}
	body := trackerapi.Published{ManifestId: id.String(), LeaseSeconds: c.lease.Seconds()}
	if created {
		return trackerapi.PublishFile201JSONResponse(body), nil
	}
	return trackerapi.PublishFile200JSONResponse(body), nil
}

// GetFile implements GET /v1/files/{name}.
func (c *fileCalls) GetFile(_ context.Context, r trackerapi.GetFileRequestObject) (trackerapi.GetFileResponseObject, error) {
	v, err := c.files.Get(r.Name)
	if err != nil {
		return nil, err
	}
	return trackerapi.GetFile200JSONResponse(fileModel(v)), nil
}

// DeleteFile implements DELETE /v1/files/{name}.
func (c *fileCalls) DeleteFile(_ context.Context, r trackerapi.DeleteFileRequestObject) (trackerapi.DeleteFileResponseObject, error) {
	if err := c.origins.Withdraw(r.Name); err != nil {
		return nil, err
	}
	return trackerapi.DeleteFile204Response{}, nil
}

// GetManifest implements GET /v1/files/{name}/manifest.
func (c *fileCalls) GetManifest(_ context.Context, r trackerapi.GetManifestRequestObject) (trackerapi.GetManifestResponseObject, error) {
	m, id, err := c.files.Manifest(r.Name)
	if err != nil {
		return nil, err
	}
	return trackerapi.GetManifest200JSONResponse(manifestjson.From(m, id)), nil
}

// parseOrigin checks the addresses of an origin; prefix is where they stand in the request.
func parseOrigin(prefix, id, address string, httpAddress *string) (table.Origin, error) {
	a, err := table.ParseAddress(prefix+"address", address)
	if err != nil {
		return table.Origin{}, err
	}
	h, err := parseOptional(prefix+"http_address", httpAddress)
	return table.Origin{ID: id, Address: a, HTTPAddress: h}, err
}

func parseOptional(field string, address *string) (table.Address, error) {
	if address == nil {
		return table.Address{}, nil
	}
	return table.ParseAddress(field, *address)
}

func fileModel(v table.FileView) trackerapi.File {
	return trackerapi.File{
		Name: v.Name, ManifestId: v.ID.String(), Current: v.Current, Size: v.Size, ChunkSize: v.ChunkSize,
		ChunksTotal: v.Chunks, PublishedAt: v.PublishedAt.UTC(), Origins: originModels(v.Origins),
		Peers: v.Peers, PeersComplete: v.PeersComplete,
	}
}

func originModels(origins []table.Origin) []trackerapi.Origin {
	models := make([]trackerapi.Origin, len(origins))
	for i, o := range origins {
		models[i] = trackerapi.Origin{Id: o.ID, Address: o.Address.String(), HttpAddress: optional(o.HTTPAddress.String())}
	}
	return models
}

// value is what an optional field has, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// optionalBool leaves false out.
func optionalBool(v bool) *bool {
	if !v {
		return nil
	}
	return &v
}

// optional leaves the zero value out.
func optional[T cmp.Ordered](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

package server

import (
	"context"
	"io"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/trackerfile"
	"fanout/tracker/table"
)

const defaultPage = 1000 // chunks, as in the contract

// chunkCalls are the calls about who owns and who holds which chunk.
type chunkCalls struct{ chunks *table.Chunks }

// GetChunks implements GET /v1/files/{name}/chunks.
func (c *chunkCalls) GetChunks(_ context.Context, r trackerapi.GetChunksRequestObject) (trackerapi.GetChunksResponseObject, error) {
	if prefersTrackerFile(value(r.Params.Accept)) {
		a, err := c.chunks.Static(r.Name)
		if err != nil {
			return nil, err
		}
		return trackerapi.GetChunks200TexttabSeparatedValuesResponse{Body: &trackerFile{assignment: a}}, nil
	}
	limit := defaultPage
	if r.Params.Limit != nil {
		limit = *r.Params.Limit
	}
	offset := value(r.Params.Offset)
	page, err := c.chunks.Page(r.Name, offset, limit)
	if err != nil {
		return nil, err
	}
	return trackerapi.GetChunks200JSONResponse(pageModel(page, offset)), nil
}

func pageModel(page table.ChunkPage, offset int) trackerapi.ChunkTable {
	model := trackerapi.ChunkTable{
		Name: page.Name, ManifestId: page.ID.String(), ChunksTotal: page.Total,
		Chunks: make([]trackerapi.Chunk, len(page.Chunks)),
	}
	for i, c := range page.Chunks {
		model.Chunks[i] = trackerapi.Chunk{Chunk: c.Chunk, Owner: optional(c.Owner), Holders: c.Holders}
	}
	if next := offset + len(page.Chunks); len(page.Chunks) > 0 && next < page.Total {
		model.NextOffset = &next
	}
	return model
}

// PutChunks implements PUT /v1/files/{name}/chunks.
func (c *chunkCalls) PutChunks(_ context.Context, r trackerapi.PutChunksRequestObject) (trackerapi.PutChunksResponseObject, error) {
	if err := c.chunks.Upload(r.Name, r.Body); err != nil {
		return nil, err
	}
	return trackerapi.PutChunks204Response{}, nil
}

// DeleteChunks implements DELETE /v1/files/{name}/chunks.
func (c *chunkCalls) DeleteChunks(_ context.Context, r trackerapi.DeleteChunksRequestObject) (trackerapi.DeleteChunksResponseObject, error) {
	if err := c.chunks.Forget(r.Name); err != nil {
		return nil, err
	}
	return trackerapi.DeleteChunks204Response{}, nil
}

// trackerFile is an assignment as text, made as it is read.
type trackerFile struct {
	assignment *table.Assignment
	next       int    // chunk
	rest       []byte // of lines already made
}

func (f *trackerFile) Read(p []byte) (int, error) {
	for len(f.rest) < len(p) && f.next < f.assignment.Chunks() {
		f.rest = trackerfile.AppendLine(f.rest, f.next, f.assignment.Owner(f.next).String())
		f.next++
	}
	if len(f.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.rest)
	f.rest = f.rest[:copy(f.rest, f.rest[n:])]
	return n, nil
}

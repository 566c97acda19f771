package server

import (
	"cmp"
	"context"
	"time"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/manifestjson"
	"fanout/internal/daemon/oneline"
	"fanout/tracker/table"
)

// ListFiles implements GET /v1/files.
func (s *Server) ListFiles(context.Context, trackerapi.ListFilesRequestObject) (trackerapi.ListFilesResponseObject, error) {
	files := []trackerapi.File{}
	for _, v := range s.table.Files.List() {
		files = append(files, fileModel(v))
	}
	return trackerapi.ListFiles200JSONResponse{Files: files}, nil
}

// PublishFile implements PUT /v1/files/{name}.
func (s *Server) PublishFile(_ context.Context, r trackerapi.PublishFileRequestObject) (trackerapi.PublishFileResponseObject, error) {
	o := r.Body.Origin
	origin, err := parseOrigin("origin.", o.Id, o.Address, o.HttpAddress)
	if err != nil {
		return nil, err
	}
	m, id, err := manifestjson.Parse(r.Body.Manifest)
	if err != nil {
		return nil, err
	}
	created, err := s.table.Origins.Publish(r.Name, m, id, origin)
	if err != nil {
		return nil, err
	}
	body := trackerapi.Published{ManifestId: id.String(), LeaseSeconds: s.table.Lease().Seconds()}
	if created {
		return trackerapi.PublishFile201JSONResponse(body), nil
	}
	return trackerapi.PublishFile200JSONResponse(body), nil
}

// GetFile implements GET /v1/files/{name}.
func (s *Server) GetFile(_ context.Context, r trackerapi.GetFileRequestObject) (trackerapi.GetFileResponseObject, error) {
	v, err := s.table.Files.Get(r.Name)
	if err != nil {
		return nil, err
	}
	return trackerapi.GetFile200JSONResponse(fileModel(v)), nil
}

// DeleteFile implements DELETE /v1/files/{name}.
func (s *Server) DeleteFile(_ context.Context, r trackerapi.DeleteFileRequestObject) (trackerapi.DeleteFileResponseObject, error) {
	if err := s.table.Origins.Withdraw(r.Name); err != nil {
		return nil, err
	}
	return trackerapi.DeleteFile204Response{}, nil
}

// GetManifest implements GET /v1/files/{name}/manifest.
func (s *Server) GetManifest(_ context.Context, r trackerapi.GetManifestRequestObject) (trackerapi.GetManifestResponseObject, error) {
	m, id, err := s.table.Files.Manifest(r.Name)
	if err != nil {
		return nil, err
	}
	return trackerapi.GetManifest200JSONResponse(manifestjson.From(m, id)), nil
}

// Announce implements POST /v1/files/{name}/announce.
func (s *Server) Announce(_ context.Context, r trackerapi.AnnounceRequestObject) (trackerapi.AnnounceResponseObject, error) {
	reply, err := s.announce(r.Name, *r.Body)
	if err != nil {
		return nil, err
	}
	s.announces.WithLabelValues(string(r.Body.Role)).Inc()
	peers := make([]trackerapi.SwarmPeer, len(reply.Peers))
	for i, p := range reply.Peers {
		peers[i] = trackerapi.SwarmPeer{Id: p.ID, Address: p.Address.String()}
	}
	return trackerapi.Announce200JSONResponse{
		ManifestId: reply.ID.String(), LeaseSeconds: s.table.Lease().Seconds(), Abandoned: optionalBool(reply.Abandoned),
		IntervalSeconds: s.interval(value(r.Body.State), reply).Seconds(), Origins: originModels(reply.Origins), Peers: peers,
	}, nil
}

func (s *Server) announce(name string, a trackerapi.Announce) (table.Reply, error) {
	if a.Role == trackerapi.AnnounceRoleOrigin {
		origin, err := parseOrigin("", a.Id, a.Address, a.HttpAddress)
		if err != nil {
			return table.Reply{}, err
		}
		origin.Instance, origin.Counts, origin.Sent = value(a.Instance), a.BytesSent != nil, value(a.BytesSent)
		if value(a.State) == trackerapi.DownloadStateCancelled {
			return s.table.Origins.Leave(name, origin)
		}
		return s.table.Origins.Renew(name, origin)
	}
	address, err := table.ParseAddress("address", a.Address)
	if err != nil {
		return table.Reply{}, err
	}
	return s.table.Swarms.Announce(name, table.Report{
		ID: a.Id, Address: address,
		Strategy: table.Strategy(value(a.Strategy)), State: table.State(value(a.State)),
		Held: value(a.Held), Owned: value(a.Owned),
		BytesFromOrigin: value(a.BytesFromOrigin), BytesFromPeers: value(a.BytesFromPeers),
		Error: oneline.Of(value(a.Error), oneline.Max), Instance: value(a.Instance), Rollout: value(a.Rollout),
		EndedAgo: ago(value(a.EndedSecondsAgo)),
	})
}

// ago is how long ago a peer says that something was; no longer than can be meant, for more
// would overflow.
func ago(seconds float64) time.Duration {
	const most = 100 * 365 * 24 * time.Hour
	return time.Duration(min(max(seconds, 0), most.Seconds()) * float64(time.Second))
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

package feed

import (
	"math"

	"fanout/api/trackerapi"
	"fanout/tracker/table"
)

// Distribution is one as in the contract.
func Distribution(d table.Distribution) trackerapi.Distribution {
	model := trackerapi.Distribution{
		Name: d.Name, ManifestId: d.ID.String(), Size: d.Size, Running: d.Running(), Partial: d.Partial,
		Peers: d.Peers, PeersComplete: d.Complete, PeersFailed: d.Failed, PeersLeft: d.Left,
		Strategies: map[string]int{}, StartedAt: d.Started.UTC(),
		BytesFromOrigin: d.BytesFromOrigin, BytesFromPeers: d.BytesFromPeers,
		OriginBytesSent: d.OriginSent, EgressRatio: round(d.EgressRatio(), 4),
	}
	for s, n := range d.Strategies {
		model.Strategies[string(s)] = n
	}
	if !d.Running() {
		ended := d.Ended.UTC()
		model.EndedAt = &ended
	}
	if d.Complete > 0 {
		took := round(d.Duration.Seconds(), 3)
		model.DurationSeconds = &took
	}
	return model
}

func models(list []table.Distribution) []trackerapi.Distribution {
	all := []trackerapi.Distribution{}
	for _, d := range list {
		all = append(all, Distribution(d))
	}
	return all
}

func swarmModel(s table.SwarmView) trackerapi.SwarmStatus {
	model := trackerapi.SwarmStatus{
		Name: s.Name, ManifestId: s.ID.String(), Current: s.Current, Size: s.Size, ChunkSize: s.ChunkSize,
		ChunksTotal: s.Chunks, Origins: []string{}, Peers: s.Peers, PeersComplete: s.PeersComplete,
		MembersTotal: len(s.Members),
	}
	for _, o := range s.Origins {
		model.Origins = append(model.Origins, o.Address.String())
	}
	if s.Distribution != nil {
		d := Distribution(*s.Distribution)
		model.Distribution = &d
	}
	return model
}

func memberModel(s table.SwarmView, m table.PeerView, chunks string) trackerapi.SwarmMember {
	model := trackerapi.SwarmMember{
		Id: m.ID, Address: m.Address.String(), Strategy: trackerapi.Strategy(m.Strategy),
		State: trackerapi.SwarmMemberState(m.State), Listed: m.Listed,
		ChunksHeld: m.ChunksHeld, BytesHeld: m.BytesHeld,
		BytesFromOrigin: m.BytesFromOrigin, BytesFromPeers: m.BytesFromPeers,
		RateBytesPerSecond: math.Round(m.Rate), LastSeen: m.Seen.UTC(), Chunks: chunks,
	}
	if m.Error != "" {
		model.Error = &m.Error
	}
	if m.Rate >= 1 && m.BytesHeld < s.Size {
		eta := round(float64(s.Size-m.BytesHeld)/m.Rate, 1)
		model.EtaSeconds = &eta
	}
	return model
}

// round to so many decimals: what nobody reads need not be sent.
func round(v float64, decimals int) float64 {
	scale := math.Pow10(decimals)
	return math.Round(v*scale) / scale
}

package feed

import (
	"encoding/json"
	"math"
	"time"

	"fanout/api/trackerapi"
	"fanout/internal/chunks/manifest"
	"fanout/tracker/table"
)

const (
	maxFiles   = 200
	maxMembers = 1000
	// tail is how many of the last seconds' rates are told again: those that a report may
	// still have changed.
	tail = 32
)

// picture is what the viewers have seen.
type picture struct {
	swarms     map[manifest.ID]*swarm
	registered int
	total      int
	latest     table.Distribution // of those that have ended
	told       time.Time
}

type swarm struct {
	status  []byte // without members
	members map[string]table.PeerView
}

// update makes the event of what has changed, nil if that can wait.
func (p *picture) update(o table.Overview) []byte {
	files, gone := p.files(o)
	distributions := p.finished(o)
	if len(files)+len(gone) == 0 && distributions == nil && p.registered == o.Registered &&
		p.total == len(o.Swarms) && o.Time.Sub(p.told) < heartbeat {
		return nil
	}
	p.told, p.registered, p.total = o.Time, o.Registered, len(o.Swarms)
	e := event(o, tail)
	e.Distributions = distributions
	if len(files) > 0 {
		e.Files = &files
	}
	if len(gone) > 0 {
		e.FilesGone = &gone
	}
	return encode("change", e)
}

// snapshot is everything, for a viewer that has seen nothing.
func (p *picture) snapshot(o table.Overview) []byte {
	e := event(o, len(o.Rates))
	files := []trackerapi.SwarmStatus{}
	for _, s := range shown(o.Swarms, maxFiles) {
		status := swarmModel(s)
		members := []trackerapi.SwarmMember{}
		for _, m := range shown(s.Members, maxMembers) {
			members = append(members, memberModel(s, m, runs(m, s.Chunks)))
		}
		status.Members = &members
		files = append(files, status)
	}
	distributions := models(o.Finished)
	e.Files, e.Distributions = &files, &distributions
	return encode("snapshot", e)
}

func shown[T any](list []T, most int) []T { return list[:min(len(list), most)] }

// files are the changes of files, and which are no longer there.
func (p *picture) files(o table.Overview) (changed []trackerapi.SwarmStatus, gone []string) {
	before := p.swarms
	p.swarms = map[manifest.ID]*swarm{}
	for _, s := range shown(o.Swarms, maxFiles) {
		old := before[s.ID]
		if old == nil {
			old = &swarm{}
		}
		status, now := swarmModel(s), &swarm{members: map[string]table.PeerView{}}
		now.status = marshal(status)
		members, left := now.compare(old, s)
		if members != nil {
			status.Members = &members
		}
		if left != nil {
			status.MembersGone = &left
		}
		if string(now.status) != string(old.status) || len(members)+len(left) > 0 {
			changed = append(changed, status)
		}
		p.swarms[s.ID] = now
	}
	for id := range before {
		if p.swarms[id] == nil {
			gone = append(gone, id.String())
		}
	}
	return changed, gone
}

// compare takes the members over and tells those that are others than before.
func (now *swarm) compare(old *swarm, s table.SwarmView) (changed []trackerapi.SwarmMember, left []string) {
	for _, m := range shown(s.Members, maxMembers) {
		now.members[m.ID] = m
		was, known := old.members[m.ID]
		switch {
		case !known:
			changed = append(changed, memberModel(s, m, runs(m, s.Chunks)))
		case was.Version != m.Version:
			changed = append(changed, memberModel(s, m, changes(was, m, s.Chunks)))
		}
	}
	for id := range old.members {
		if _, ok := now.members[id]; !ok {
			left = append(left, id)
		}
	}
	return changed, left
}

// finished are the distributions if there is a new one, or more is known of the latest.
func (p *picture) finished(o table.Overview) *[]trackerapi.Distribution {
	if len(o.Finished) == 0 || o.Finished[0].Ended.Equal(p.latest.Ended) && o.Finished[0].OriginSent == p.latest.OriginSent {
		return nil
	}
	p.latest = o.Finished[0]
	list := models(o.Finished)
	return &list
}

func event(o table.Overview, seconds int) trackerapi.SwarmEvent {
	e := trackerapi.SwarmEvent{
		Time: o.Time.UTC(), RegisteredPeers: o.Registered, FilesTotal: len(o.Swarms), Seconds: []float64{},
	}
	for _, bytes := range o.Rates[max(0, len(o.Rates)-seconds):] {
		e.Seconds = append(e.Seconds, math.Round(bytes))
	}
	return e
}

// encode makes a server-sent event.
func encode(name string, e trackerapi.SwarmEvent) []byte {
	text := append([]byte("event: "+name+"\ndata: "), marshal(e)...)
	return append(text, '\n', '\n')
}

func marshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // generated types of strings and finite numbers
	}
	return data
}

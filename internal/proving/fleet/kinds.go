package fleet

import (
	"net/http"
	"path/filepath"

	"fanout/api/peerapi"
	"fanout/api/trackerapi"
)

type kind int

const (
	kindTracker kind = iota
	kindOrigin
	kindPeer
)

// Tracker is a tracker process.
type Tracker struct{ *Daemon }

// Origin is an origin process.
type Origin struct{ *Daemon }

// Peer is a peerd process.
type Peer struct {
	*Daemon
	dir string
}

// Tracker makes the fleet's tracker; the origins and peers that are launched later use it.
// args are further flags.
func (f *Fleet) Tracker(args ...string) *Tracker {
	d := f.daemon(kindTracker, "tracker", f.cfg.Binaries.Tracker)
	d.command = func() ([]string, error) {
		return append([]string{"--listen", d.HTTPAddress()}, args...), nil
	}
	t := &Tracker{d}
	f.mu.Lock()
	f.tracker = t
	f.mu.Unlock()
	return t
}

// Origin makes an origin of files. Its name is that of its log.
func (f *Fleet) Origin(name string, files []string, args ...string) *Origin {
	d := f.daemon(kindOrigin, name, f.cfg.Binaries.Origin)
	d.command = func() ([]string, error) {
		tracker, err := f.trackerURL()
		line := []string{"--tracker", tracker, "--listen", d.ChunkAddress(), "--http", d.HTTPAddress()}
		return append(append(append(line, args...), "--"), files...), err
	}
	return &Origin{d}
}

// Peer makes a peerd. Its name is that of its log and of its data directory, and its peer ID.
func (f *Fleet) Peer(name string, args ...string) *Peer {
	d := f.daemon(kindPeer, name, f.cfg.Binaries.Peerd)
	p := &Peer{d, filepath.Join(f.cfg.Dir, name)}
	d.command = func() ([]string, error) {
		tracker, err := f.trackerURL()
		line := []string{"--tracker", tracker, "--data-dir", p.dir, "--id", name, "--listen", d.ChunkAddress(), "--http", d.HTTPAddress()}
		return append(line, args...), err
	}
	return p
}

func (f *Fleet) daemon(k kind, name, binary string) *Daemon {
	d := &Daemon{
		fleet: f, kind: k, name: name, binary: binary, log: filepath.Join(f.cfg.Dir, name+".log"),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
	}
	f.add(d)
	return d
}

// API is the client of the tracker's REST interface. It is nil before the first launch.
func (t *Tracker) API() *trackerapi.ClientWithResponses {
	if t.HTTPAddress() == "" {
		return nil
	}
	c, err := trackerapi.NewClientWithResponses(t.URL(), trackerapi.WithHTTPClient(t.client))
	if err != nil {
		panic(err) // a URL of our making
	}
	return c
}

// API is the client of the peer's REST interface. It is nil before the first launch.
func (p *Peer) API() *peerapi.ClientWithResponses {
	if p.HTTPAddress() == "" {
		return nil
	}
	c, err := peerapi.NewClientWithResponses(p.URL(), peerapi.WithHTTPClient(p.client))
	if err != nil {
		panic(err) // a URL of our making
	}
	return c
}

// DataDir is the peer's data directory.
func (p *Peer) DataDir() string { return p.dir }

// Path is where a download of that output name is, or will be.
func (p *Peer) Path(output string) string { return filepath.Join(p.dir, output) }

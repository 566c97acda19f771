package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"fanout/internal/chunks/chunkserver"
	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/units"
)

// ErrChanging is returned for a file that is written to while it is digested.
var ErrChanging = errors.New("the file changes while it is read")

// source is one file given on the command line.
type source struct {
	path string
	name string
	info os.FileInfo // as it was when it was last digested
}

// newSources checks the paths given on the command line.
func newSources(paths []string, chunkSize int64) ([]*source, error) {
	var all []*source
	names := map[string]bool{}
	for _, path := range paths {
		s, err := newSource(path, chunkSize)
		if err != nil {
			return nil, err
		}
		if names[s.name] {
			return nil, fmt.Errorf("%s: another file given has the name %q too: rename one", path, s.name)
		}
		names[s.name] = true
		all = append(all, s)
	}
	return all, nil
}

// newSource checks a path given on the command line, and that the file can be cut into such
// chunks: it may take hours to digest.
func newSource(path string, chunkSize int64) (*source, error) {
	info, err := os.Stat(path)
	var name string
	if err == nil {
		var abs string
		abs, err = filepath.Abs(path)
		name = filepath.Base(abs)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no such file", path)
	case err != nil:
		return nil, unreadable(err)
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory: pack it first, for example with tar", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := manifest.ValidateName(name); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := checkSize(info.Size(), chunkSize); err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	f.Close()
	return &source{path: path, name: name}, nil
}

// checkSize says of a file that it cannot be cut so, and how it could be.
func checkSize(size, chunkSize int64) error {
	err := manifest.CheckSize(size, chunkSize)
	var many *manifest.TooManyChunks
	switch {
	case errors.As(err, &many):
		fits := strings.ReplaceAll(units.Size(manifest.LeastChunkSize(size)).String(), " ", "")
		return fmt.Errorf("(%s) would have %s chunks of %s, more than %s: give --chunk-size %s", units.Size(size),
			humanize.Comma(many.Chunks()), exactly(chunkSize), humanize.Comma(manifest.MaxChunks), fits)
	case errors.Is(err, manifest.ErrSize):
		return fmt.Errorf("(%s) is larger than %s, which are %s chunks of %s: split it", units.Size(size),
			units.Size(manifest.MaxSize), humanize.Comma(manifest.MaxChunks), units.Size(manifest.MaxChunkSize))
	}
	return err
}

// exactly is a chunk size for people that is not rounded: of what is a byte too small, the
// reason would not show.
func exactly(n int64) string {
	s := units.Size(n).String()
	if back, err := units.ParseSize(s); err == nil && int64(back) == n {
		return s
	}
	return humanize.Comma(n) + " bytes"
}

func open(path string) (*os.File, error) {
	f, err := os.Open(path)
	return f, unreadable(err)
}

// unreadable adds to an error who it is that may not read: in a container, or as a service,
// that is not who started it.
func unreadable(err error) error {
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w for the user that the origin runs as, uid %d: it must be able to read the file (chmod o+r) and to search its directories (chmod o+x)",
		err, os.Geteuid())
}

// publication is a source with one content: what is told to the tracker and served.
type publication struct {
	manifest *manifest.Manifest
	id       manifest.ID
	target   *chunkserver.Target
	swarm    *swarm
	info     os.FileInfo
}

// digest reads the whole file and makes what is published of it by the origin with the ID self.
func (s *source) digest(ctx context.Context, self string, chunkSize int64, events func(file string, size int64) Events, progress func(int64)) (*publication, error) {
	f, err := open(s.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkSize(before.Size(), chunkSize); err != nil { // it may have grown
		return nil, fmt.Errorf("%s %w", s.path, err)
	}
	m, err := manifest.Build(ctx, s.name, f, before.Size(), chunkSize, progress)
	if err != nil {
		return nil, fmt.Errorf("digest %s: %w", s.path, err)
	}
	store, err := chunkstore.OpenSource(s.path, m)
	if err != nil {
		return nil, err
	}
	after, err := os.Stat(s.path)
	if err != nil || !unchanged(before, after) {
		return nil, errors.Join(fmt.Errorf("digest %s: %w", s.path, ErrChanging), store.Close())
	}
	if n, _ := f.ReadAt(make([]byte, 1), before.Size()); n > 0 {
		return nil, errors.Join(fmt.Errorf("%s has more bytes than its size says, %d, as files of /proc have: copy it first", s.path, before.Size()), store.Close())
	}
	s.info = after
	p := &publication{manifest: m, id: m.ID(), swarm: newSwarm(self, m, events(s.name, m.Size)), info: after}
	p.target = &chunkserver.Target{Manifest: m, ID: p.id, Store: store, Handler: p.swarm, HandOut: p.swarm.handOut}
	return p, nil
}

// unchanged says whether two looks at a path saw the same content.
func unchanged(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// changed waits until the file has become another and is no longer being written.
func (s *source) changed(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last := s.info
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, err := os.Stat(s.path)
		if err != nil || !now.Mode().IsRegular() {
			continue // between a remove and a rename; or it is gone, and the open file serves on
		}
		if !unchanged(s.info, now) && unchanged(last, now) {
			return nil
		}
		last = now
	}
}

// size is the file's size now, for a progress bar.
func (s *source) size() int64 {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

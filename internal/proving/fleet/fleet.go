package fleet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	// DefaultReadyTimeout suits files of a few gigabytes, which an origin has to digest.
	DefaultReadyTimeout = time.Minute
	// DefaultStopTimeout is twice what a daemon gives its own connections.
	DefaultStopTimeout = 10 * time.Second
)

// Binaries are the paths of the programs.
type Binaries struct{ Tracker, Origin, Peerd string }

// In are the binaries of a directory.
func In(dir string) Binaries {
	return Binaries{filepath.Join(dir, "tracker"), filepath.Join(dir, "origin"), filepath.Join(dir, "peerd")}
}

// Config is what a fleet is made of.
type Config struct {
	// Dir keeps logs and data; it must exist. Close leaves it alone.
	Dir string
	Binaries
	// LogLevel of the daemons; empty is their default, info.
	LogLevel string
	// Env is added to the environment of the daemons: "GODEBUG=…", "GOMEMLIMIT=…".
	// Variables that begin with FANOUT_ are never inherited: they are the twins of flags.
	Env []string
	// ReadyTimeout bounds Ready; 0 means DefaultReadyTimeout.
	ReadyTimeout time.Duration
	// StopTimeout is how long a daemon may take to end after SIGTERM; 0 means
	// DefaultStopTimeout.
	StopTimeout time.Duration
}

// Fleet is a number of daemons. Its methods may be called concurrently.
type Fleet struct {
	cfg Config

	mu      sync.Mutex
	daemons []*Daemon
	tracker *Tracker
}

// New checks the configuration; nothing is started.
func New(cfg Config) (*Fleet, error) {
	if cfg.ReadyTimeout == 0 {
		cfg.ReadyTimeout = DefaultReadyTimeout
	}
	if cfg.StopTimeout == 0 {
		cfg.StopTimeout = DefaultStopTimeout
	}
	var err error
	for _, path := range []*string{&cfg.Dir, &cfg.Binaries.Tracker, &cfg.Binaries.Origin, &cfg.Binaries.Peerd} {
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
	}
	if info, err := os.Stat(cfg.Dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory: create it first", cfg.Dir)
	}
	for _, path := range []string{cfg.Binaries.Tracker, cfg.Binaries.Origin, cfg.Binaries.Peerd} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%s is missing: run make build", path)
		}
	}
	return &Fleet{cfg: cfg}, nil
}

// Dir is where logs and data are.
func (f *Fleet) Dir() string { return f.cfg.Dir }

// Daemons are all that were made, in that order.
func (f *Fleet) Daemons() []*Daemon {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.daemons)
}

// Close stops every daemon: peers first, then origins, then the tracker, each group at once.
// The error names those that had to be killed or ended with a failure.
func (f *Fleet) Close() error {
	var errs []error
	for _, k := range []kind{kindPeer, kindOrigin, kindTracker} {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for _, d := range f.Daemons() {
			if d.kind != k {
				continue
			}
			wg.Go(func() {
				if err := d.Stop(); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				}
			})
		}
		wg.Wait()
	}
	return errors.Join(errs...)
}

func (f *Fleet) add(d *Daemon) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.daemons = append(f.daemons, d)
}

// trackerURL is where the daemons that are launched from now on find the tracker.
func (f *Fleet) trackerURL() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tracker == nil || f.tracker.HTTPAddress() == "" {
		return "", errors.New("the fleet's tracker has not been launched")
	}
	return f.tracker.URL(), nil
}

package node

import (
	"errors"
	"sync/atomic"

	"github.com/rs/zerolog"

	"fanout/internal/daemon/trackerclient"
)

// errStarting is why a node is not ready before its first registration.
var errStarting = errors.New("not registered at the tracker yet")

// registration is whether the tracker knows this peer. It is safe for concurrent use.
type registration struct {
	tracker *trackerclient.Client
	logger  zerolog.Logger
	last    atomic.Pointer[error]
}

func newRegistration(tracker *trackerclient.Client, logger zerolog.Logger) *registration {
	r := &registration{tracker: tracker, logger: logger}
	r.last.Store(&errStarting)
	return r
}

// note keeps how the last attempt ended, and logs it when that has changed.
func (r *registration) note(err error) {
	before := *r.last.Swap(&err)
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		r.logger.Warn().Err(err).Msg("not registered at the tracker, trying again")
	case err == nil && before != nil:
		r.logger.Info().Str("tracker", r.tracker.URL()).Msg("registered at the tracker")
	}
}

// err is why the tracker does not know this peer; nil if it does.
func (r *registration) err() error { return *r.last.Load() }

package httpkit

import (
	"fmt"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// NewLogger writes lines for people when w is a terminal, JSON otherwise. level is one of
// trace, debug, info, warn, error; every line carries the daemon's name.
func NewLogger(w *os.File, level, daemon string) (zerolog.Logger, error) {
	l, err := zerolog.ParseLevel(level)
	if err != nil || level == "" {
		return zerolog.Nop(), fmt.Errorf("--log-level %q: give debug, info, warn or error", level)
	}
	if isatty.IsTerminal(w.Fd()) {
		console := zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
		return zerolog.New(console).Level(l).With().Timestamp().Logger(), nil
	}
	return zerolog.New(w).Level(l).With().Timestamp().Str("daemon", daemon).Logger(), nil
}

// Package progress draws one progress bar on a terminal, with a line below it for what is
// worth knowing besides. It knows nothing of what is under way.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"fanout/internal/daemon/oneline"
	"fanout/internal/daemon/units"
)

const (
	barWidth     = 30
	usualColumns = 80
)

// Bar is a bar at the place of the cursor. A nil Bar draws nothing. It is for one goroutine.
type Bar struct {
	out     io.Writer
	columns func() int
	drawn   bool
}

// OnTerminal makes a bar, or none where f is not a terminal.
func OnTerminal(f *os.File) *Bar {
	if !isatty.IsTerminal(f.Fd()) {
		return nil
	}
	return &Bar{out: f, columns: func() int {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
		return usualColumns
	}}
}

// State is what a bar shows.
type State struct {
	What        string // before the bar
	Done, Total int64  // bytes
	Rate        float64
	Detail      string // the line below; may be empty
}

// Draw draws the bar, in place of what it drew last.
func (b *Bar) Draw(s State) {
	if b == nil {
		return
	}
	columns := b.columns() - 1 // a line of full width would wrap
	fmt.Fprintf(b.out, "\r\x1b[K%s\n\x1b[K%s\x1b[A\r", cut(line(s), columns), cut(oneline.Of(s.Detail, 4*oneline.Max), columns))
	b.drawn = true
}

// Clear removes what was drawn, to make room for other text.
func (b *Bar) Clear() {
	if b == nil || !b.drawn {
		return
	}
	fmt.Fprint(b.out, "\r\x1b[K\n\x1b[K\x1b[A\r")
	b.drawn = false
}

func line(s State) string {
	total := max(s.Total, 1)
	done := min(max(s.Done, 0), total)
	if s.Total == 0 {
		done = 0
	}
	bar := progressbar.NewOptions64(total, progressbar.OptionSetWriter(io.Discard), progressbar.OptionSetWidth(barWidth),
		progressbar.OptionSetDescription(s.What), progressbar.OptionSetElapsedTime(false), progressbar.OptionSetPredictTime(false))
	_ = bar.RenderBlank()
	_ = bar.Set64(done)
	text := strings.TrimSpace(bar.String()) + " " + Bytes(s.Done) + " of " + Bytes(s.Total)
	if s.Rate >= 1 {
		text += ", " + Bytes(int64(s.Rate)) + "/s, " + Left(s.Total-s.Done, s.Rate) + " left"
	}
	return text
}

// Bytes is a number of bytes for people, in the units that all of fanout shows.
func Bytes(n int64) string { return units.Bytes(max(n, 0)) }

// Left is how long so many bytes take at a rate, for people.
func Left(bytes int64, rate float64) string {
	if rate < 1 {
		return "?"
	}
	left := time.Duration(float64(max(bytes, 0)) / rate * float64(time.Second))
	if left > 99*time.Hour {
		return "days"
	}
	return left.Round(time.Second).String()
}

// cut shortens a line to so many columns; a character counts as one.
func cut(s string, columns int) string {
	if r := []rune(s); len(r) > columns && columns > 0 {
		return string(r[:columns-1]) + "…"
	}
	return s
}

package progress

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDraw(t *testing.T) {
	for _, c := range []struct {
		what    string
		state   State
		columns int
		want    string
	}{
		{"nothing yet", State{What: "a.iso", Total: 100 << 20}, 100, "a.iso   0% |                              | 0 B of 100 MiB"},
		{"half", State{What: "a.iso", Done: 50 << 20, Total: 100 << 20, Rate: 25 << 20, Detail: "slowest: p1"}, 100, "a.iso  50% |███████████████               | 50.0 MiB of 100 MiB, 25.0 MiB/s, 2s left\nslowest: p1"},
		{"all", State{What: "a.iso", Done: 100 << 20, Total: 100 << 20}, 100, "a.iso 100% |██████████████████████████████| 100 MiB of 100 MiB"},
		{"more than all", State{What: "a", Done: 101, Total: 100}, 100, "a 100% |██████████████████████████████| 101 B of 100 B"},
		{"empty file", State{What: "a"}, 100, "a   0% |                              | 0 B of 0 B"},
		{"narrow", State{What: "a.iso", Total: 100 << 20, Detail: "0123456789012345"}, 12, "a.iso   0% …\n01234567890…"},
	} {
		t.Run(c.what, func(t *testing.T) {
			var out bytes.Buffer
			b := &Bar{out: &out, columns: func() int { return c.columns + 1 }}
			b.Draw(c.state)
			got := strings.TrimSpace(strings.NewReplacer("\r", "", "\x1b[K", "", "\x1b[A", "").Replace(out.String()))
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			out.Reset()
			b.Clear()
			if out.String() != "\r\x1b[K\n\x1b[K\x1b[A\r" {
				t.Errorf("cleared by %q", out.String())
			}
			out.Reset()
			b.Clear()
			if out.Len() != 0 {
				t.Error("cleared twice")
			}
		})
	}
}

func TestOnlyOnTerminals(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "not a terminal"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := OnTerminal(f)
	b.Draw(State{What: "a"})
	b.Clear()
	if info, err := f.Stat(); b != nil || err != nil || info.Size() != 0 {
		t.Error("drawn into a file")
	}
}

package patience_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"fanout/internal/proving/patience"
)

// A test that hangs says what it waited for, and shows all goroutines and what it was asked to.
func TestHang(t *testing.T) {
	const hang = "PATIENCE_HANG"
	switch os.Getenv(hang) {
	case "await":
		patience.OnHang(t, func() { os.Stderr.WriteString("what to show\n") })
		patience.Await(t, "Godot", func() bool { return false })
	case "deaf":
		patience.OnHang(t, func() { os.Stderr.WriteString("what to show\n") })
		select {}
	}
	for kind, want := range map[string]string{"await": "waited in vain for Godot", "deaf": "panic: test timed out"} {
		t.Run(kind, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestHang$", "-test.timeout=2s")
			cmd.Env = append(os.Environ(), hang+"="+kind)
			out, err := cmd.CombinedOutput()
			for _, text := range []string{want, "--- TestHang hangs\n", "patience_test.TestHang(", "what to show\n"} {
				if err == nil || !strings.Contains(string(out), text) {
					t.Errorf("%v, no %q in\n%s", err, text, out)
				}
			}
		})
	}
}

func TestAwait(t *testing.T) {
	looks := 0
	patience.Await(t, "the third look", func() bool { looks++; return looks == 3 })
	if looks != 3 {
		t.Errorf("%d looks", looks)
	}
}

// Without a deadline there is none; with one, something of the time is left.
func TestDeadline(t *testing.T) {
	end, limited := t.Deadline()
	if got := patience.Deadline(t); limited == got.IsZero() || limited && (!got.Before(end) || time.Until(got) < time.Until(end)/2) {
		t.Errorf("gives up at %v of %v", got, end)
	}
	if got := patience.Deadline(forever{t}); !got.IsZero() {
		t.Errorf("gives up at %v, although nothing ends it", got)
	}
}

// forever is a test that nothing ends, as with go test -timeout 0.
type forever struct{ testing.TB }

func (forever) Deadline() (time.Time, bool) { return time.Time{}, false }

package fleettest

import (
	"bytes"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

// Of a daemon in a test that hangs it is shown what its goroutines do.
func TestDump(t *testing.T) {
	f := New(t, Plain)
	tracker := f.Tracker()
	Start(t, tracker)
	var shown bytes.Buffer
	dump(&shown, f)
	for _, want := range []string{"--- log of tracker:\n", "goroutine 1 ", "main.main()"} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("no %q in\n%s", want, &shown)
		}
	}
	if tracker.Running() {
		t.Error("it goes on running")
	}
}

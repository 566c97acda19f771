//go:build linux

package fleet_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
	"fanout/internal/proving/patience"
)

// A process that dies without Close takes its daemons with it.
func TestDaemonsDieWithTheirStarter(t *testing.T) {
	const dir, binary = "FLEET_TEST_DIR", "FLEET_TEST_TRACKER"
	if os.Getenv(dir) != "" { // the starter, which dies
		b := os.Getenv(binary)
		f, err := fleet.New(fleet.Config{Dir: os.Getenv(dir), Binaries: fleet.Binaries{Tracker: b, Origin: b, Peerd: b}})
		if err != nil {
			t.Fatal(err)
		}
		tracker := f.Tracker()
		fleettest.Start(t, tracker)
		fmt.Println("PID", tracker.PID())
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	starter := exec.Command(os.Args[0], "-test.run=^TestDaemonsDieWithTheirStarter$")
	starter.Env = append(os.Environ(), dir+"="+t.TempDir(), binary+"="+fleettest.Binaries(t, fleettest.Plain).Tracker)
	var out bytes.Buffer
	starter.Stdout = &out
	starter.Run() // it was killed, as planned
	_, text, _ := strings.Cut(out.String(), "PID ")
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatalf("the starter printed %q", out.String())
	}
	patience.Await(t, fmt.Sprintf("tracker %d to end, whose starter was killed", pid), func() bool { return !running(pid) })
}

// running is false for a zombie, which nobody may be there to reap.
func running(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(data), ") Z ")
}

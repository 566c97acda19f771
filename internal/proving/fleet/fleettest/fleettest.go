// Package fleettest gives tests fleets of real daemons: it builds the binaries once a test
// run, stops what a test started, and shows the daemons' logs when a test fails.
//
//	func TestMain(m *testing.M) { fleettest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		f := fleettest.New(t, fleettest.Race)
//		tracker := f.Tracker()
//		fleettest.Start(t, tracker)
//		…
//	}
package fleettest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fanout/internal/proving/fleet"
	"fanout/internal/proving/patience"
)

// Build is how the daemons are compiled.
type Build int

const (
	// Plain is as they are shipped: for what is measured, time and memory.
	Plain Build = iota
	// Race has the race detector, whose findings fail the test. About ten times slower.
	Race
)

const (
	// logShown is how much of each daemon's log a failed test shows, bytes.
	logShown = 4000
	// dumpShown is how much of it a test shows that hangs: the goroutines are in it.
	dumpShown = 64 << 10
	// unlimited is for what the context of the test bounds, or what OnHang shows.
	unlimited = 24 * time.Hour
)

// As `make build` does it, for then the build cache has the most of it.
const plainEnv, plainFlag = "CGO_ENABLED=0", "-trimpath"

// ready names a directory with binaries that are built already, in plain/ and race/, so
// that `make test` need not link them once more for every package.
const ready = "FLEETTEST_BINARIES"

// built is where the binaries of this test run are; Main sets it.
var built struct {
	dir         func() (string, error)
	plain, race func() (fleet.Binaries, error)
}

// Main runs the tests of a package, and removes the binaries after.
func Main(m *testing.M) {
	var made string
	built.dir = sync.OnceValues(func() (dir string, err error) {
		made, err = os.MkdirTemp("", "fanout-binaries-")
		return made, err
	})
	built.plain = sync.OnceValues(func() (fleet.Binaries, error) { return compile("plain", plainEnv, plainFlag) })
	built.race = sync.OnceValues(func() (fleet.Binaries, error) { return compile("race", "CGO_ENABLED=1", "-race") })
	code := m.Run()
	if made != "" {
		os.RemoveAll(made)
	}
	os.Exit(code)
}

func compile(name, env, flag string) (fleet.Binaries, error) {
	if dir := os.Getenv(ready); dir != "" {
		return fleet.In(filepath.Join(dir, name)), nil
	}
	dir, err := built.dir()
	if err != nil {
		return fleet.Binaries{}, err
	}
	dir = filepath.Join(dir, name)
	return fleet.In(dir), goBuild("", dir, env, flag, "fanout/tracker", "fanout/origin", "fanout/peerd")
}

// goBuild builds packages, as they are named in a directory of a module; an empty one is the test's own.
func goBuild(in, dir, env, flag string, packages ...string) error {
	build := exec.Command("go", append([]string{"build", "-buildvcs=false", flag, "-o", dir + string(filepath.Separator)}, packages...)...)
	build.Dir, build.Env = in, append(os.Environ(), env)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", env, build, err, out)
	}
	return nil
}

// Binaries builds the daemons, unless that is done.
func Binaries(t testing.TB, b Build) fleet.Binaries {
	t.Helper()
	if built.dir == nil {
		t.Fatal("fleettest: call fleettest.Main from TestMain")
	}
	build := built.plain
	if b == Race {
		build = built.race
	}
	binaries, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return binaries
}

// Program builds a further command of this module, such as fanout/internal/proving/liar, and returns
// its path.
func Program(t testing.TB, pkg string) string {
	t.Helper()
	if built.dir == nil {
		t.Fatal("fleettest: call fleettest.Main from TestMain")
	}
	dir, err := built.dir()
	if err == nil {
		dir = filepath.Join(dir, "plain")
		err = goBuild("", dir, plainEnv, plainFlag, pkg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, filepath.Base(pkg))
}

// New makes a fleet in a temporary directory. It is closed when the test ends; a daemon that
// does not stop in order, or had a data race, fails the test.
func New(t testing.TB, b Build) *fleet.Fleet {
	t.Helper()
	f, err := fleet.New(fleet.Config{
		Dir: t.TempDir(), Binaries: Binaries(t, b), LogLevel: "debug", Env: environment(b),
		ReadyTimeout: unlimited, StopTimeout: unlimited,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, f) })
	patience.OnHang(t, func() { dump(os.Stderr, f) })
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// environment spares the second that a program with the race detector sleeps before it ends,
// for findings of goroutines that are still running: ours have ended by then.
func environment(b Build) []string {
	if b == Race {
		return []string{"GORACE=atexit_sleep_ms=20"}
	}
	return nil
}

// dump shows what the daemons of a test that hangs are doing, and ends them. It does not wait
// for the test to fail: it may hang where it never does.
func dump(to io.Writer, f *fleet.Fleet) {
	for _, d := range f.Daemons() {
		if d.Running() {
			d.Abort()
			log := d.Log()
			fmt.Fprintf(to, "--- log of %s:\n%s\n", d.Name(), log[max(0, len(log)-dumpShown):])
		}
	}
}

func check(t testing.TB, f *fleet.Fleet) {
	for _, d := range f.Daemons() {
		log := d.Log()
		if strings.Contains(log, "WARNING: DATA RACE") {
			t.Errorf("%s had a data race:\n%s", d.Name(), log[strings.Index(log, "WARNING: DATA RACE"):])
		}
	}
	if !t.Failed() {
		return
	}
	for _, d := range f.Daemons() {
		log := d.Log()
		t.Logf("--- log of %s:\n%s", d.Name(), log[max(0, len(log)-logShown):])
	}
}

// Starter is a daemon.
type Starter interface {
	Start(context.Context) error
}

// Start starts daemons, one after the other.
func Start(t testing.TB, daemons ...Starter) {
	t.Helper()
	ctx := patience.Context(t)
	for _, d := range daemons {
		if err := d.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// File writes so many incompressible bytes, the same for the same seed, and returns the path.
func File(t testing.TB, dir, name string, size int64, seed uint64) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := fleet.WriteRandom(path, size, seed); err != nil {
		t.Fatal(err)
	}
	return path
}

// Same fails the test unless two files have the same bytes.
func Same(t testing.TB, got, want string) {
	t.Helper()
	if err := fleet.Compare(got, want); err != nil {
		t.Error(err)
	}
}

// Command is exec.CommandContext of a process that dies with the test's, also when that runs
// out of time.
func Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = fleet.ProcessAttributes()
	return cmd
}

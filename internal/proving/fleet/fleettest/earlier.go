package fleettest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fanout/internal/proving/fleet"
)

// Earlier builds the daemons as they were at a commit. It skips the test where git does not have
// that: in a shallow clone, or an unpacked archive.
func Earlier(t testing.TB, commit string) fleet.Binaries {
	t.Helper()
	dir := t.TempDir()
	archive := filepath.Join(dir, "source.tar")
	top, err := Command(t.Context(), "git", "rev-parse", "--show-toplevel").Output() // archive is of the directory it runs in
	if err == nil {
		err = Command(t.Context(), "git", "-C", strings.TrimSpace(string(top)), "archive", "--output", archive, commit).Run()
	}
	if err != nil {
		t.Skipf("git does not have commit %s here, whose daemons this is about: %v", commit, err)
	}
	source, binaries := filepath.Join(dir, "source"), filepath.Join(dir, "bin")
	if err := os.Mkdir(source, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := Command(t.Context(), "tar", "-xf", archive, "-C", source).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v\n%s", commit, err, out)
	}
	if err := goBuild(source, binaries, plainEnv, plainFlag, "./tracker", "./origin", "./peerd"); err != nil {
		t.Fatal(err)
	}
	return fleet.In(binaries)
}

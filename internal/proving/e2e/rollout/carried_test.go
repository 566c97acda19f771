package rollout

import (
	"os"
	"strings"
	"testing"

	"fanout/internal/proving/fleet/fleettest"
)

// What of a file is carried is what --help says: the bytes, not the mode. A link is followed.
func TestCarried(t *testing.T) {
	r := start(t)
	peers := r.followers(1)
	source := fleettest.File(t, r.Dir(), "tool", mib, 1)
	if err := os.Chmod(source, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(source, source+".link"); err != nil {
		t.Fatal(err)
	}
	r.push(source, source+".link").ends(0, "")
	for _, name := range []string{"tool", "tool.link"} {
		copied := peers[0].Path(name)
		fleettest.Same(t, copied, source)
		if info, err := os.Lstat(copied); err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 != 0 {
			t.Errorf("%s: %v, %v: README.md, docs/operations.md and --help say otherwise", name, info.Mode(), err)
		}
	}
	for _, c := range [][]string{
		{r.binaries.Origin, "push"}, {r.binaries.Origin, "serve"}, {r.binaries.Peerd, "get"}, {r.binaries.Peerd, "serve"},
	} {
		out, err := fleettest.Command(r.ctx, c[0], c[1], "--help").Output()
		if text := strings.Join(strings.Fields(string(out)), " "); err != nil || !strings.Contains(text, "chmod +x") {
			t.Errorf("%v --help does not say that modes are not carried: %v\n%s", c, err, out)
		}
	}
}

package readmetest

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"fanout/internal/proving/fleet/fleettest"
)

func TestMain(m *testing.M) { fleettest.Main(m) }

// Every flag of every daemon is in the README's tables.
func TestFlags(t *testing.T) {
	page, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, flags, _ := strings.Cut(string(page), "## Flags")
	_, common, _ := strings.Cut(flags, "| all |")
	b := fleettest.Binaries(t, fleettest.Plain)
	flag := regexp.MustCompile(`(?m)^ +(--[a-z-]+)`)
	for name, binary := range map[string]string{"tracker": b.Tracker, "origin": b.Origin, "peerd": b.Peerd} {
		out, err := exec.Command(binary, "--help").Output()
		if err != nil {
			t.Fatalf("%s --help: %v", name, err)
		}
		_, own, _ := strings.Cut(flags, "| `"+name)
		own, _, _ = strings.Cut(own, "\n\n")
		for _, f := range flag.FindAllStringSubmatch(string(out), -1) {
			if !regexp.MustCompile("`" + f[1] + "[ `]").MatchString(own + common) {
				t.Errorf("README.md has no row for %s %s", name, f[1])
			}
		}
	}
}

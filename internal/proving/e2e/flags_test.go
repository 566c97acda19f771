package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fanout/internal/proving/fleet/fleettest"
)

// variables are those that the help of a program names.
func (r *rig) variables(binary string, commands ...string) (names []string) {
	r.t.Helper()
	for _, c := range append(commands, "") {
		out, err := fleettest.Command(r.ctx, binary, strings.Fields(c+" --help")...).Output()
		r.must(err)
		names = append(names, regexp.MustCompile(`FANOUT_[A-Z_]+`).FindAllString(string(out), -1)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// A daemon whose every variable is set, and empty, starts like one without any.
func TestEmptyVariables(t *testing.T) {
	t.Parallel()
	source := fleettest.File(t, t.TempDir(), "image.bin", mib, 1)
	r := start(t, plan{build: fleettest.Race, files: []string{source}})
	bin := fleettest.Binaries(t, fleettest.Race)
	const free = "127.0.0.1:0"
	target := t.TempDir()
	empty := func(value, binary string, args ...string) *exec.Cmd {
		cmd := fleettest.Command(r.ctx, binary, args...)
		cmd.Env = os.Environ()
		names := r.variables(binary, map[string][]string{bin.Origin: {"push"}, bin.Peerd: {"get"}}[binary]...)
		if len(names) < 3 {
			t.Fatalf("%s --help names only %q", binary, names)
		}
		for _, name := range names {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		return cmd
	}
	for _, value := range []string{"", " "} {
		get := empty(value, bin.Peerd, "get", "image.bin", "--tracker", r.tracker.URL(), "-o", filepath.Join(target, "copy"+value))
		if out, err := get.CombinedOutput(); err != nil {
			t.Errorf("get with variables %q: %v: %s", value, err, out)
		}
	}
	r.run(empty("", bin.Peerd, "--tracker", r.tracker.URL(), "--data-dir", t.TempDir(), "--id", "empty", "--listen", free, "--http", free))
	r.eventually("the peer is registered", func() bool {
		list, err := r.tracker.API().ListPeersWithResponse(r.ctx)
		r.must(err)
		return len(list.JSON200.Peers) > 0
	})
	r.run(empty("", bin.Origin, "--tracker", r.tracker.URL(), "--id", "empty", "--listen", free, "--http", free, source))
	r.eventually("the origin has published", func() bool {
		file, err := r.tracker.API().GetFileWithResponse(r.ctx, "image.bin")
		r.must(err)
		return len(file.JSON200.Origins) == 2
	})
}

// A path that is not UTF-8 is kept as it is, or refused by name: no other one is made.
func TestPathsThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	odd := filepath.Join(dir, "caf\xe9")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Skip("the file system takes UTF-8 only:", err)
	}
	source := fleettest.File(t, dir, "image.bin", mib, 1)
	below := fleettest.File(t, odd, "below.bin", mib, 2)
	named := fleettest.File(t, dir, "caf\xe9.bin", mib, 3)
	// The origin publishes what lies in such a directory; the tracker keeps its data there.
	r := start(t, plan{build: fleettest.Race, files: []string{source, below}, tracker: []string{"--data-dir", filepath.Join(odd, "tracker")}})
	if _, err := os.Stat(filepath.Join(odd, "tracker", "tracker.db")); err != nil {
		t.Error(err)
	}
	before := entries(t, dir)
	bin := fleettest.Binaries(t, fleettest.Race)
	at := []string{"--tracker", r.tracker.URL(), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}
	for what, c := range map[string]struct {
		binary, dir string
		env         []string
		args        []string
		says        []string
	}{
		"origin":              {bin.Origin, "", nil, append(at, named), []string{`"caf\xe9.bin"`, "UTF-8"}},
		"push":                {bin.Origin, "", nil, append(append([]string{"push"}, at...), named), []string{`"caf\xe9.bin"`, "UTF-8"}},
		"peerd":               {bin.Peerd, "", nil, append(at, "--data-dir", odd+"x"), []string{"--data-dir", `caf\xe9x"`}},
		"peerd, a variable":   {bin.Peerd, "", []string{"FANOUT_DATA_DIR=" + odd + "x"}, at, []string{"--data-dir", `caf\xe9x"`}},
		"peerd, where it is":  {bin.Peerd, odd, nil, append(at, "--data-dir", "x"), []string{"--data-dir", `caf\xe9/x"`}},
		"get":                 {bin.Peerd, "", nil, append([]string{"get", "image.bin", "-o", odd + ".bin"}, at...), []string{"--output", `caf\xe9.bin"`}},
		"get, into it":        {bin.Peerd, "", nil, append([]string{"get", "image.bin", "--output=" + odd + "/"}, at...), []string{"--output", `caf\xe9/"`}},
		"get, where it is":    {bin.Peerd, odd, nil, append([]string{"get", "image.bin"}, at...), []string{"--output", `caf\xe9/image.bin"`}},
		"an ID":               {bin.Peerd, "", nil, append(at, "--data-dir", filepath.Join(dir, "x"), "--id", "caf\xe9"), []string{"--id", `caf\xe9"`}},
		"a file to ask for":   {bin.Peerd, "", nil, append([]string{"get", "caf\xe9"}, at...), []string{`"caf\xe9"`}},
		"peers that are none": {bin.Origin, "", nil, append([]string{"push", source, "--peers", "caf\xe9"}, at...), []string{"--peers", `caf\xe9"`}},
	} {
		t.Run(what, func(t *testing.T) {
			cmd := fleettest.Command(r.ctx, c.binary, c.args...)
			cmd.Env, cmd.Dir = append(os.Environ(), c.env...), c.dir
			out, err := cmd.CombinedOutput()
			if err == nil || strings.Count(string(out), "\n") != 1 {
				t.Errorf("%v: %s", err, out)
			}
			for _, s := range c.says {
				if !strings.Contains(string(out), s) {
					t.Errorf("it does not name %s: %s", s, out)
				}
			}
		})
	}
	if after := entries(t, dir); !slices.Equal(before, after) {
		t.Errorf("in the directory were %q, are %q", before, after)
	}
}

// entries are the paths below a directory.
func entries(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

package readmetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// refuses is what git does in another user's clone.
const refuses = "#!/bin/sh\necho 'fatal: detected dubious ownership in repository' >&2\nexit 128\n"

// downloading is what the go command says of modules that are not in its cache yet, github's among them.
var downloading = regexp.MustCompile(`(?m)^go: downloading .*\n`)

// Make does its work, and says nothing of git, where git does not answer: it refuses another user's
// clone, an unpacked archive is none, and not every machine has it.
func TestMakeWithoutGit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		clone bool   // there is a .git, so the go command asks git, too
		git   string // script in its place; none if empty
	}{
		"refuses":  {true, refuses},
		"archive":  {false, "#!/bin/sh\necho 'fatal: not a git repository' >&2\nexit 128\n"},
		"no git":   {true, ""},
		"no clone": {false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := sources(t)
			if c.clone {
				must(t, os.Mkdir(filepath.Join(dir, ".git"), 0o755))
			}
			make := makeIn(t, dir, c.git, "help", "build", "fmt", "gen-check")
			var stderr strings.Builder
			make.Stderr = &stderr
			out, err := make.Output()
			said := downloading.ReplaceAllString(stderr.String(), "")
			if err != nil || strings.Contains(said, "git") || strings.Contains(said, "fatal") {
				t.Fatalf("make: %v\n%s%s", err, out, said)
			}
			version, err := exec.Command(filepath.Join(dir, "bin/tracker"), "version").CombinedOutput()
			if want := "tracker devel (revision unknown, "; err != nil || !strings.HasPrefix(string(version), want) {
				t.Errorf("tracker version: %s %v, want %s…", version, err, want)
			}
		})
	}
}

// What does not compile is shown there, too, and not only that it does not.
func TestMakeShowsWhatDoesNotCompile(t *testing.T) {
	t.Parallel()
	dir := sources(t)
	must(t, os.WriteFile(filepath.Join(dir, "tracker/wrong.go"), []byte("package main\n\nvar wrong int = \"text\"\n"), 0o644))
	must(t, os.Mkdir(filepath.Join(dir, ".git"), 0o755))
	if out, err := makeIn(t, dir, refuses, "build").CombinedOutput(); err == nil || !strings.Contains(string(out), "tracker/wrong.go:3:") {
		t.Errorf("make build: %v\n%s", err, out)
	}
}

// makeIn is make where git is a script, or none.
func makeIn(t *testing.T, dir, git string, targets ...string) *exec.Cmd {
	t.Helper()
	tools := t.TempDir()
	for _, tool := range []string{"sh", "make", "go", "gofmt", "find", "sort", "uniq", "cut", "cksum", "sed", "expand"} {
		path, err := exec.LookPath(tool)
		must(t, err)
		must(t, os.Symlink(path, filepath.Join(tools, tool)))
	}
	if git != "" {
		must(t, os.WriteFile(filepath.Join(tools, "git"), []byte(git), 0o755))
	}
	make := exec.Command("make", targets...)
	make.Dir = dir
	make.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "GOFLAGS=") // of a make around the tests
	}), "PATH="+tools)
	return make
}

// sources is a copy of this module, without git's directory and without products.
func sources(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	tar := exec.Command("sh", "-c", `tar -cf - --exclude=./.git --exclude=./bin --exclude=./sweeps --exclude=./.venv . | tar -xf - -C "$1"`, "sh", dir)
	tar.Dir = "../../.."
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

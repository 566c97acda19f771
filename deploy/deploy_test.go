// Package deploy has no code: its tests hold the Dockerfile, docker-compose.yml, the units and
// manifests of this directory and docs/operations.md against the real binaries' --help and
// against the repository. No container engine is needed.
package deploy

import (
	"debug/elf"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// repo is the root of the repository.
const repo = ".."

var daemons = []string{"tracker", "origin", "peerd"}

// program is what the help of a daemon's command says.
type program struct {
	path     string
	usage    string            // the first line, which shows required flags
	flags    map[string]string // --listen -> the rest of its paragraph
	commands []string          // besides serve
}

var programs map[string]*program

// TestMain builds the binaries as the Dockerfile does, so that they are what the images hold.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fanout-deploy-")
	if err == nil {
		programs, err = build(dir)
	}
	code := 1
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func build(dir string) (map[string]*program, error) {
	cmd := exec.Command("sh", "-c", strings.Replace(buildCommand(), "/out/", dir+"/", 1))
	cmd.Dir = repo
	cmd.Env = append(os.Environ(), "VERSION=v1.2.3", "REVISION=test")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	all := map[string]*program{}
	for _, name := range daemons {
		p, err := help(filepath.Join(dir, name), "serve")
		if err != nil {
			return nil, err
		}
		all[name] = p
	}
	return all, nil
}

var (
	flagLine    = regexp.MustCompile(`(?m)^  (?:-\w, |    )(--[a-z0-9-]+)`)
	commandLine = regexp.MustCompile(`(?m)^  ([a-z]+)`)
)

// help reads the help of a command, and of the program for its other commands.
func help(path, command string) (*program, error) {
	out, err := exec.Command(path, command, "--help").Output()
	if err != nil {
		return nil, err
	}
	p := &program{path: path, flags: map[string]string{}}
	text := string(out)
	p.usage, _, _ = strings.Cut(text, "\n")
	at := flagLine.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		p.flags[text[m[2]:m[3]]] = strings.Join(strings.Fields(text[m[3]:end]), " ")
	}
	all, err := exec.Command(path, "--help").Output()
	if err != nil {
		return nil, err
	}
	_, others, _ := strings.Cut(string(all), "Other commands:")
	for _, m := range commandLine.FindAllStringSubmatch(others, -1) {
		p.commands = append(p.commands, m[1])
	}
	return p, nil
}

// variables are the environment twins of the flags.
func (p *program) variables() map[string]string {
	all := map[string]string{}
	for flag, text := range p.flags {
		if m := regexp.MustCompile(`\(\$(FANOUT_\w+)\)`).FindStringSubmatch(text); m != nil {
			all[m[1]] = flag
		}
	}
	return all
}

// check fails for what a command line of `serve` or the environment has wrong, and returns
// the flags' values, those of the environment included.
func (p *program) check(t *testing.T, who string, args []string, env map[string]string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for name, value := range env {
		flag, ok := p.variables()[name]
		if !ok && strings.HasPrefix(name, "FANOUT_") {
			t.Errorf("%s: %s is no variable of %s", who, name, filepath.Base(p.path))
		}
		got[flag] = value
	}
	for i, a := range args {
		flag, value, _ := strings.Cut(a, "=")
		switch {
		case i == 0 && a != "serve":
			t.Errorf("%s: the command is %q", who, a)
		case strings.HasPrefix(a, "--"):
			if _, ok := p.flags[flag]; !ok {
				t.Errorf("%s: %s has no flag %s", who, filepath.Base(p.path), flag)
			}
			got[flag] = value
		case i > 0:
			got["argument"] = a
		}
	}
	for flag := range p.flags {
		required := strings.Contains(p.usage, " "+flag+"=")
		if _, given := got[flag]; required && !given {
			t.Errorf("%s: %s wants %s", who, filepath.Base(p.path), flag)
		}
	}
	return got
}

// reachable says whether a daemon with these flags starts: it refuses to listen beyond
// loopback unless told to.
func reachable(flags map[string]string) bool {
	_, insecure := flags["--insecure"]
	for _, flag := range []string{"--listen", "--http"} {
		if host, _, _ := strings.Cut(flags[flag], ":"); host != "" && host != "127.0.0.1" && !insecure {
			return false
		}
	}
	return true
}

func TestVersion(t *testing.T) {
	for name, p := range programs {
		out, err := exec.Command(p.path, "version").Output()
		if want := name + " v1.2.3 (revision test, go"; err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("%s (%v): want %s...", out, err, want)
		}
	}
}

// port is that of a host:port.
func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

func TestBinariesAreStatic(t *testing.T) {
	for name, p := range programs {
		f, err := elf.Open(p.path)
		if err != nil {
			t.Fatal(err)
		}
		libraries, err := f.ImportedLibraries()
		interpreter := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
		if err != nil || len(libraries) > 0 || interpreter {
			t.Errorf("%s needs %v (%v), an interpreter: %v", name, libraries, err, interpreter)
		}
		f.Close()
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repo, path))
	if err == nil {
		err = yaml.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func exists(t *testing.T, who, path string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(repo, path)); err != nil {
		t.Errorf("%s: %v", who, err)
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

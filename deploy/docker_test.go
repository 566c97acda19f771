package deploy

import (
	"encoding/json"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// stage is one of a Dockerfile, with what it has from the stages that it is from.
type stage struct {
	base, user  string
	entrypoint  []string
	healthcheck []string
	env         map[string]string
	exposed     []string
	volumes     []string
	copies      []string // destinations
	runs        []string
	args        []string
}

// instructions are the lines of the Dockerfile, continued ones joined, without comments.
func instructions() []string {
	data, err := os.ReadFile(filepath.Join(repo, "Dockerfile"))
	if err != nil {
		panic(err)
	}
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(string(data), "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

// buildCommand is the one that makes the binaries.
func buildCommand() string {
	for _, line := range instructions() {
		if command, ok := strings.CutPrefix(line, "RUN "); ok && strings.Contains(command, "go build") {
			return command
		}
	}
	panic("the Dockerfile builds nothing")
}

func stages(t *testing.T) map[string]*stage {
	t.Helper()
	all := map[string]*stage{}
	var s *stage
	for _, line := range instructions() {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "FROM":
			base, name, _ := strings.Cut(rest, " AS ")
			s = &stage{base: base, env: map[string]string{}}
			if from := all[base]; from != nil {
				*s = stage{base: base, user: from.user, env: map[string]string{}}
			}
			all[name] = s
		case "USER":
			s.user = rest
		case "ENTRYPOINT":
			s.entrypoint = list(t, rest)
		case "HEALTHCHECK":
			_, command, _ := strings.Cut(rest, "CMD ")
			s.healthcheck = list(t, command)
		case "ENV":
			for _, pair := range strings.Fields(rest) {
				name, value, _ := strings.Cut(pair, "=")
				s.env[name] = value
			}
		case "EXPOSE":
			s.exposed = strings.Fields(rest)
		case "VOLUME":
			s.volumes = append(s.volumes, rest)
		case "COPY":
			words := strings.Fields(rest)
			s.copies = append(slices.Clone(s.copies), words[len(words)-1])
		case "ARG":
			name, _, _ := strings.Cut(rest, "=")
			s.args = append(s.args, name)
		case "RUN":
			s.runs = append(s.runs, rest)
		}
	}
	return all
}

// list reads the JSON form of a command, the only one that works without a shell.
func list(t *testing.T, text string) (words []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &words); err != nil {
		t.Errorf("Dockerfile: %s: not a JSON list: %v", text, err)
	}
	return words
}

func TestDockerfile(t *testing.T) {
	all := stages(t)
	for _, name := range daemons {
		s, p := all[name], programs[name]
		if s == nil {
			t.Fatalf("no stage %s", name)
		}
		if all["base"].base != "scratch" || s.base != "base" || len(s.runs) > 0 {
			t.Errorf("%s: from %s, runs %v: want nothing but the binary", name, s.base, s.runs)
		}
		if !regexp.MustCompile(`^[1-9]\d+:[1-9]\d+$`).MatchString(s.user) {
			t.Errorf("%s: runs as %q: want numbers that are not root's, which Kubernetes can check", name, s.user)
		}
		binary := "/usr/local/bin/" + name
		if !slices.Contains(s.copies, binary) || !slices.Equal(s.entrypoint, []string{binary}) {
			t.Errorf("%s: copies %v, entry point %v", name, s.copies, s.entrypoint)
		}
		if len(s.healthcheck) != 2 || s.healthcheck[0] != binary || !slices.Contains(p.commands, s.healthcheck[1]) {
			t.Errorf("%s: health check %v, commands %v", name, s.healthcheck, p.commands)
		}
		checkImage(t, name, s)
	}
}

// checkImage holds a stage's environment against the daemon's flags.
func checkImage(t *testing.T, name string, s *stage) {
	t.Helper()
	twins := programs[name].variables()
	var ports []string
	for variable, value := range s.env {
		flag, ok := twins[variable]
		switch {
		case !ok:
			t.Errorf("%s: %s is no variable of it", name, variable)
		case flag == "--insecure":
			t.Errorf("%s: an image must not decide that a network is trusted", name)
		case flag == "--data-dir" && (!slices.Contains(s.volumes, value) || !slices.Contains(s.copies, value)):
			t.Errorf("%s: data in %s, volumes %v, copies %v", name, value, s.volumes, s.copies)
		case flag == "--listen" || flag == "--http":
			ports = append(ports, port(value))
			if usual := programs[name].flags[flag]; !strings.Contains(usual, ":"+port(value)) {
				t.Errorf("%s: %s=%s, usual is %s", name, variable, value, usual)
			}
		}
	}
	if slices.Sort(ports); !slices.Equal(ports, slices.Sorted(slices.Values(s.exposed))) {
		t.Errorf("%s: listens on %v, exposes %v", name, ports, s.exposed)
	}
}

// An image of Go does not fetch a newer Go, and with an older one go.mod refuses.
func TestDockerfileHasTheGoOfGoMod(t *testing.T) {
	_, got, _ := strings.Cut(stages(t)["build"].base, ":")
	mod, err := os.ReadFile(filepath.Join(repo, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(string(mod))[1]
	if version.Compare("go"+got, "go"+want) < 0 {
		t.Errorf("Dockerfile: FROM golang:%s, which may be older than %s, go.mod's", got, want)
	}
}

// The file to distribute may lie in the build context: what is sent is a list of what a build
// needs, and that is all there.
func TestDockerignore(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(repo, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	var wanted, ignored []string
	for line := range strings.Lines(string(data)) {
		switch line = strings.TrimSpace(line); {
		case line == "" || line[0] == '#' || line == "*":
		case line[0] == '!':
			wanted = append(wanted, line[1:])
			exists(t, ".dockerignore", line[1:])
		default:
			ignored = append(ignored, strings.TrimPrefix(line, "**/"))
		}
	}
	if !regexp.MustCompile(`(?m)\A(#.*\n)*\*$`).Match(data) {
		t.Error(".dockerignore does not begin with *, and so lets new files in")
	}
	sent := func(path string) bool {
		return slices.ContainsFunc(wanted, func(w string) bool { return path == w || strings.HasPrefix(path, w+"/") }) &&
			!slices.ContainsFunc(ignored, func(pattern string) bool {
				ok, _ := filepath.Match(pattern, filepath.Base(path))
				return ok
			})
	}
	for _, path := range append(sources(t), "go.mod", "go.sum") {
		if !sent(path) {
			t.Errorf(".dockerignore keeps %s away from the build", path)
		}
	}
	for _, path := range []string{"image.iso", "big.tar.part", ".git/HEAD", "bin/peerd", "tracker/main_test.go", "docs/operations.md", "internal/proving/e2e/x.part"} {
		if sent(path) {
			t.Errorf(".dockerignore sends %s", path)
		}
	}
}

// sources are the files of this module that the binaries are made of.
func sources(t *testing.T) (paths []string) {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f",
		`{{$d := .Dir}}{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`,
		"./tracker", "./origin", "./peerd")
	cmd.Dir = repo
	out, err := cmd.Output()
	root, err2 := filepath.Abs(repo)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	for _, path := range strings.Fields(string(out)) {
		paths = append(paths, strings.TrimPrefix(path, root+"/"))
	}
	if len(paths) < 50 {
		t.Fatalf("only %d source files", len(paths))
	}
	return paths
}

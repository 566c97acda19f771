package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// compose is docker-compose.yml.
type compose struct {
	Services map[string]*service
	Volumes  map[string]any
	Networks map[string]any
	Secrets  map[string]struct{ File string }
}

type service struct {
	Image string
	Build struct {
		Context, Target string
		Args            map[string]string
	}
	Deploy      struct{ Replicas int }
	Command     []string
	Environment map[string]string
	Ports       []string
	Volumes     []string
	Networks    []string
	DependsOn   any      `yaml:"depends_on"`
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	Healthcheck struct {
		Test     []string
		Interval string
	}
	Restart string
	Secrets []string
}

func readCompose(t *testing.T) (c compose) {
	t.Helper()
	readYAML(t, "docker-compose.yml", &c)
	return c
}

// role is the daemon whose image a service runs, if it is one of ours.
func (s *service) role() string {
	role, ours := strings.CutPrefix(s.Image, "fanout-")
	if !ours {
		return ""
	}
	return role
}

func TestCompose(t *testing.T) {
	c, images, published := readCompose(t), stages(t), map[int]string{}
	services, built := map[string]int{}, map[string]int{}
	for _, name := range sortedKeys(c.Services) {
		s := c.Services[name]
		checkCommon(t, c, name, s, published)
		if s.Build.Context != "" {
			built[s.Build.Target]++
			checkBuild(t, name, s, images["build"].args)
		}
		switch {
		case s.role() == "":
			if tag := s.Image[strings.LastIndexByte(s.Image, ':')+1:]; !regexp.MustCompile(`^v?\d+\.\d+\.\d+$`).MatchString(tag) {
				t.Errorf("%s: image %s: give the version", name, s.Image)
			}
		case s.Command[0] == "serve":
			services[s.role()]++
			checkDaemon(t, c, name, s, images[s.role()])
		}
	}
	for _, role := range daemons {
		if services[role] != 1 || built[role] != 1 {
			t.Errorf("%s: %d services, built %d times: want one, so that it can be scaled and nothing is recreated", role, services[role], built[role])
		}
	}
}

// checkBuild looks at how an image comes about.
func checkBuild(t *testing.T, name string, s *service, args []string) {
	t.Helper()
	exists(t, name, filepath.Join(s.Build.Context, "Dockerfile"))
	if s.role() != s.Build.Target {
		t.Errorf("%s: image %s of target %s", name, s.Image, s.Build.Target)
	}
	if got := sortedKeys(s.Build.Args); !slices.Equal(got, slices.Sorted(slices.Values(args))) {
		t.Errorf("%s: build arguments %v, the Dockerfile has %v", name, got, args)
	}
}

// Peers come in any number: each has a volume and a port of its own.
func TestComposePeers(t *testing.T) {
	c := readCompose(t)
	s := c.Services["peer"]
	if s == nil {
		t.Fatal("no service peer")
	}
	if s.Deploy.Replicas != 4 || !slices.Equal(s.Volumes, stages(t)["peerd"].volumes) || s.Environment["FANOUT_ID"] != "" {
		t.Errorf("%d peers that share %v, %v", s.Deploy.Replicas, s.Volumes, s.Environment)
	}
	if from, to := portRange(t, strings.Split(s.Ports[0], ":")[1]); to-from < 8-1 {
		t.Errorf("peers publish %v: no room for 8", s.Ports)
	}
	for _, name := range []string{"tracker", "peer"} {
		if d, err := time.ParseDuration(c.Services[name].Healthcheck.Interval); err != nil || d > 2*time.Second {
			t.Errorf("%s: its health is asked for every %v (%v)", name, d, err)
		}
	}
}

// A variable that one service requires would be required by down, ps and logs, too. What is
// missing is found by the service `file`, which the origin waits for.
func TestComposeWithoutVariables(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(repo, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range regexp.MustCompile(`\$\{[^}]*\}`).FindAllString(string(data), -1) {
		if !regexp.MustCompile(`^\$\{[A-Z_]+:-[^}]*\}$`).MatchString(v) {
			t.Errorf("docker-compose.yml: %s: give a default", v)
		}
	}
	c := readCompose(t)
	file, origin := c.Services["file"], c.Services["origin"]
	if file == nil {
		t.Fatal("no service file")
	}
	if file.Image != origin.Image || !slices.Equal(file.Volumes, origin.Volumes) || file.Restart != "" ||
		!slices.Equal(file.Command, []string{"check", origin.Command[len(origin.Command)-1]}) {
		t.Errorf("file does not look at what the origin serves: %+v, %+v", file, origin)
	}
	after, _ := origin.DependsOn.(map[string]any)["file"].(map[string]any)
	if after["condition"] != "service_completed_successfully" {
		t.Errorf("origin starts after file: %v", after)
	}
	if !slices.Equal(file.Secrets, []string{"file"}) || !strings.Contains(c.Secrets["file"].File, "FILE is not set") {
		t.Errorf("the engine does not name what is missing: %v, %v", file.Secrets, c.Secrets)
	}
}

// checkCommon holds for every service: hardening, and that what is named exists.
func checkCommon(t *testing.T, c compose, name string, s *service, published map[int]string) {
	t.Helper()
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("%s: not read-only, or with privileges", name)
	}
	for _, other := range dependencies(s.DependsOn) {
		if c.Services[other] == nil {
			t.Errorf("%s depends on %s, which is none", name, other)
		}
	}
	for _, n := range s.Networks {
		if _, ok := c.Networks[n]; !ok {
			t.Errorf("%s: no network %s", name, n)
		}
	}
	for _, p := range s.Ports {
		parts := strings.Split(p, ":")
		if len(parts) != 3 || parts[0] != "127.0.0.1" {
			t.Errorf("%s: publishes %s: only on the host's loopback, without authentication", name, p)
			continue
		}
		from, to := portRange(t, parts[1])
		for n := from; n <= to; n++ {
			if other := published[n]; other != "" {
				t.Errorf("%s and %s both publish %d", name, other, n)
			}
			published[n] = name
		}
	}
	for _, m := range mounts(s) {
		switch _, named := c.Volumes[m.source]; {
		case strings.HasPrefix(m.source, "./"):
			exists(t, name, m.source)
		case m.source != "" && m.source != "${DIR:-.}" && !named:
			t.Errorf("%s: mounts %s, which is no volume", name, m.source)
		}
	}
}

// portRange reads 2695 and 2695-2726.
func portRange(t *testing.T, text string) (from, to int) {
	t.Helper()
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	if err1 != nil || err2 != nil || from > to {
		t.Errorf("ports %q", text)
	}
	return from, to
}

func dependencies(v any) (names []string) {
	switch v := v.(type) {
	case map[string]any:
		return sortedKeys(v)
	case []any:
		for _, n := range v {
			names = append(names, n.(string))
		}
	}
	return names
}

type mount struct {
	source, target string
	readOnly       bool
}

var mountPattern = regexp.MustCompile(`^(\$\{[^}]*\}|[^:]+):([^:]+)(:ro)?$`)

func mounts(s *service) (all []mount) {
	for _, v := range s.Volumes {
		if !strings.Contains(v, ":") { // a volume without a name
			all = append(all, mount{target: v})
			continue
		}
		m := mountPattern.FindStringSubmatch(v)
		all = append(all, mount{m[1], m[2], m[3] != ""})
	}
	return all
}

// checkDaemon holds a service of ours against the program that it runs.
func checkDaemon(t *testing.T, c compose, name string, s *service, image *stage) {
	t.Helper()
	env := map[string]string{}
	for _, e := range []map[string]string{image.env, s.Environment} {
		for k, v := range e {
			env[k] = v
		}
	}
	flags := programs[s.role()].check(t, name, s.Command, env)
	if !reachable(flags) {
		t.Errorf("%s: listens beyond loopback without --insecure, and so does not start", name)
	}
	if url := flags["--tracker"]; url != "" && url != "http://tracker:"+port(stages(t)["tracker"].env["FANOUT_LISTEN"]) {
		t.Errorf("%s: the tracker is at %s", name, url)
	}
	for _, p := range s.Ports {
		if inside := port(p); inside != port(flags["--http"]) && inside != port(flags["--listen"]) {
			t.Errorf("%s: publishes %s, listens on %s and %s", name, p, flags["--listen"], flags["--http"])
		}
	}
	targets := []string{}
	for _, m := range mounts(s) {
		targets = append(targets, m.target)
		if m.target == "/files" && !m.readOnly {
			t.Errorf("%s: may write to the user's files", name)
		}
	}
	if dir := flags["--data-dir"]; dir != "" && !slices.Contains(targets, dir) {
		t.Errorf("%s: keeps data in %s, mounts %v", name, dir, targets)
	}
	if file := flags["argument"]; s.role() == "origin" && !slices.Contains(targets, filepath.Dir(file[:strings.IndexByte(file, '$')]+"x")) {
		t.Errorf("%s: serves %s, mounts %v", name, file, targets)
	}
}

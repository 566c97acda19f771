package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
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

// compose is docker-compose.yml.
type compose struct {
	Services map[string]*service
	Volumes  map[string]any
	Networks map[string]any
}

type service struct {
	Image       string
	Build       struct{ Context, Target string }
	Command     []string
	Environment map[string]string
	Ports       []string
	Volumes     []string
	Networks    []string
	DependsOn   any      `yaml:"depends_on"`
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	Healthcheck struct{ Test []string }
}

func readCompose(t *testing.T) (c compose) {
	t.Helper()
	readYAML(t, "docker-compose.yml", &c)
	return c
}

func TestCompose(t *testing.T) {
	c, images, published := readCompose(t), stages(t), map[string]string{}
	roles := map[string]int{}
	for _, name := range sortedKeys(c.Services) {
		s := c.Services[name]
		checkCommon(t, c, name, s, published)
		if s.Build.Target == "" {
			if tag := s.Image[strings.LastIndexByte(s.Image, ':')+1:]; !regexp.MustCompile(`^v?\d+\.\d+\.\d+$`).MatchString(tag) {
				t.Errorf("%s: image %s: give the version", name, s.Image)
			}
			continue
		}
		roles[s.Build.Target]++
		checkDaemon(t, c, name, s, images[s.Build.Target])
	}
	if roles["tracker"] != 1 || roles["origin"] != 1 || roles["peerd"] != 4 {
		t.Errorf("services by role: %v", roles)
	}
}

// checkCommon holds for every service: hardening, and that what is named exists.
func checkCommon(t *testing.T, c compose, name string, s *service, published map[string]string) {
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
		if other := published[parts[1]]; other != "" {
			t.Errorf("%s and %s both publish %s", name, other, parts[1])
		}
		published[parts[1]] = name
	}
	for _, m := range mounts(s) {
		switch _, named := c.Volumes[m.source]; {
		case strings.HasPrefix(m.source, "./"):
			exists(t, name, m.source)
		case m.source != "${DIR:-.}" && !named:
			t.Errorf("%s: mounts %s, which is no volume", name, m.source)
		}
	}
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
		m := mountPattern.FindStringSubmatch(v)
		all = append(all, mount{m[1], m[2], m[3] != ""})
	}
	return all
}

// checkDaemon holds a service of ours against the program that it runs.
func checkDaemon(t *testing.T, c compose, name string, s *service, image *stage) {
	t.Helper()
	exists(t, name, filepath.Join(s.Build.Context, "Dockerfile"))
	env := map[string]string{}
	for _, e := range []map[string]string{image.env, s.Environment} {
		for k, v := range e {
			env[k] = v
		}
	}
	flags := programs[s.Build.Target].check(t, name, s.Command, env)
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
	if file := flags["argument"]; s.Build.Target == "origin" && !slices.Contains(targets, filepath.Dir(file[:strings.IndexByte(file, '$')]+"x")) {
		t.Errorf("%s: serves %s, mounts %v", name, file, targets)
	}
}

// The provisioning that Grafana and Prometheus are given leads to what is in the repository.
func TestProvisioning(t *testing.T) {
	c := readCompose(t)
	inRepo := func(name, path string) string { // where a container's path is in the repository
		for _, m := range mounts(c.Services[name]) {
			if rest, ok := strings.CutPrefix(path, m.target); ok && strings.HasPrefix(m.source, "./") {
				return filepath.Join(m.source, rest)
			}
		}
		t.Errorf("%s: %s is not mounted from the repository", name, path)
		return ""
	}
	var providers struct {
		Providers []struct{ Options struct{ Path string } }
	}
	readYAML(t, inRepo("grafana", "/etc/grafana/provisioning/dashboards/fanout.yml"), &providers)
	for _, p := range providers.Providers {
		if found, _ := filepath.Glob(filepath.Join(repo, inRepo("grafana", p.Options.Path), "*.json")); len(found) != 3 {
			t.Errorf("provider of %s: dashboards %v", p.Options.Path, found)
		}
	}
	exists(t, "home dashboard", inRepo("grafana", c.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]))

	var config string
	for _, a := range c.Services["prometheus"].Command {
		if path, ok := strings.CutPrefix(a, "--config.file="); ok {
			config = inRepo("prometheus", path)
		}
	}
	var prometheus struct {
		Global struct {
			ScrapeInterval string `yaml:"scrape_interval"`
		}
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			HTTP []struct{ URL string } `yaml:"http_sd_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, config, &prometheus)
	for _, pattern := range prometheus.RuleFiles {
		if found, _ := filepath.Glob(filepath.Join(repo, filepath.Dir(config), pattern)); len(found) == 0 {
			t.Errorf("%s: rule files %s: there are none", config, pattern)
		}
	}
	if url := prometheus.ScrapeConfigs[0].HTTP[0].URL; url != "http://tracker:2680/v1/sd" {
		t.Errorf("%s: service discovery at %s", config, url)
	}
	checkDatasource(t, c, inRepo("grafana", "/etc/grafana/provisioning/datasources/prometheus.yml"), prometheus.Global.ScrapeInterval)
}

func checkDatasource(t *testing.T, c compose, path, scrapeInterval string) {
	t.Helper()
	var sources struct {
		Datasources []struct {
			Type, URL string
			IsDefault bool `yaml:"isDefault"`
			JSONData  struct {
				TimeInterval string `yaml:"timeInterval"`
			} `yaml:"jsonData"`
		}
	}
	readYAML(t, path, &sources)
	s := sources.Datasources[0]
	if s.Type != "prometheus" || s.URL != "http://prometheus:"+port(c.Services["prometheus"].Ports[0]) || !s.IsDefault {
		t.Errorf("%s: %+v", path, s)
	}
	if _, err := time.ParseDuration(scrapeInterval); err != nil || s.JSONData.TimeInterval != scrapeInterval {
		t.Errorf("%s: timeInterval %s, Prometheus scrapes every %s", path, s.JSONData.TimeInterval, scrapeInterval)
	}
}

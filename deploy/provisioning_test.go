package deploy

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func number(n int) string { return strconv.Itoa(n) }

func operations(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repo, "docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// flagRow is a line of the table of flags.
var flagRow = regexp.MustCompile("(?m)^\\| `(--[a-z-]+)` \\| `(FANOUT_\\w+)` \\| ([a-z, ]+) \\|")

func TestOperationsListsEveryFlag(t *testing.T) {
	listed := map[string]bool{}
	for _, m := range flagRow.FindAllStringSubmatch(operations(t), -1) {
		flag, variable, of := m[1], m[2], strings.Split(m[3], ", ")
		if m[3] == "all" {
			of = daemons
		}
		for _, name := range daemons {
			has := programs[name].variables()[variable] == flag
			if has != slices.Contains(of, name) {
				t.Errorf("docs/operations.md: %s and %s of %s; %s has them: %v", flag, variable, m[3], name, has)
			}
		}
		listed[flag] = true
	}
	for _, name := range daemons {
		for _, flag := range sortedKeys(programs[name].flags) {
			if flag != "--help" && !listed[flag] {
				t.Errorf("docs/operations.md does not list %s of %s", flag, name)
			}
		}
	}
}

func TestOperationsKnowsThePorts(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| (\\d+) \\| (\\w+):.*\\| `(--\\w+)` \\|$")
	rows := row.FindAllStringSubmatch(operations(t), -1)
	if len(rows) != 5 {
		t.Errorf("%d ports", len(rows))
	}
	for _, m := range rows {
		if text := programs[m[2]].flags[m[3]]; !strings.Contains(text, "127.0.0.1:"+m[1]) {
			t.Errorf("docs/operations.md: port %s is %s of %s, whose help says %s", m[1], m[3], m[2], text)
		}
	}
}

func TestOperationsPointsToWhatExists(t *testing.T) {
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(operations(t), -1) {
		exists(t, "docs/operations.md", filepath.Join("docs", m[1]))
	}
	for _, m := range regexp.MustCompile("`(tracker|origin|peerd) ([a-z]+)[` ]").FindAllStringSubmatch(operations(t), -1) {
		if !slices.Contains(programs[m[1]].commands, m[2]) {
			t.Errorf("docs/operations.md: %s has no command %s", m[1], m[2])
		}
	}
}

// Every alert leads to its paragraph in the runbook, and every paragraph is of an alert.
func TestRunbook(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	readYAML(t, "deploy/prometheus/rules/fanout.yml", &rules)
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (Fanout\w+)$`).FindAllStringSubmatch(operations(t), -1) {
		anchors["docs/operations.md#"+strings.ToLower(m[1])] = true
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			a := r.Annotations
			if a["runbook_url"] != "docs/operations.md#"+strings.ToLower(r.Alert) || !anchors[a["runbook_url"]] {
				t.Errorf("alert %s: its runbook is %s, which is not there", r.Alert, a["runbook_url"])
			}
			if a["summary"] == "" || a["description"] == "" || r.Labels["severity"] != "warning" && r.Labels["severity"] != "critical" {
				t.Errorf("alert %s: no summary, description or severity", r.Alert)
			}
			delete(anchors, a["runbook_url"])
		}
	}
	if len(anchors) > 0 {
		t.Errorf("the runbook has paragraphs of alerts that are none: %v", sortedKeys(anchors))
	}
}

// promtool checks the configuration and the rules, and runs the rules' own tests.
func TestRulesByPromtool(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		if testing.Short() {
			t.Skip("promtool is not installed")
		}
		t.Fatal(err, ": install the package prometheus (scripts/setup.sh test), or test with -short")
	}
	for _, args := range [][]string{
		{"check", "config", "--lint=all", "--lint-fatal", "prometheus/prometheus.yml"},
		{"check", "rules", "--lint=all", "--lint-fatal", "prometheus/rules/fanout.yml"},
		{"test", "rules", "prometheus/tests.yml"},
	} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// Every alert has a case in the tests in which it fires, and one in which it does not.
func TestEveryAlertIsTested(t *testing.T) {
	rules, err1 := os.ReadFile("prometheus/rules/fanout.yml")
	tests, err2 := os.ReadFile("prometheus/tests.yml")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for _, m := range regexp.MustCompile(`(?m)^      - alert: (\w+)$`).FindAllStringSubmatch(string(rules), -1) {
		fires := regexp.MustCompile(`alertname: ` + m[1] + `\n\s+eval_time: \w+\n\s+exp_alerts:\n\s+- exp_labels`)
		if !fires.Match(tests) {
			t.Errorf("prometheus/tests.yml has no case in which %s fires", m[1])
		}
	}
}

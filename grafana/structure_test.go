package grafana_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fanout/grafana"
)

// dashboards reads what Grafana will read: the files, not the program that makes them.
func dashboards(t *testing.T) map[string]grafana.Dashboard {
	t.Helper()
	paths, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatal("no dashboards: ", err)
	}
	all := map[string]grafana.Dashboard{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var d grafana.Dashboard
		strict := json.NewDecoder(bytes.NewReader(data))
		strict.DisallowUnknownFields() // exported from Grafana by hand: bring it back into the Go file
		if err := strict.Decode(&d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[filepath.Base(path)] = d
	}
	return all
}

func TestDashboardsAreGenerated(t *testing.T) {
	files, err := grafana.Files()
	if err != nil {
		t.Fatal(err)
	}
	if got := dashboards(t); len(got) != len(files) {
		t.Errorf("%d dashboards, %d are generated", len(got), len(files))
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("dashboards", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("dashboards/%s is not what the program makes (%v): run go generate ./grafana", name, err)
		}
	}
}

func TestStructure(t *testing.T) {
	uids := map[string]string{}
	for name, d := range dashboards(t) {
		t.Run(name, func(t *testing.T) {
			if other := uids[d.UID]; d.UID == "" || other != "" {
				t.Errorf("uid %q, which %s has too", d.UID, other)
			}
			uids[d.UID] = name
			if d.Title == "" || d.Description == "" || len(d.Tags) == 0 {
				t.Error("no title, description or tag")
			}
			checkVariables(t, d)
			ids := map[int]bool{}
			for _, p := range d.Panels {
				if p.ID <= 0 || ids[p.ID] {
					t.Errorf("panel %q: id %d is taken, or none", p.Title, p.ID)
				}
				ids[p.ID] = true
				checkPanel(t, p)
			}
			checkGrid(t, d.Panels)
		})
	}
}

func checkVariables(t *testing.T, d grafana.Dashboard) {
	t.Helper()
	all, _ := json.Marshal(d.Panels)
	for i, v := range d.Templating.List {
		switch {
		case v.Label == "" || v.Description == "":
			t.Errorf("variable %s: no label or description", v.Name)
		case i == 0 && (v.Name != "datasource" || v.Type != "datasource" || v.Query != "prometheus"):
			t.Error("the first variable does not choose the data source")
		case i > 0 && (v.Datasource["uid"] != "${datasource}" || v.Refresh == 0):
			t.Errorf("variable %s: not from the chosen data source, or never refreshed", v.Name)
		}
		if !bytes.Contains(all, []byte("$"+v.Name)) && !bytes.Contains(all, []byte("${"+v.Name+"}")) {
			t.Errorf("variable %s: no panel uses it", v.Name)
		}
	}
}

func checkPanel(t *testing.T, p *grafana.Panel) {
	t.Helper()
	if p.Type == "row" {
		if p.Title == "" || len(p.Panels) > 0 {
			t.Errorf("row %d: no title, or panels inside", p.ID)
		}
		return
	}
	if p.Title == "" || !strings.HasSuffix(p.Description, ".") {
		t.Errorf("panel %d %q: no title, or the description %q is no sentence", p.ID, p.Title, p.Description)
	}
	if p.FieldConfig.Defaults.Unit == "" {
		t.Errorf("panel %q: no unit", p.Title)
	}
	if p.Datasource["uid"] != "${datasource}" || len(p.Targets) == 0 {
		t.Errorf("panel %q: no query of the chosen data source", p.Title)
	}
	refs := map[string]bool{}
	for _, q := range p.Targets {
		if q.Datasource["uid"] != "${datasource}" || q.RefID == "" || refs[q.RefID] || q.Instant == q.Range {
			t.Errorf("panel %q: query %q: data source, refId, or both of instant and range", p.Title, q.RefID)
		}
		refs[q.RefID] = true
		if q.Format == "time_series" && q.LegendFormat == "" {
			t.Errorf("panel %q: query %q has no legend", p.Title, q.RefID)
		}
		for _, w := range rangePattern.FindAllStringSubmatch(q.Expr, -1) {
			if w[1] != "$__rate_interval" && w[1] != "$__range" {
				t.Errorf("panel %q: range [%s]: $__rate_interval is right at every zoom", p.Title, w[1])
			}
		}
		if q.Range && strings.Contains(q.Expr, "$__range") {
			t.Errorf("panel %q: $__range at every point in time: make the query instant", p.Title)
		}
	}
}

var rangePattern = regexp.MustCompile(`\[([^\]]+)\]`)

// checkGrid wants every line full or nearly so, nothing on top of anything else, and panels
// that can be read where the whole dashboard is 1280 pixels wide.
func checkGrid(t *testing.T, panels []*grafana.Panel) {
	t.Helper()
	const leastWidth = 6 // a quarter of the 1280 pixels less the margins: 300
	for i, p := range panels {
		g := p.GridPos
		if g.X < 0 || g.W < leastWidth || g.X+g.W > grafana.Columns || g.H < 1 {
			t.Errorf("panel %q: at %+v, on a grid of %d columns", p.Title, g, grafana.Columns)
		}
		for _, o := range panels[i+1:] {
			h := o.GridPos
			if g.X < h.X+h.W && h.X < g.X+g.W && g.Y < h.Y+h.H && h.Y < g.Y+g.H {
				t.Errorf("panels %q and %q overlap", p.Title, o.Title)
			}
		}
	}
	if !slices.IsSortedFunc(panels, func(a, b *grafana.Panel) int { return a.GridPos.Y - b.GridPos.Y }) {
		t.Error("the panels are not in reading order")
	}
}

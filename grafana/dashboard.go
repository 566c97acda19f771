package grafana

import (
	"bytes"
	"encoding/json"
)

// Columns is the width of Grafana's grid.
const Columns = 24

// Dashboard is Grafana's, as far as these need it.
type Dashboard struct {
	UID           string     `json:"uid"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Tags          []string   `json:"tags"`
	SchemaVersion int        `json:"schemaVersion"`
	Editable      bool       `json:"editable"`
	GraphTooltip  int        `json:"graphTooltip"`
	Refresh       string     `json:"refresh"`
	Time          TimeRange  `json:"time"`
	Timezone      string     `json:"timezone"`
	Links         []Object   `json:"links"`
	Templating    Templating `json:"templating"`
	Panels        []*Panel   `json:"panels"`
}

// Object is a part of a dashboard that nothing here looks into.
type Object = map[string]any

// TimeRange is what a dashboard shows at first.
type TimeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Templating are the variables.
type Templating struct {
	List []Variable `json:"list"`
}

// Variable is a choice at the top of a dashboard.
type Variable struct {
	Name        string `json:"name"`
	Label       string `json:"label"`
	Description string `json:"description"`
	Type        string `json:"type"`
	Query       any    `json:"query"`
	Definition  string `json:"definition,omitempty"`
	Datasource  Object `json:"datasource,omitempty"`
	Refresh     int    `json:"refresh"`
	Sort        int    `json:"sort,omitempty"`
	Multi       bool   `json:"multi"`
	IncludeAll  bool   `json:"includeAll"`
	AllValue    string `json:"allValue,omitempty"`
	Current     Object `json:"current"`
	Regex       string `json:"regex"`
	Hide        int    `json:"hide"`
}

// Panel is a figure, or the heading of a row.
type Panel struct {
	ID              int         `json:"id"`
	Type            string      `json:"type"`
	Title           string      `json:"title"`
	Description     string      `json:"description,omitempty"`
	Collapsed       *bool       `json:"collapsed,omitempty"`
	Panels          []*Panel    `json:"panels,omitempty"`
	Datasource      Object      `json:"datasource,omitempty"`
	GridPos         GridPos     `json:"gridPos"`
	Targets         []Target    `json:"targets,omitempty"`
	FieldConfig     FieldConfig `json:"fieldConfig,omitzero"`
	Options         Object      `json:"options,omitempty"`
	Transformations []Object    `json:"transformations,omitempty"`
}

// GridPos is where a panel is; a unit of height is 30 pixels.
type GridPos struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

// Target is a query.
type Target struct {
	RefID        string `json:"refId"`
	Datasource   Object `json:"datasource"`
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat,omitempty"`
	Format       string `json:"format"`
	EditorMode   string `json:"editorMode"`
	Instant      bool   `json:"instant"`
	Range        bool   `json:"range"`
}

// FieldConfig is how values are shown.
type FieldConfig struct {
	Defaults  Defaults `json:"defaults"`
	Overrides []Object `json:"overrides"`
}

// Defaults of the fields of a panel.
type Defaults struct {
	Unit       string   `json:"unit"`
	Min        *float64 `json:"min,omitempty"`
	Max        *float64 `json:"max,omitempty"`
	Decimals   *int     `json:"decimals,omitempty"`
	Color      Object   `json:"color"`
	Thresholds Object   `json:"thresholds"`
	Mappings   []Object `json:"mappings"`
	Custom     Object   `json:"custom,omitempty"`
}

// source is the datasource that the variable of every dashboard chooses.
var source = Object{"type": "prometheus", "uid": "${datasource}"}

// Files are the dashboards as JSON, by file name.
func Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, d := range map[string]*Dashboard{
		"transfer-time.json": transferTime(), "swarm.json": swarm(), "fleet.json": fleet(),
	} {
		var out bytes.Buffer
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(d); err != nil {
			return nil, err
		}
		files[name] = out.Bytes()
	}
	return files, nil
}

func newDashboard(uid, title, description string, variables []Variable, panels ...*Panel) *Dashboard {
	d := &Dashboard{
		UID: uid, Title: title, Description: description, Tags: []string{"fanout"}, SchemaVersion: 39, Editable: true,
		GraphTooltip: 1, Refresh: "5s", Time: TimeRange{"now-15m", "now"}, Timezone: "browser",
		Links: []Object{{
			"type": "dashboards", "title": "fanout", "tags": []string{"fanout"}, "asDropdown": false,
			"includeVars": true, "keepTime": true, "icon": "external link", "targetBlank": false, "tooltip": "", "url": "",
		}},
		Templating: Templating{append([]Variable{datasourceVariable()}, variables...)},
	}
	d.place(panels)
	return d
}

// place lets the panels flow from left to right; a row's heading begins a new line. A line
// is as high as its first panel.
func (d *Dashboard) place(panels []*Panel) {
	x, y, line := 0, 0, 0
	for i, p := range panels {
		p.ID = i + 1
		if x+p.GridPos.W > Columns {
			x, y = 0, y+line
		}
		if x == 0 {
			line = p.GridPos.H
		}
		p.GridPos.X, p.GridPos.Y, p.GridPos.H = x, y, line
		x += p.GridPos.W
		d.Panels = append(d.Panels, p)
	}
}

func datasourceVariable() Variable {
	return Variable{
		Name: "datasource", Label: "Data source", Description: "The Prometheus that scrapes the daemons, or has the data of a sweep.",
		Type: "datasource", Query: "prometheus", Refresh: 1, Current: Object{},
	}
}

// choice is a variable of label values, of which several or all may be chosen.
func choice(name, label, description, metric string) Variable {
	query := "label_values(" + metric + ", " + name + ")"
	return Variable{
		Name: name, Label: label, Description: description, Type: "query", Definition: query,
		Query: Object{"query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery", "qryType": 1},
		// 2 is on every change of the time range: what has gone since is not offered.
		Datasource: source, Refresh: 2, Sort: 7, Multi: true, IncludeAll: true, AllValue: ".*",
		Current: Object{"text": []string{"All"}, "value": []string{"$__all"}},
	}
}

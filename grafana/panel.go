package grafana

// query is an expression with the name of its series, at all times of the range.
func query(expr, legend string) Target {
	return Target{Datasource: source, Expr: expr, LegendFormat: legend, Format: "time_series", EditorMode: "code", Range: true}
}

// now is a query at the end of the range only.
func now(expr, legend string) Target {
	t := query(expr, legend)
	t.Instant, t.Range = true, false
	return t
}

// table is the query of a table with one row per series and one column per label.
func table(expr string) Target {
	t := now(expr, "")
	t.Format = "table"
	return t
}

// buckets is the query of a heatmap: counts by the label le.
func buckets(expr string) Target {
	t := query(expr, "{{le}}")
	t.Format = "heatmap"
	return t
}

// row is the heading of the panels that follow.
func row(title string) *Panel {
	open := false
	return &Panel{Type: "row", Title: title, Collapsed: &open, GridPos: GridPos{W: Columns, H: 1}}
}

func panel(kind, title, description, unit string, targets []Target) *Panel {
	for i := range targets {
		targets[i].RefID = string(rune('A' + i))
	}
	return &Panel{
		Type: kind, Title: title, Description: description, Datasource: source, Targets: targets,
		GridPos: GridPos{W: 12, H: 8},
		FieldConfig: FieldConfig{
			Overrides: []Object{},
			Defaults: Defaults{
				Unit: unit, Mappings: []Object{},
				Color: Object{"mode": "palette-classic"}, Thresholds: thresholds("green"),
			},
		},
	}
}

// graph draws lines over time.
func graph(title, description, unit string, targets ...Target) *Panel {
	p := panel("timeseries", title, description, unit, targets)
	p.FieldConfig.Defaults.Min = ptr(0.0)
	p.FieldConfig.Defaults.Custom = lines()
	p.Options = Object{"legend": legend("list"), "tooltip": Object{"mode": "multi", "sort": "desc"}}
	return p
}

func lines() Object {
	return Object{
		"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "pointSize": 4,
		"lineInterpolation": "linear", "spanNulls": false, "axisPlacement": "auto",
		"stacking": Object{"mode": "none", "group": "A"}, "thresholdsStyle": Object{"mode": "off"},
	}
}

// number shows the latest value of each query.
func number(title, description, unit string, targets ...Target) *Panel {
	p := panel("stat", title, description, unit, targets).size(6, 4)
	p.FieldConfig.Defaults.Color = Object{"mode": "thresholds"}
	p.Options = Object{
		"colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
		"reduceOptions": Object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
	}
	return p
}

// bars shows the latest value of every series as a bar.
func bars(title, description, unit string, targets ...Target) *Panel {
	p := panel("bargauge", title, description, unit, targets)
	p.FieldConfig.Defaults.Min = ptr(0.0)
	p.FieldConfig.Defaults.Color = Object{"mode": "thresholds"}
	p.Options = Object{
		"displayMode": "basic", "orientation": "horizontal", "showUnfilled": true, "valueMode": "color", "minVizHeight": 16,
		"reduceOptions": Object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
	}
	return p
}

// heatmap shows the buckets of a histogram over time.
func heatmap(title, description, unit string, targets ...Target) *Panel {
	p := panel("heatmap", title, description, unit, targets)
	p.Options = Object{
		"calculate": false, "cellGap": 1, "showValue": "never",
		"color":        Object{"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange", "reverse": false},
		"yAxis":        Object{"unit": unit, "axisPlacement": "left"},
		"cellValues":   Object{"unit": "short"},
		"filterValues": Object{"le": 1e-9},
		"rowsFrame":    Object{"layout": "auto"},
		"legend":       Object{"show": true},
		"tooltip":      Object{"mode": "single", "yHistogram": false},
	}
	return p
}

// rows is a table of one query; columns maps labels, and Value, to headings, and hides what
// it maps to nothing.
func rows(title, description, unit string, columns map[string]string, t Target) *Panel {
	p := panel("table", title, description, unit, []Target{t})
	names, hidden := Object{}, Object{"Time": true, "__name__": true, "job": true}
	for from, to := range columns {
		if to == "" {
			hidden[from] = true
			continue
		}
		names[from] = to
	}
	p.FieldConfig.Defaults.Custom = Object{"align": "auto", "filterable": true, "inspect": false}
	p.Options = Object{"showHeader": true, "cellHeight": "sm", "footer": Object{"show": false, "reducer": []string{"sum"}, "fields": ""}}
	p.Transformations = []Object{{"id": "organize", "options": Object{"excludeByName": hidden, "renameByName": names, "indexByName": Object{}}}}
	return p
}

// against draws a line for each value of the label `series` against a label whose values
// are numbers. The query is a table of both.
func against(x, series, title, description, unit, expr string) *Panel {
	p := panel("trend", title, description, unit, []Target{table(expr)})
	field := x + `\` + series // as groupingToMatrix names it
	p.FieldConfig.Defaults.Min = ptr(0.0)
	custom := lines()
	custom["lineWidth"], custom["fillOpacity"], custom["showPoints"], custom["pointSize"], custom["spanNulls"] = 2, 0, "always", 7, true
	p.FieldConfig.Defaults.Custom = custom
	p.FieldConfig.Overrides = []Object{{
		"matcher":    Object{"id": "byName", "options": field},
		"properties": []Object{{"id": "unit", "value": "none"}, {"id": "displayName", "value": x}, {"id": "custom.axisLabel", "value": x}},
	}}
	p.Options = Object{"xField": field, "legend": legend("list"), "tooltip": Object{"mode": "multi", "sort": "none"}}
	p.Transformations = []Object{
		{"id": "groupingToMatrix", "options": Object{"rowField": x, "columnField": series, "valueField": "Value", "emptyValue": "null"}},
		{"id": "convertFieldType", "options": Object{"fields": Object{}, "conversions": []Object{{"targetField": field, "destinationType": "number"}}}},
		{"id": "sortBy", "options": Object{"fields": Object{}, "sort": []Object{{"field": field, "desc": false}}}},
	}
	return p
}

// timeline shows the state of every series over time; names and colours are those of the
// values.
func timeline(title, description string, states map[string]Object, targets ...Target) *Panel {
	p := panel("state-timeline", title, description, "none", targets)
	p.FieldConfig.Defaults.Mappings = []Object{{"type": "value", "options": states}}
	p.FieldConfig.Defaults.Custom = Object{"fillOpacity": 70, "lineWidth": 0}
	p.Options = Object{
		"mergeValues": true, "showValue": "never", "alignValue": "left", "rowHeight": 0.9,
		"legend": legend("list"), "tooltip": Object{"mode": "single", "sort": "none"},
	}
	return p
}

func legend(mode string, calcs ...string) Object {
	if calcs == nil {
		calcs = []string{}
	}
	return Object{"displayMode": mode, "placement": "bottom", "showLegend": true, "calcs": calcs}
}

// thresholds colours values: a colour, then pairs of the least value and its colour.
func thresholds(base string, steps ...any) Object {
	list := []Object{{"color": base, "value": nil}}
	for i := 0; i+1 < len(steps); i += 2 {
		list = append(list, Object{"value": steps[i], "color": steps[i+1]})
	}
	return Object{"mode": "absolute", "steps": list}
}

func ptr[T any](v T) *T { return &v }

// size sets the columns and the height.
func (p *Panel) size(w, h int) *Panel {
	p.GridPos.W, p.GridPos.H = w, h
	return p
}

// colours sets thresholds.
func (p *Panel) colours(base string, steps ...any) *Panel {
	p.FieldConfig.Defaults.Thresholds = thresholds(base, steps...)
	return p
}

// max sets the upper end of the axis.
func (p *Panel) max(v float64) *Panel {
	p.FieldConfig.Defaults.Max = &v
	return p
}

// decimals sets how many digits follow the point.
func (p *Panel) decimals(n int) *Panel {
	p.FieldConfig.Defaults.Decimals = &n
	return p
}

// stacked puts the series on top of each other.
func (p *Panel) stacked() *Panel {
	p.FieldConfig.Defaults.Custom["stacking"] = Object{"mode": "normal", "group": "A"}
	p.FieldConfig.Defaults.Custom["fillOpacity"] = 40
	return p
}

// steps draws values that hold until the next.
func (p *Panel) steps() *Panel {
	p.FieldConfig.Defaults.Custom["lineInterpolation"] = "stepAfter"
	return p
}

// limit draws the thresholds as lines.
func (p *Panel) limit(base string, steps ...any) *Panel {
	p.FieldConfig.Defaults.Custom["thresholdsStyle"] = Object{"mode": "dashed"}
	return p.colours(base, steps...)
}

// values lists the series with these calculations, for where there are many.
func (p *Panel) values(calcs ...string) *Panel {
	p.Options["legend"] = legend("table", calcs...)
	p.Options["legend"].(Object)["placement"] = "right"
	return p
}

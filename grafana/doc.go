// Package grafana makes the dashboards: the JSON in dashboards/ is written by
// `go generate ./grafana`, and a test fails where it is not what this package makes.
//
// A dashboard is a list of panels, which flow from left to right over 24 columns; a panel
// is a title, a description, a unit and queries. The rest is the same everywhere, and set
// here once. To try a change, edit the panel in Grafana, and bring the query and the
// options back into the Go file of the dashboard.
//
// The package's tests run every query against a real Prometheus that scrapes real daemons.
package grafana

//go:generate go run ./generate dashboards

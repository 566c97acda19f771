package httpkit

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// version and revision are set by the linker: -ldflags "-X fanout/internal/daemon/httpkit.version=v1.2.3".
var version, revision string

// BuildInfo says what is running.
type BuildInfo struct {
	Version   string // of the release, or "devel"
	Revision  string // of the source, or "unknown"; ends in "-dirty" for a changed checkout
	GoVersion string
}

// Build tells the running binary's version and revision from the linker's flags, else from what the go
// command recorded.
func Build() BuildInfo {
	b := BuildInfo{Version: version, Revision: "unknown", GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	if revision != "" {
		b.Revision = revision
	}
	if !ok || revision != "" {
		return b
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty {
		b.Revision += "-dirty"
	}
	return b
}

// NewBuildInfoCollector exports fanout_build_info, whose value is always 1.
func NewBuildInfoCollector(b BuildInfo) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "fanout_build_info",
		Help: "What is running; the value is 1.",
		ConstLabels: prometheus.Labels{
			"version": b.Version, "revision": b.Revision, "goversion": b.GoVersion,
		},
	})
	g.Set(1)
	return g
}

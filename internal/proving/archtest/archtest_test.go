// Package archtest keeps the directions of imports: from main over servers and nodes to
// mechanisms, and from those to wire and chunkstore, and manifest. The tracker, the origin
// and peerd never import each other: they meet in api and in internal/chunks/wire. ARCHITECTURE.md
// has the picture.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "fanout"

// allowed lists, for every package whose place is fixed, the packages of ours that it may
// import. One that is not listed is governed by the rules of the tests below.
var allowed = map[string][]string{
	"internal/chunks/manifest":    {},
	"internal/chunks/bitmap":      {},
	"internal/daemon/units":       {},
	"internal/daemon/oneline":     {},
	"internal/chunks/trackerfile": {},
	"internal/proving/bound":      {},
	"internal/chunks/wire":        {"internal/chunks/manifest"},
	"internal/chunks/chunkstore":  {"internal/chunks/bitmap", "internal/chunks/manifest"},
	"internal/chunks/exchange":    {"internal/chunks/wire"},
	"internal/chunks/room":        {},
	"internal/chunks/rendezvous":  {},
	"internal/chunks/chunkserver": {"internal/chunks/manifest", "internal/chunks/wire", "internal/chunks/chunkstore", "internal/chunks/exchange", "internal/chunks/room"},

	"origin/handout": {"internal/chunks/bitmap", "internal/chunks/wire", "internal/chunks/exchange", "internal/chunks/rendezvous", "internal/chunks/room"},
	"peerd/picker":   {},
	"peerd/swarm":    {"internal/chunks/bitmap", "internal/chunks/exchange", "internal/chunks/manifest", "internal/chunks/rendezvous", "internal/chunks/room", "internal/chunks/wire", "peerd/picker"},
	"peerd/transfer": {"internal/chunks/bitmap", "internal/chunks/chunkserver", "internal/chunks/chunkstore", "internal/chunks/exchange", "internal/chunks/manifest", "internal/chunks/wire", "peerd/swarm"},
	"tracker/store":  {"internal/chunks/manifest", "internal/chunks/trackerfile"},
	"tracker/table":  {"internal/chunks/manifest", "internal/chunks/trackerfile", "tracker/store"},
	"tracker/feed":   {"api/trackerapi", "internal/chunks/manifest", "tracker/table"},
	"tracker/page":   {},

	"api/trackerapi":               {},
	"api/peerapi":                  {},
	"internal/daemon/httpkit":      {"internal/daemon/oneline"},
	"internal/daemon/cli":          {"internal/daemon/httpkit", "internal/daemon/oneline"},
	"internal/chunks/chunkmetrics": {"internal/chunks/wire"},

	// These know the daemons by their HTTP interfaces and flags alone.
	"internal/proving/fleet": {"api/peerapi", "api/trackerapi"},
	"internal/proving/demo":  {"api/peerapi", "internal/proving/bound", "internal/daemon/cli", "internal/proving/fleet", "internal/daemon/units"},

	// A laboratory knows what decides, and nothing of who carries it out.
	"internal/proving/virtual":  {"internal/chunks/bitmap", "internal/chunks/exchange", "internal/chunks/manifest", "internal/chunks/room", "internal/chunks/wire", "internal/proving/bound", "origin/handout", "peerd/swarm"},
	"internal/proving/simulate": {"internal/daemon/cli", "internal/daemon/progress", "internal/daemon/units", "internal/proving/virtual"},

	// It relays what it does not understand.
	"internal/proving/faultline": {},
}

// mechanisms return errors and call what they are given: they know no HTTP, flags,
// environment, logger or Prometheus, whichever package they would reach them through.
var mechanisms = []string{
	"internal/chunks/manifest", "internal/daemon/units", "internal/chunks/trackerfile", "internal/proving/bound", "internal/chunks/wire",
	"internal/chunks/bitmap", "internal/chunks/chunkstore", "internal/chunks/exchange", "internal/chunks/rendezvous", "internal/chunks/room", "internal/chunks/chunkserver",
	"origin/handout", "peerd/picker", "peerd/swarm", "peerd/transfer",
	"tracker/store", "tracker/table",
}

// decisions are the mechanisms that decide: the same events at the same times lead to the same
// actions, in a daemon and in the virtual lab.
var decisions = []string{"internal/chunks/exchange", "internal/chunks/rendezvous", "internal/chunks/room", "origin/handout", "peerd/picker", "peerd/swarm"}

// laboratories run what decides without a daemon around it.
var laboratories = []string{"internal/proving/virtual"}

// unreachable are the packages that a mechanism must not even reach through others.
var unreachable = []string{
	"net/http", "github.com/alecthomas/kong", "github.com/rs/zerolog", "github.com/prometheus/client_golang/prometheus",
}

// unwanted are those that it must not import; libraries may.
var unwanted = []string{"flag", "log", "log/slog", "os/exec"}

// halls are the parts of internal/: what moves and checks chunks, what the daemons share around
// HTTP, flags and the tracker, and what proves it all. None imports one that comes after it.
var halls = []string{"internal/chunks", "internal/daemon", "internal/proving"}

// roles are the daemons. What is below one is for that one.
var roles = []string{"tracker", "origin", "peerd"}

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath, Dir, Name string
	GoFiles               []string
	Imports, Deps         []string
	TestImports           []string
	XTestImports          []string
}

func (p *pkg) path() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// role is the daemon that a package belongs to; empty for the common ones.
func role(path string) string {
	top, _, _ := strings.Cut(strings.TrimPrefix(path, module+"/"), "/")
	if slices.Contains(roles, top) {
		return top
	}
	return ""
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	all := list(t)
	for path, may := range allowed {
		p := all[path]
		if p == nil {
			t.Errorf("%s is gone: take it off the table", path)
			continue
		}
		for _, i := range ours(p.Imports) {
			if !slices.Contains(may, i) {
				t.Errorf("%s imports %s, it may import %v of ours", path, i, may)
			}
		}
	}
}

func TestDaemonsDoNotImportEachOther(t *testing.T) {
	for path, p := range list(t) {
		own := role(path)
		for _, i := range ours(slices.Concat(p.Imports, p.TestImports, p.XTestImports)) {
			other := role(i)
			switch {
			case own != "" && other != "" && other != own:
				t.Errorf("%s imports %s: the daemons meet in api and internal/chunks/wire", path, i)
			case slices.Contains(laboratories, path) && slices.Contains(decisions, i):
			case own == "" && slices.Contains(ours(p.Imports), i) && other != "":
				t.Errorf("%s imports %s: what is common knows no daemon", path, i)
			}
		}
	}
}

// Servers and nodes are at the top: only their own main, and tests, import them.
func TestNothingImportsUpward(t *testing.T) {
	for path, p := range list(t) {
		for _, i := range ours(p.Imports) {
			if (strings.HasSuffix(i, "/server") || strings.HasSuffix(i, "/node")) && p.Name != "main" {
				t.Errorf("%s imports %s: only main does", path, i)
			}
		}
	}
}

// Every room of internal/ is in one of its halls, and leads to none above it. A daemon contains
// nothing that is there to prove it; tests may use what they like.
func TestHallsImportNothingUpward(t *testing.T) {
	for path, p := range list(t) {
		own := hall(path)
		if own < 0 && strings.HasPrefix(path, "internal/") {
			t.Errorf("%s is in none of %v", path, halls)
		}
		for _, i := range ours(p.Imports) {
			switch to := hall(i); {
			case own >= 0 && to > own:
				t.Errorf("%s imports %s, which is above it", path, i)
			case role(path) != "" && to == len(halls)-1:
				t.Errorf("%s imports %s: only tests do", path, i)
			}
		}
	}
}

// hall is the number of the hall that a package is in; -1 if in none.
func hall(path string) int {
	return slices.IndexFunc(halls, func(h string) bool { return strings.HasPrefix(path, h+"/") })
}

func TestMechanismsKnowNoSurroundings(t *testing.T) {
	all := list(t)
	for _, path := range mechanisms {
		p := all[path]
		if p == nil {
			t.Errorf("%s is gone: take it off the list", path)
			continue
		}
		for _, f := range unreachable {
			if slices.Contains(p.Deps, f) {
				t.Errorf("%s reaches %s: return errors, and call an injected observer", path, f)
			}
		}
		for _, f := range unwanted {
			if slices.Contains(p.Imports, f) {
				t.Errorf("%s imports %s: return errors, and take parameters", path, f)
			}
		}
		for _, file := range p.GoFiles {
			noEnvironment(t, path, filepath.Join(p.Dir, file))
		}
	}
}

// What decides asks no clock, starts and waits for nothing, and draws from no randomness but what
// it was given.
func TestDecisionsArePure(t *testing.T) {
	all := list(t)
	for _, path := range decisions {
		p := all[path]
		if p == nil {
			t.Errorf("%s is gone: take it off the list", path)
			continue
		}
		for _, i := range []string{"context", "net", "os", "sync", "sync/atomic"} {
			if slices.Contains(p.Imports, i) {
				t.Errorf("%s imports %s: it decides, and leaves it to others to carry out", path, i)
			}
		}
		for _, file := range p.GoFiles {
			pure(t, path, filepath.Join(p.Dir, file))
		}
	}
	for _, path := range laboratories { // what happens in them can be repeated
		for _, file := range all[path].GoFiles {
			pure(t, path, filepath.Join(all[path].Dir, file))
		}
	}
}

// pure fails for a file that has goroutines, channels, the clock's time or chance of its own.
func pure(t *testing.T, path, file string) {
	t.Helper()
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		impure := ""
		switch n := n.(type) {
		case *ast.GoStmt:
			impure = "starts a goroutine"
		case *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			impure = "has a channel"
		case *ast.SelectorExpr:
			of, ok := n.X.(*ast.Ident)
			switch {
			case !ok:
			case of.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}, n.Sel.Name):
				impure = "asks the clock: take the time as an argument"
			case of.Name == "rand" && !slices.Contains([]string{"New", "NewPCG", "Rand", "Source"}, n.Sel.Name):
				impure = "draws by rand." + n.Sel.Name + ": draw from the *rand.Rand that was given"
			}
		}
		if impure != "" {
			t.Errorf("%s %s (%s)", path, impure, fset.Position(n.Pos()))
		}
		return true
	})
}

// noEnvironment fails for a file that reads the environment or the command line.
func noEnvironment(t *testing.T, path, file string) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == "os" &&
			slices.Contains([]string{"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Args", "Exit"}, s.Sel.Name) {
			t.Errorf("%s uses os.%s in %s: take it as a parameter", path, s.Sel.Name, filepath.Base(file))
		}
		return true
	})
}

// ours are the imports that belong to the module, without its name.
func ours(imports []string) (paths []string) {
	for _, i := range imports {
		if path, ok := strings.CutPrefix(i, module+"/"); ok {
			paths = append(paths, path)
		}
	}
	return paths
}

func list(t *testing.T) map[string]*pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Name,GoFiles,Imports,Deps,TestImports,XTestImports", module+"/...").Output()
	if err != nil {
		t.Fatal("go list: ", err)
	}
	all := map[string]*pkg{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.path()] = p
	}
	if len(all) < len(allowed) {
		t.Fatalf("go list found %d packages", len(all))
	}
	return all
}

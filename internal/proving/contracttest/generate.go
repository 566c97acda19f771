package contracttest

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Request is one that a Generator has thought of.
type Request struct {
	Call           string // operation ID; empty for what is no call of the daemon
	Method, Target string
	Header         http.Header
	Body           string
}

func (r Request) String() string {
	return fmt.Sprintf("%s %.300s %v %.500q", r.Method, r.Target, r.Header, r.Body)
}

// Generator thinks of requests to a daemon: of those in the contract, with right, wrong and
// random parameters, headers and bodies, and of others.
type Generator struct {
	Rand *rand.Rand
	// Known has values that exist, by the name of the parameter, property or header.
	Known map[string][]string
	// Bodies are some that a call takes, by operation ID.
	Bodies map[string][]string

	calls []Call
}

// NewGenerator makes one for a daemon that serves the calls with some tags.
func NewGenerator(c *Contract, tags []string, seed uint64) *Generator {
	return &Generator{
		Rand: rand.New(rand.NewPCG(seed, 0)), Known: map[string][]string{}, Bodies: map[string][]string{},
		calls: c.Calls(tags),
	}
}

var (
	methods = []string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"}
	// odd are values that fit few parameters.
	odd = []string{
		"", "0", "-1", "1", "7", "10001", "2147483648", "9223372036854775807", "99999999999999999999", "-9223372036854775808", "1e3", "0x10", "1.5", "true", "null", "NaN",
		"a b", "ü漢", "..", ".", "../../etc/passwd", "a/b", "//", "%41", "%2F", "a+b", "a&b=c", "q?x#y", "'\"<>", "\xff\xfe", "\x00", "\r\nX-Injected: 1",
		strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat("x", 256), strings.Repeat("ab", 32), strings.Repeat("漢", 2000),
	}
	ranges = []string{
		"bytes=0-1023", "bytes=0-0", "bytes=-1", "bytes=1-2", "bytes=7-", "bytes=-5", "bytes=-0", "bytes=5-", "bytes=0-99999999999999999999", "bytes=99999999999999999999-", "bytes=9223372036854775807-",
		"bytes=-99999999999999999999", "bytes=5-2", "bytes=0-1,5-6", "bytes=0-,0-,0-,0-", "bytes=", "bytes=-", "bytes=a-b", "bytes=+1-2", "bytes", "", "chunks=0-1", "BYTES=0-1", "bytes = 0-1", "bytes=0-1,", " bytes=1-2 ",
	}
	tags    = []string{"*", `"0123"`, `W/"0123"`, "junk", `"`, "", `"a", "b"`}
	accepts = []string{
		"", "*/*", "image/png", "application/json", "text/tab-separated-values", "text/*;q=0.5, application/json;q=0.1", "application/json;q=0", "junk", ";;;", "text/event-stream",
		"application/openmetrics-text", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", "text/html",
	}
	contentTypes = []string{
		"", "application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "text/tab-separated-values", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "junk", ";", "application/problem+json",
	}
)

// Plain is every call once, with the first of the known parameters and bodies, and a
// conditional one with each of the conditions that change its status.
func (g *Generator) Plain() (requests []Request) {
	for _, c := range g.calls {
		r := Request{Call: c.OperationID, Method: c.Method, Target: c.Path, Header: http.Header{}, Body: g.body(c)}
		if known := g.Bodies[c.OperationID]; len(known) > 0 {
			r.Body = known[0]
		}
		for _, p := range c.Parameters {
			if known := g.Known[p.Value.Name]; len(known) > 0 && p.Value.In == openapi3.ParameterInPath {
				r.Target = strings.ReplaceAll(r.Target, "{"+p.Value.Name+"}", url.PathEscape(known[0]))
			}
		}
		requests = append(requests, r)
		if !conditional(c) {
			continue
		}
		for _, h := range [][2]string{{"If-None-Match", "*"}, {"If-Match", `"0123"`}, {"Range", "bytes=0-0"}, {"Range", "bytes=-0"}} {
			r.Header = http.Header{h[0]: {h[1]}}
			requests = append(requests, r)
		}
	}
	return requests
}

// Next is a random request.
func (g *Generator) Next() Request {
	c := pick(g, g.calls)
	for g.one(2) && len(c.Parameters) < 3 && !conditional(c) { // those with much to be wrong come more often
		c = pick(g, g.calls)
	}
	r := Request{Call: c.OperationID, Method: c.Method, Header: http.Header{}}
	if c.Method == http.MethodGet && g.one(6) {
		r.Method = http.MethodHead
	}
	if g.one(8) {
		r.Method = pick(g, methods)
	}
	r.Target = g.path(c) + g.query(c)
	g.headers(c, r.Header)
	if c.RequestBody != nil && !g.one(10) || g.one(20) {
		r.Body = g.spoiled(g.body(c))
	}
	if r.Method == "TRACE" {
		r.Body = "" // net/http's client refuses to send one
	}
	return r
}

// conditional reports whether preconditions and ranges matter to a call.
func conditional(c Call) bool { return c.Responses.Status(http.StatusNotModified) != nil }

func (g *Generator) one(in int) bool { return g.Rand.IntN(in) == 0 }

func pick[T any](g *Generator, from []T) T { return from[g.Rand.IntN(len(from))] }

// path fills in a template, and seldom makes another path of it.
func (g *Generator) path(c Call) string {
	path := c.Path
	for _, p := range c.Parameters {
		if p.Value.In == openapi3.ParameterInPath {
			value := url.PathEscape(g.value(p.Value))
			if value == "." || value == ".." {
				value = strings.ReplaceAll(value, ".", "%2E") // a client would resolve it
			}
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", value)
		}
	}
	if !g.one(15) {
		return path
	}
	return pick(g, []string{
		path + "/", "/" + path, path + "//", strings.Replace(path, "/", "//", 2), path + "/nothing", "/nothing" + path, strings.ToUpper(path),
		path + "/" + strings.Repeat("long", 2000), path + "%20", path + ";x=1", path + "/..", "/v2/files", "/", "/v1", "/v1/", "/page", "/page/", "/favicon.ico", "/page/nothing.js",
	})
}

// value is one for a parameter: that exists, that may be, or odd.
func (g *Generator) value(p *openapi3.Parameter) string {
	switch g.Rand.IntN(8) {
	case 0, 1:
		return pick(g, odd)
	case 2:
		return g.ofSchema(p.Schema.Value)
	}
	return g.known(p)
}

func (g *Generator) known(p *openapi3.Parameter) string {
	if values := g.Known[p.Name]; len(values) > 0 {
		return pick(g, values)
	}
	return g.ofSchema(p.Schema.Value)
}

// ofSchema is a value that a schema permits, or nearly.
func (g *Generator) ofSchema(s *openapi3.Schema) string {
	switch {
	case len(s.Enum) > 0:
		return fmt.Sprint(pick(g, s.Enum))
	case s.Type.Is("integer"), s.Type.Is("number"):
		return fmt.Sprint(g.Rand.IntN(40) - 2)
	case s.Type.Is("boolean"):
		return pick(g, []string{"true", "false"})
	}
	return base64.RawURLEncoding.EncodeToString(fmt.Append(nil, g.Rand.Uint32N(1000)))
}

func (g *Generator) query(c Call) string {
	var parts []string
	for _, p := range c.Parameters {
		if p.Value.In != openapi3.ParameterInQuery {
			continue
		}
		for g.one(2) {
			value := g.value(p.Value)
			if p.Value.Name == "wait" && len(value) == 2 {
				value = "0" // waiting proves nothing
			}
			parts = append(parts, p.Value.Name+"="+url.QueryEscape(value))
		}
	}
	if g.one(10) {
		parts = append(parts, pick(g, []string{"unknown=1", "&&", "limit", "=", "a;b", "offset=%zz", "x=" + strings.Repeat("y", 3000)}))
	}
	if len(parts) == 0 {
		return ""
	}
	return "?" + strings.Join(parts, "&")
}

// headers are those that a call knows, and those that change how any is answered.
func (g *Generator) headers(c Call, h http.Header) {
	known := map[string][]string{
		"Range": ranges, "If-Range": g.tags(), "If-Match": g.tags(), "If-None-Match": g.tags(), "Accept": accepts,
		"Accept-Encoding": {"gzip", "zstd", "identity;q=0", "*"}, "Content-Type": contentTypes, "Expect": {"100-continue"},
		"Prefer":            {"wait=0", "wait=", "wait=x", "respond-async", "wait=-1", "", `wait="0"`, "wait=0; x, handling=strict"},
		"If-Modified-Since": {"Sat, 01 Jan 2000 00:00:00 GMT", "junk"}, "If-Unmodified-Since": {"Sat, 01 Jan 2000 00:00:00 GMT"},
		"Origin": {"http://127.0.0.1:1", "http://evil.example", "null"}, "Sec-Fetch-Site": {"cross-site", "same-origin", "none"},
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		often := 12
		if conditional(c) && (strings.HasPrefix(name, "If-") || name == "Range") {
			often = 5
		}
		for _, p := range c.Parameters {
			if p.Value.Name == name {
				often = 5
			}
		}
		for g.one(often) {
			h.Add(name, pick(g, known[name]))
		}
	}
}

func (g *Generator) tags() []string { return slices.Concat(tags, g.Known["ETag"], g.Known["ETag"]) }

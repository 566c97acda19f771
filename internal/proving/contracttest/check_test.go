package contracttest_test

import (
	"net/http"
	"strings"
	"testing"

	"fanout"
	"fanout/internal/proving/contracttest"
)

const (
	problem  = "Content-Type: application/problem+json"
	notFound = `{"type":"about:blank","title":"Not Found","status":404,"detail":"none"}`
	lease    = `{"lease_seconds":1,"interval_seconds":1}`
)

// The check finds whatever the contract does not name.
func TestCheck(t *testing.T) {
	contract, err := contracttest.Load(fanout.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		call    string
		status  int
		headers string // one a line
		body    string
		wrong   string // part of the error; empty for none
	}{
		"as it should be":              {"PUT /v1/peers/p1", 200, "Content-Type: application/json", lease, ""},
		"an undeclared property":       {"PUT /v1/peers/p1", 200, "Content-Type: application/json", `{"lease_seconds":1,"interval_seconds":1,"x":1}`, `"x" is unsupported`},
		"one further down":             {"GET /v1/peers", 200, "Content-Type: application/json", `{"peers":[{"id":"p","address":"a:1","last_seen":"2026-01-01T00:00:00Z","follow":true,"x":1}]}`, `"x" is unsupported`},
		"a missing property":           {"PUT /v1/peers/p1", 200, "Content-Type: application/json", `{"lease_seconds":1}`, `"interval_seconds" is missing`},
		"another type":                 {"PUT /v1/peers/p1", 200, "Content-Type: application/json", `{"lease_seconds":"1","interval_seconds":1}`, "number"},
		"two values":                   {"PUT /v1/peers/p1", 200, "Content-Type: application/json", lease + lease, "more than one"},
		"an undeclared header":         {"PUT /v1/peers/p1", 200, "Content-Type: application/json\nX-Debug: 1", lease, "X-Debug"},
		"an undeclared status":         {"PUT /v1/peers/p1", 202, "Content-Type: application/json", lease, "202 is no answer"},
		"an undeclared redirect":       {"GET /v1/peers", 301, "Location: /", "", "301 is no answer"},
		"an undeclared media type":     {"PUT /v1/peers/p1", 200, "Content-Type: text/plain", "ok", "text/plain is not"},
		"no media type":                {"PUT /v1/peers/p1", 200, "", lease, "Content-Type"},
		"an error in plain text":       {"GET /v1/peers", 500, "Content-Type: text/plain", "oops", "text/plain is not"},
		"an error as a problem":        {"GET /v1/files/a", 404, problem, notFound, ""},
		"another status in it":         {"GET /v1/files/a", 410, problem, notFound, "bad problem"},
		"a property of it":             {"GET /v1/files/a", 404, problem, `{"title":"Not Found","status":404,"detail":"none","x":1}`, `"x" is unsupported`},
		"content of a 204":             {"DELETE /v1/files/a", 204, "Content-Type: application/json", "{}", "has content"},
		"a call of another daemon":     {"GET /v1/downloads", 404, problem, notFound, ""},
		"served by the wrong daemon":   {"GET /v1/downloads", 200, "Content-Type: application/json", `{"downloads":[]}`, "no such path"},
		"no such path":                 {"GET /v1/nothing", 404, problem, notFound, ""},
		"a 405 without Allow":          {"POST /v1/peers", 405, problem, `{"title":"Method Not Allowed","status":405,"detail":"no"}`, "Allow"},
		"a 405":                        {"POST /v1/peers", 405, problem + "\nAllow: GET, HEAD", `{"title":"Method Not Allowed","status":405,"detail":"no"}`, ""},
		"a 405 that allows more":       {"POST /v1/peers", 405, problem + "\nAllow: GET, HEAD, PUT", `{"title":"Method Not Allowed","status":405,"detail":"no"}`, "Allow"},
		"an undeclared method":         {"PATCH /v1/peers", 200, "", "", "only [GET HEAD]"},
		"HEAD":                         {"HEAD /v1/peers", 200, "Content-Type: application/json", "", ""},
		"a header that is missing":     {"GET /", 304, `ETag: "0"`, "", "is missing"},
		"a header with another value":  {"GET /v1/events", 200, "Content-Type: text/event-stream\nCache-Control: public", "", "Cache-Control"},
		"an event that is no JSON":     {"GET /v1/events", 200, "Content-Type: text/event-stream\nCache-Control: no-store", "data: x\n\n", "no JSON"},
		"an event without an end":      {"GET /v1/events", 200, "Content-Type: text/event-stream\nCache-Control: no-store", "data: x\n", "no whole event"},
		"an event of another property": {"GET /v1/events", 200, "Content-Type: text/event-stream\nCache-Control: no-store", `data: {"x":1}` + "\n\n", `"x" is unsupported`},
	} {
		t.Run(name, func(t *testing.T) {
			method, target, _ := strings.Cut(c.call, " ")
			x := contracttest.Exchange{
				Tags: []string{"tracker", "ops", "page"}, Method: method, Target: target,
				Status: c.status, Header: http.Header{}, Body: []byte(c.body),
			}
			for line := range strings.Lines(c.headers) {
				name, value, _ := strings.Cut(line, ":")
				x.Header.Add(name, strings.TrimSpace(value))
			}
			err := contract.Check(x)
			if c.wrong == "" && err != nil {
				t.Error(err)
			}
			if c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
				t.Errorf("want an error that says %q, not: %v", c.wrong, err)
			}
		})
	}
}

// The same seed makes the same requests.
func TestGeneratorIsSeeded(t *testing.T) {
	contract, err := contracttest.Load(fanout.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	script := func(seed uint64) string {
		g := contracttest.NewGenerator(contract, []string{"tracker", "peer", "ops", "page"}, seed)
		var all strings.Builder
		for _, r := range g.Plain() {
			all.WriteString(r.String() + "\n")
		}
		for range 2000 {
			all.WriteString(g.Next().String() + "\n")
		}
		return all.String()
	}
	first, again, other := script(1), script(1), script(2)
	if first != again {
		t.Error("the same seed makes other requests")
	}
	if first == other {
		t.Error("another seed makes the same requests")
	}
}

package contracttest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// body is one that a call takes, or that its schema permits; empty for a call without.
func (g *Generator) body(c Call) string {
	if known := g.Bodies[c.OperationID]; len(known) > 0 && !g.one(4) {
		return pick(g, known)
	}
	if c.RequestBody == nil {
		return ""
	}
	media := c.RequestBody.Value.Content["application/json"]
	if media == nil {
		return pick(g, []string{"", "0\t127.0.0.1:1\n", "junk", "1\t127.0.0.1:1\n0\t127.0.0.1:1\n"})
	}
	text, err := json.Marshal(g.json("", media.Schema.Value))
	if err != nil {
		panic(err) // of what was decoded from YAML
	}
	return string(text)
}

// json is a value for a schema, with what is known for a property of this name.
func (g *Generator) json(name string, s *openapi3.Schema) any {
	if values := g.Known[name]; len(values) > 0 && s.Type.Is("string") && !g.one(4) {
		return pick(g, values)
	}
	switch {
	case s.Type.Is("object"):
		o := map[string]any{}
		for _, p := range sortedKeys(s.Properties) {
			if slices.Contains(s.Required, p) || g.one(2) {
				o[p] = g.json(p, s.Properties[p].Value)
			}
		}
		return o
	case s.Type.Is("array"):
		a := []any{}
		for !g.one(3) {
			a = append(a, g.json(name, s.Items.Value))
		}
		return a
	case s.Type.Is("integer"), s.Type.Is("number"):
		return pick(g, []any{0, 1, 7, 4096, -1, 1 << 40, 1.5})
	case s.Type.Is("boolean"):
		return g.one(2)
	}
	return g.ofSchema(s)
}

func sortedKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// spoiled is a body as it is, or with a mistake in it.
func (g *Generator) spoiled(body string) string {
	if g.one(2) {
		return body
	}
	var o map[string]any
	if g.one(3) || json.Unmarshal([]byte(body), &o) != nil {
		return pick(g, []string{
			"", "null", "[]", "{}", "0", `""`, "{", `{"a":`, "\xff", "file=image.bin", strings.Repeat("[", 2000), body[:len(body)/2], body + body, strings.Repeat("x", 100_000), " " + body + "\n",
		})
	}
	g.mutate(o)
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // of what was decoded from JSON
	}
	return string(text)
}

// mutate changes a property somewhere below o.
func (g *Generator) mutate(o map[string]any) {
	keys := sortedKeys(o)
	if len(keys) == 0 || g.one(6) {
		o["unknown"] = 1
		return
	}
	key := pick(g, keys)
	if below, ok := o[key].(map[string]any); ok && !g.one(3) {
		g.mutate(below)
		return
	}
	if g.one(4) {
		delete(o, key)
		return
	}
	o[key] = pick(g, []any{nil, 0, -1, 1.5, 1e300, true, "", "x", strings.ToValidUTF8(pick(g, odd), "?"), []any{}, []any{nil}, map[string]any{}, strings.Repeat("y", 3000)})
}

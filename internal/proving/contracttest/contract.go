package contracttest

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Contract is openapi.yaml.
type Contract struct{ doc *openapi3.T }

// Load reads a contract.
func Load(yaml []byte) (*Contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(yaml)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	for _, s := range doc.Components.Schemas {
		seal(s)
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for _, r := range op.Responses.Map() {
				sealContent(r.Value.Content)
			}
		}
	}
	return &Contract{doc}, nil
}

func sealContent(content openapi3.Content) {
	for _, media := range content {
		seal(media.Schema)
	}
}

// seal forbids properties that an object does not declare.
func seal(ref *openapi3.SchemaRef) {
	if ref == nil {
		return
	}
	s := ref.Value
	if s.Type.Is("object") && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
		no := false
		s.AdditionalProperties.Has = &no
	}
	for _, p := range s.Properties {
		seal(p)
	}
	seal(s.Items)
}

// Call is an operation of the contract.
type Call struct {
	Method, Path string // a template
	*openapi3.Operation
	Parameters openapi3.Parameters // those of the path too
}

// Calls are the operations with one of some tags, in an order that does not change.
func (c *Contract) Calls(tags []string) (calls []Call) {
	for _, path := range c.doc.Paths.InMatchingOrder() {
		item := c.doc.Paths.Value(path)
		for method, op := range item.Operations() {
			if serves(tags, op) {
				calls = append(calls, Call{method, path, op, slices.Concat(item.Parameters, op.Parameters)})
			}
		}
	}
	slices.SortFunc(calls, func(a, b Call) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
	return calls
}

func serves(tags []string, op *openapi3.Operation) bool {
	return slices.ContainsFunc(op.Tags, func(t string) bool { return slices.Contains(tags, t) })
}

// methods are what a daemon with some tags serves at the path of a request.
func (c *Contract) methods(tags []string, target string) map[string]*openapi3.Operation {
	methods := map[string]*openapi3.Operation{}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return methods
	}
	for template, item := range c.doc.Paths.Map() {
		if !matches(template, u.EscapedPath()) {
			continue
		}
		for method, op := range item.Operations() {
			if serves(tags, op) {
				methods[method] = op
			}
		}
	}
	if get := methods[http.MethodGet]; get != nil && methods[http.MethodHead] == nil {
		methods[http.MethodHead] = get
	}
	return methods
}

// matches compares a path with a template, segment by segment; a parameter is one of them. The
// router takes an empty one, which then is what is wrong with it, but not at the end.
func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i, w := range want {
		parameter := strings.HasPrefix(w, "{") && (got[i] != "" || i < len(got)-1)
		if w != got[i] && !parameter {
			return false
		}
	}
	return true
}

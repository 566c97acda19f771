package httpkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"

	"fanout/internal/daemon/oneline"
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// contract validates requests. It relies on chi for the routing, whose patterns are the
// contract's paths: a second router would have its own opinion about percent-encoding.
type contract struct {
	doc     *openapi3.T
	options openapi3filter.Options
	noBody  openapi3filter.Options // for bodies that are the handler's to read
}

func loadContract(yaml []byte) (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(yaml)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	doc.Servers = nil
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			leaveToHandler(op.RequestBody)
		}
	}
	options := openapi3filter.Options{
		SkipSettingDefaults: true, // would rewrite the request
		KeepValidatedValue:  true, // spares the generated code a second decoding
	}
	c := &contract{doc: doc, options: options, noBody: options}
	c.noBody.ExcludeRequestBody = true
	return c, nil
}

// leaveToHandler drops the schema of bodies other than JSON, which no decoder is known for;
// an empty one is as good as any there (the tracker file of an empty file).
func leaveToHandler(body *openapi3.RequestBodyRef) {
	if body == nil {
		return
	}
	for mediaType, content := range body.Value.Content {
		if mediaType != jsonType {
			content.Schema = nil
			body.Value.Required = false
		}
	}
}

// validate checks a request that chi has routed against its operation.
func (d *Daemon) validate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := d.contract.check(r); err != nil {
			d.Render(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *contract) check(r *http.Request) error {
	route, err := c.route(r)
	if err != nil {
		return err
	}
	params, err := pathParams(r)
	if err != nil {
		return err
	}
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil { // else what is malformed would be left out
		return Errorf(http.StatusBadRequest, "the query ?%s cannot be read: %w", oneline.Of(r.URL.RawQuery, maxWord), err)
	}
	settleHeaders(r, route.Operation.Parameters)
	if err := settleContentType(r, route.Operation.RequestBody); err != nil {
		return err
	}
	options := &c.noBody
	if body := route.Operation.RequestBody; body != nil && body.Value.Content[jsonType] != nil {
		options = &c.options
		if r.Body != nil && r.Body != http.NoBody {
			data, err := readJSON(r.Body)
			if err != nil {
				return refused(err)
			}
			r.Body = io.NopCloser(bytes.NewReader(data))
		}
	}
	err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route, Options: options,
	})
	if err != nil {
		return explain(err)
	}
	return nil
}

func (c *contract) route(r *http.Request) (*routers.Route, error) {
	pattern, method := routePattern(r), r.Method
	item := c.doc.Paths.Value(pattern)
	if method == http.MethodHead && item != nil && item.Head == nil {
		method = http.MethodGet
	}
	if item == nil || item.GetOperation(method) == nil {
		return nil, fmt.Errorf("%s %s is served but not in the contract", method, pattern)
	}
	return &routers.Route{
		Spec: c.doc, Path: pattern, PathItem: item, Method: method, Operation: item.GetOperation(method),
	}, nil
}

func pathParams(r *http.Request) (map[string]string, error) {
	params := map[string]string{}
	p := chi.RouteContext(r.Context()).URLParams
	for i, key := range p.Keys {
		value, err := url.PathUnescape(p.Values[i])
		if err != nil {
			return nil, Errorf(http.StatusBadRequest, "path parameter %s: %w", key, err).WithField(key)
		}
		params[key] = value
	}
	return params, nil
}

// settleHeaders makes one line of a header that came in several, as RFC 9110, section 5.3
// reads them, and drops an empty one: the generated code takes either for a mistake.
func settleHeaders(r *http.Request, params openapi3.Parameters) {
	r.Header = r.Header.Clone()
	for _, p := range params {
		if p.Value.In != openapi3.ParameterInHeader {
			continue
		}
		value := strings.Join(r.Header.Values(p.Value.Name), ", ")
		r.Header.Del(p.Value.Name)
		if value != "" {
			r.Header.Set(p.Value.Name, value)
		}
	}
}

// settleContentType gives a request without a usable Content-Type the operation's only one:
// `curl -T file` sends none, and `curl -d` claims that JSON is a form.
func settleContentType(r *http.Request, body *openapi3.RequestBodyRef) error {
	if body == nil {
		return nil
	}
	var declared []string
	for mediaType := range body.Value.Content {
		declared = append(declared, mediaType)
	}
	slices.Sort(declared)
	given, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return Errorf(http.StatusUnsupportedMediaType, "Content-Encoding is %q; this call takes a body as it is", oneline.Of(coding, maxWord)).WithField("Content-Encoding")
	}
	if len(declared) == 1 && (r.Header.Get("Content-Type") == "" || given == formType) {
		r.Header.Set("Content-Type", declared[0])
		return nil
	}
	if !slices.Contains(declared, given) {
		return Errorf(http.StatusUnsupportedMediaType, "Content-Type is %q; this call takes %s",
			r.Header.Get("Content-Type"), strings.Join(declared, " or ")).WithField("Content-Type")
	}
	return nil
}

// refused answers a body that could not be read.
func refused(err error) error {
	if limit, ok := isTooLong(err); ok {
		return tooLong(limit)
	}
	if errors.Is(err, context.Canceled) {
		return Errorf(http.StatusServiceUnavailable, "the daemon stops, or the client has left, before the request's body has come")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return Errorf(http.StatusRequestTimeout, "the request's body did not come within %s", bodyPause)
	}
	return &Error{Status: http.StatusBadRequest, Detail: err.Error()}
}

// explain says what the validator found in one line that names the field.
func explain(err error) error {
	var request *openapi3filter.RequestError
	if !errors.As(err, &request) {
		return err
	}
	// The validator's own text, which may quote all of the body, is neither told nor logged.
	e := &Error{Status: http.StatusBadRequest, Detail: "the request does not fit the contract"}
	var schema *openapi3.SchemaError
	switch {
	case errors.As(err, &schema):
		e.Field = fieldOf(request, schema)
		e.Detail = fmt.Sprintf("%s: %s%s", e.Field, schema.Reason, expectation(schema))
	case request.Parameter != nil:
		e.Field = request.Parameter.Name
		e.Detail = fmt.Sprintf("%s: %s", e.Field, innermost(request.Err))
	case errors.Is(err, openapi3filter.ErrInvalidRequired):
		e.Detail = "the request has no body; this call takes JSON"
	}
	return e
}

// fieldOf names the field that does not fit, dotted, or "body" for the body as a whole.
func fieldOf(request *openapi3filter.RequestError, schema *openapi3.SchemaError) string {
	path := strings.Join(schema.JSONPointer(), ".")
	switch {
	case request.Parameter != nil:
		return request.Parameter.Name
	case path == "":
		return "body"
	}
	return path
}

// expectation quotes the contract where the reason alone is a regular expression.
func expectation(schema *openapi3.SchemaError) string {
	if schema.SchemaField != "pattern" || schema.Schema == nil {
		return ""
	}
	s := ""
	if schema.Schema.Description != "" {
		s = "; expected: " + strings.TrimSuffix(schema.Schema.Description, ".")
	}
	if schema.Schema.Example != nil {
		s += fmt.Sprintf(", for example %v", schema.Schema.Example)
	}
	return s
}

func innermost(err error) string {
	var parse *openapi3filter.ParseError
	switch {
	case err == nil:
		return "it cannot be read"
	case errors.As(err, &parse) && parse.Value != nil:
		return fmt.Sprintf("%q: %s", parse.Value, parse.Reason)
	case parse != nil && parse.RootCause() != nil:
		return parse.RootCause().Error()
	}
	return err.Error()
}

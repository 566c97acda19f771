package contracttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// transport are the headers of HTTP itself, which no call need declare. Content-Type is
// declared with the content.
var transport = []string{"Connection", "Content-Length", "Content-Type", "Date", "Transfer-Encoding", "Vary"}

// Exchange is a request and its answer.
type Exchange struct {
	Tags           []string // what the daemon serves
	Method, Target string   // as sent; the target has path and query
	Status         int
	Header         http.Header
	Body           []byte
	Cut            bool // the body is longer than what was read of it
}

// Check says in what way an answer is not in the contract.
func (c *Contract) Check(x Exchange) error {
	response, err := c.response(x)
	if err != nil {
		return err
	}
	if err := checkHeaders(response, x.Header); err != nil {
		return err
	}
	return checkContent(response, x)
}

// response is what the contract has for the call and the status.
func (c *Contract) response(x Exchange) (*openapi3.Response, error) {
	methods := c.methods(x.Tags, x.Target)
	op := methods[x.Method]
	switch {
	case op == nil && x.Status == http.StatusForbidden: // refused before it is looked for
		return c.doc.Components.Responses["Forbidden"].Value, nil
	case len(methods) == 0 && x.Status == http.StatusNotFound:
		return c.doc.Components.Responses["NoSuchCall"].Value, nil
	case len(methods) == 0:
		return nil, fmt.Errorf("%d, but the contract has no such path", x.Status)
	case op == nil && x.Status == http.StatusMethodNotAllowed:
		return c.doc.Components.Responses["MethodNotAllowed"].Value, checkAllow(x, slices.Sorted(maps.Keys(methods)))
	case op == nil:
		return nil, fmt.Errorf("%d, but the contract has only %v there", x.Status, slices.Sorted(maps.Keys(methods)))
	}
	if r := op.Responses.Status(x.Status); r != nil {
		return r.Value, nil
	}
	if r := op.Responses.Default(); r != nil && x.Status >= 400 {
		return r.Value, nil
	}
	return nil, fmt.Errorf("%d is no answer of %s", x.Status, op.OperationID)
}

func checkAllow(x Exchange, want []string) error {
	got := strings.Split(x.Header.Get("Allow"), ", ")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("header Allow is %q, but the contract has %v", x.Header.Get("Allow"), want)
	}
	return nil
}

func checkHeaders(response *openapi3.Response, got http.Header) error {
	declared := map[string]*openapi3.Header{}
	for name, h := range response.Headers {
		declared[http.CanonicalHeaderKey(name)] = h.Value
	}
	for name, values := range got {
		h := declared[name]
		switch {
		case slices.Contains(transport, name):
			continue
		case h == nil:
			return fmt.Errorf("header %s is not in the contract: %q", name, values)
		case len(values) != 1:
			return fmt.Errorf("header %s came %d times", name, len(values))
		}
		if err := h.Schema.Value.VisitJSON(values[0]); err != nil {
			return fmt.Errorf("header %s is %q: %w", name, values[0], err)
		}
	}
	for name, h := range declared {
		if h.Required && got.Get(name) == "" {
			return fmt.Errorf("header %s is missing", name)
		}
	}
	return nil
}

func checkContent(response *openapi3.Response, x Exchange) error {
	contentType := x.Header.Get("Content-Type")
	if len(response.Content) == 0 {
		if contentType != "" || len(x.Body) > 0 {
			return fmt.Errorf("%d has content where the contract has none: %s", x.Status, contentType)
		}
		return nil
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("header Content-Type is %q: %w", contentType, err)
	}
	media := response.Content[mediaType]
	switch {
	case media == nil:
		return fmt.Errorf("media type %s is not in the contract: %.200s", mediaType, x.Body)
	case x.Method == http.MethodHead && len(x.Body) > 0:
		return errors.New("a body after HEAD")
	case x.Method == http.MethodHead:
		return nil
	case mediaType == "text/event-stream":
		return checkEvents(media.Schema.Value, x)
	case mediaType == "application/problem+json":
		return errors.Join(checkJSON(media.Schema.Value, x.Body), checkProblem(x))
	case mediaType == "application/json":
		return checkJSON(media.Schema.Value, x.Body)
	}
	return nil
}

func checkJSON(schema *openapi3.Schema, text []byte) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	var value any
	if err := d.Decode(&value); err != nil {
		return fmt.Errorf("no JSON: %w: %.200s", err, text)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more than one JSON value: %.200s", text)
	}
	return schema.VisitJSON(value, openapi3.VisitAsResponse(), openapi3.EnableFormatValidation())
}

func checkProblem(x Exchange) error {
	var p struct {
		Status        int
		Title, Detail string
	}
	if err := json.Unmarshal(x.Body, &p); err != nil {
		return err
	}
	if p.Status != x.Status || p.Title != http.StatusText(x.Status) || p.Detail == "" || strings.Contains(p.Detail, "\n") {
		return fmt.Errorf("a bad problem for a %d: %s", x.Status, x.Body)
	}
	return nil
}

// checkEvents checks the data of every event that was read whole.
func checkEvents(schema *openapi3.Schema, x Exchange) error {
	events := strings.Split(string(x.Body), "\n\n")
	if len(events) < 2 || !x.Cut && events[len(events)-1] != "" {
		return fmt.Errorf("no whole event: %.200s", x.Body)
	}
	for _, e := range events[:len(events)-1] {
		for line := range strings.SplitSeq(e, "\n") {
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				if err := checkJSON(schema, []byte(data)); err != nil {
					return err
				}
			} else if !strings.HasPrefix(line, "event: ") && !strings.HasPrefix(line, "id: ") && !strings.HasPrefix(line, ":") {
				return fmt.Errorf("not a line of an event: %q", line)
			}
		}
	}
	return nil
}

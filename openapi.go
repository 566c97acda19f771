// Package fanout holds the HTTP contract, openapi.yaml, for the daemons to serve and to
// validate requests against. It knows nothing else.
package fanout

import _ "embed"

// OpenAPI is the contract, as YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Package trackerapi holds the models, strict chi server and client of the tracker's HTTP
// interface, generated from openapi.yaml. It knows no daemon: those import it.
package trackerapi

//go:generate go tool oapi-codegen -config config.yaml ../../openapi.yaml

// Package peerapi holds the models, strict chi server and client of the peer's HTTP
// interface, generated from openapi.yaml. It knows no daemon: those import it.
package peerapi

//go:generate go tool oapi-codegen -config config.yaml ../../openapi.yaml

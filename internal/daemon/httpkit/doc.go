// Package httpkit is what the HTTP side of every daemon has in common: the router with
// health, metrics and contract, request validation, problem responses (RFC 9457), request
// log and histogram, listeners, serving with a bounded shutdown, logger and build
// information.
//
// It knows no daemon: it must not import tracker, origin, peerd or the generated api
// packages. What a domain error means in HTTP is told to it by Options.Map, and the status
// is then chosen in one place, problems.of.
package httpkit

// Package contracttest holds what daemons answer against openapi.yaml, more strictly than a
// client would: a status, a media type, a header or a JSON property that the contract does not
// name is a mistake, and so is a call that answers where there is none.
//
// Contract judges an exchange; Generator thinks of requests, right, wrong and random ones.
package contracttest

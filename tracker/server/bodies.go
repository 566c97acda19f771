package server

import (
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/httpkit"
)

// How long what lists grow with may be, bytes.
const (
	digestText   = 80 // a digest as JSON: 67, and room for the indentation of a document for people
	ownerLine    = 64 // of a tracker file: a chunk, and an IPv6 address with its port
	bitmapText   = (manifest.MaxChunks/8 + 2) / 3 * 4
	rolloutPeers = 10_000 // of a rollout, as in the contract
	peerIDText   = 80     // 64 characters, quoted, and room for indentation
	bitmapsTold  = 2      // held and owned
)

// bodies are the limits of the calls that take more than others. They agree with the most
// chunks that a file may have.
var bodies = map[string]int64{
	"PUT /v1/files/{name}":           httpkit.SmallBody + manifest.MaxChunks*digestText,
	"PUT /v1/files/{name}/chunks":    httpkit.SmallBody + manifest.MaxChunks*ownerLine,
	"POST /v1/files/{name}/announce": httpkit.SmallBody + bitmapsTold*bitmapText,
	"PUT /v1/files/{name}/rollout":   httpkit.SmallBody + rolloutPeers*peerIDText,
}

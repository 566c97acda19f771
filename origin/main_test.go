package main

import (
	"strings"
	"testing"

	"fanout/internal/chunks/wire"
	"fanout/internal/daemon/cli/clitest"
)

func TestFlags(t *testing.T) {
	clitest.Grammar(t, func() any { return &grammar{} })
}

// Whatever address an origin is told by, it has an ID that the tracker takes.
func TestIDOf(t *testing.T) {
	seen := map[string]bool{}
	for _, address := range []string{
		"10.0.0.1:2684", "[fe80::1%eth0]:2684", "media.example:2684",
		strings.Repeat("long-", 20) + "a.example:2684", strings.Repeat("long-", 20) + "b.example:2684",
	} {
		id := idOf(address)
		if err := wire.ValidPeerID(id); err != nil || seen[id] || !strings.HasPrefix(id, "origin-") {
			t.Errorf("%s: %q, seen before: %v, %v", address, id, seen[id], err)
		}
		seen[id] = true
	}
}

package main

import (
	"testing"

	"fanout/internal/daemon/cli/clitest"
)

func TestFlags(t *testing.T) {
	clitest.Grammar(t, func() any { return &grammar{} })
}

// Command liar is a hostile member of a file's swarm, for tests and the lab. It lies: it announces
// itself as a complete peer and answers every request with wrong bytes. Or, with --does, it does
// another of the things that cost others time.
package main

import (
	"context"

	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/trackerclient"
)

type grammar struct {
	Tracker  string `required:"" placeholder:"URL" help:"The tracker."`
	Listen   string `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where to serve, with lie and claim (${default})."`
	ID       string `default:"liar" help:"The peer ID, or what those of all sessions begin with."`
	Does     string `default:"lie" enum:"lie,claim,mute,idle,drip" help:"lie: serve wrong bytes; claim: say that it has everything, and send nothing; mute: ask for everything, and read nothing; idle: be connected; drip: send what nobody asked for, byte by byte (${default})."`
	Sessions int    `default:"1" placeholder:"N" help:"With mute, idle and drip, how many sessions with every daemon (${default})."`
	File     string `arg:"" help:"Name of the published file."`
}

func main() { cli.Main("liar", "A hostile member of a swarm, to test the others.", &grammar{}) }

// member is one that takes part in the swarm of a file.
type member struct {
	grammar
	tracker *trackerclient.Client
	file    *manifest.Manifest
	id      manifest.ID
}

// Run implements the command.
func (g *grammar) Run(ctx context.Context) error {
	tracker, err := trackerclient.New(g.Tracker)
	if err != nil {
		return err
	}
	m := &member{grammar: *g, tracker: tracker}
	if m.file, m.id, err = tracker.Manifest(ctx, g.File); err != nil {
		return err
	}
	switch g.Does {
	case "lie":
		return m.serve(ctx, m.lie)
	case "claim":
		m.Sessions = 1 // its ID is that under which it is listed
		go m.besiege(ctx, m.claim)
		return m.serve(ctx, ignore)
	case "mute":
		m.besiege(ctx, m.mute)
	case "idle":
		m.besiege(ctx, idle)
	case "drip":
		m.besiege(ctx, m.drip)
	}
	return nil
}

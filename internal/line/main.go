//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"fanout/internal/cli"
	"fanout/internal/units"
)

// The first thread keeps its namespace: see attach.
func init() { runtime.LockOSThread() }

type grammar struct {
	Delay  time.Duration `default:"0s" help:"How long a frame is on the way, one way."`
	Loss   float64       `default:"0" help:"How many per cent of the frames never arrive."`
	Seed   uint64        `default:"1" help:"Which of them."`
	Memory units.Size    `default:"256MiB" help:"The most that frames on the way may take."`
	Loops  int           `default:"1" help:"Threads that carry frames."`
}

func main() {
	cli.Main("line", "Delay and loss for the lab's links, which stdin names.", &grammar{})
}

// Run implements the command.
func (g *grammar) Run(ctx context.Context, out io.Writer) error {
	if g.Delay < 0 || g.Loss < 0 || g.Loss > 100 || g.Loops < 1 {
		return errors.New("a delay is not negative, a loss is 0 to 100 per cent, and there is at least one loop")
	}
	orders := bufio.NewReader(os.Stdin)
	first, err := orders.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read links: %w", err)
	}
	var links []link
	if err := json.Unmarshal(first, &links); err != nil {
		return fmt.Errorf("read links: %w", err)
	}
	l, err := g.newLine(links, out)
	if err != nil {
		return err
	}
	defer l.close()
	fmt.Fprintln(out, "ready")
	return l.run(ctx, orders)
}

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
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/units"
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
	if g.Delay < 0 || !(g.Loss >= 0 && g.Loss <= 100) || g.Loops < 1 {
		return errors.New("a delay is not negative, a loss is 0 to 100 per cent, and there is at least one loop")
	}
	runFirst()
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

// runFirst puts the process before all programs, for which a link does not wait. Nice values
// would not do, since the kernel compares them within a session only. Nor would it do for the
// threads of the loops alone, which may wait for what another thread of the Go runtime holds.
// Where it is not allowed, frames are late on a busy machine, which the report tells.
func runFirst() {
	for range 2 { // a thread has the priority of the one that made it, which may be about to get it
		tasks, _ := os.ReadDir("/proc/self/task")
		for _, t := range tasks {
			if tid, err := strconv.Atoi(t.Name()); err == nil {
				unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
			}
		}
	}
}

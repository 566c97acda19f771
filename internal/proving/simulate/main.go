// Command simulate lets swarms happen that no machine here could hold: a thousand peers, racks,
// members that freeze, lie or leave. It runs what the daemons decide with in the virtual lab
// (internal/proving/virtual), prints a table, draws a plot, and keeps everything that is needed to
// let the same happen again, the seed among it.
//
// It must not know how anything is decided, or modelled.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/units"
	"fanout/internal/proving/virtual"
)

type grammar struct {
	Run run `cmd:"" default:"withargs" help:"Let the scenarios happen, and tell how long everybody took."`
}

type run struct {
	Scenario []string       `default:"equal" placeholder:"NAME" help:"One or several scenarios, or all (${default})."`
	Strategy []string       `default:"swarm" placeholder:"NAME" help:"One or several of direct, static and swarm (${default})."`
	Peers    []string       `placeholder:"N" help:"Numbers of peers (8; 32 for small)."`
	Size     *units.Size    `placeholder:"SIZE" help:"Of the file (64MiB; 4MiB for small)."`
	Chunk    *units.Size    `name:"chunk-size" placeholder:"SIZE" help:"Of a chunk (as the origin chooses)."`
	Rate     *units.Rate    `placeholder:"RATE" help:"Of every link that the scenario does not make slower, both ways (100Mbit; 5Mbit for small)."`
	Trunk    *units.Rate    `placeholder:"RATE" help:"Between racks (half of --rate)."`
	Delay    *time.Duration `placeholder:"TIME" help:"From one machine to another (50us)."`
	Network  string         `default:"mininet" enum:"mininet,machines" help:"mininet: all machines share a kernel, as in Mininet, whose TCP then keeps queues short; machines: each has its own (${default})."`
	Repeat   int            `default:"1" placeholder:"N" help:"Runs per point, with seeds that count up (${default})."`
	Seed     *uint64        `placeholder:"N" help:"Of the first run (drawn, and recorded)."`
	Out      string         `placeholder:"DIR" help:"Where to keep results and plot (simulations/DATE-TIME)."`
}

const about = "Simulate the distribution of a file, with the code that decides in the daemons. Scenarios: "

func main() { cli.Main("simulate", about+scenarios(), &grammar{}) }

// scenarios is what the scenarios are.
func scenarios() string {
	names, what := virtual.Scenarios()
	var all []string
	for i := range names {
		all = append(all, names[i]+": "+what[i])
	}
	return strings.Join(all, "; ") + "."
}

// Run implements the command.
func (c *run) Run(ctx context.Context, stdout io.Writer) error {
	plans, err := c.plans()
	if err != nil {
		return err
	}
	keep, err := newKeeper(c.Out)
	if err != nil {
		return err
	}
	defer keep.close()
	var failed error
	fmt.Fprintln(stdout, header)
	for _, p := range plans {
		r, err := measured(ctx, p)
		if err != nil {
			return fmt.Errorf("%s, %d peers, seed %d: %w", p.Scenario, p.Peers, p.Seed, err)
		}
		fmt.Fprintln(stdout, r)
		if err := keep.add(r); err != nil {
			return err
		}
		failed = errors.Join(failed, r.Err())
	}
	path, err := keep.plot()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nresults and plot are in %s; the plot is %s\n", keep.dir, path)
	return failed
}

// plans are all combinations of what was given.
func (c *run) plans() (all []virtual.Plan, err error) {
	names, _ := virtual.Scenarios()
	if len(c.Scenario) == 1 && c.Scenario[0] == "all" {
		c.Scenario = names
	}
	if c.Repeat < 1 {
		return nil, fmt.Errorf("--repeat %d: give 1 or more", c.Repeat)
	}
	seed := rand.Uint64N(1e6)
	if c.Seed != nil {
		seed = *c.Seed
	}
	for _, scenario := range c.Scenario {
		numbers, err := c.numbers(scenario)
		if err != nil {
			return nil, err
		}
		for _, strategy := range c.Strategy {
			for _, peers := range numbers {
				for i := range c.Repeat {
					p := c.plan(scenario)
					p.Strategy, p.Peers, p.Seed = virtual.Strategy(strategy), peers, seed+uint64(i)
					if err := p.Check(); err != nil {
						return nil, err
					}
					all = append(all, p)
				}
			}
		}
	}
	return all, nil
}

func (c *run) numbers(scenario string) (all []int, err error) {
	if len(c.Peers) == 0 {
		return []int{virtual.Defaults(scenario).Peers}, nil
	}
	for _, text := range c.Peers {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("--peers %s: give a number", text)
		}
		all = append(all, n)
	}
	return all, nil
}

// plan is a scenario's usual one with what was given.
func (c *run) plan(scenario string) virtual.Plan {
	p := virtual.Defaults(scenario)
	if c.Size != nil {
		p.Size = int64(*c.Size)
	}
	if c.Chunk != nil {
		p.Chunk = int64(*c.Chunk)
	}
	if c.Rate != nil {
		p.Rate = 8 * float64(*c.Rate)
	}
	if c.Trunk != nil {
		p.Trunk = 8 * float64(*c.Trunk)
	}
	if c.Delay != nil {
		p.Delay = *c.Delay
	}
	p.OneKernel = c.Network == "mininet"
	return p
}

// keeper writes results down as they come.
type keeper struct {
	dir  string
	file *os.File
	all  []result
}

func newKeeper(dir string) (*keeper, error) {
	if dir == "" {
		dir = filepath.Join("simulations", time.Now().Format("20060102-150405"))
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("--out %s: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "results.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	return &keeper{dir: dir, file: f}, nil
}

func (k *keeper) close() { k.file.Close() }

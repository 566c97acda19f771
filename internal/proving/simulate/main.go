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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"fanout/internal/daemon/cli"
	"fanout/internal/daemon/units"
	"fanout/internal/proving/virtual"
)

type run struct {
	Scenario []string       `default:"equal" placeholder:"NAME" help:"One or several scenarios, or all (${default}). ${scenarios}"`
	Strategy []string       `default:"swarm" placeholder:"NAME" help:"One or several of direct, static and swarm (${default})."`
	Peers    []string       `placeholder:"N" help:"Numbers of peers (8; 32 for small)."`
	Size     *units.Size    `placeholder:"SIZE" help:"Of the file (64MiB; 4MiB for small)."`
	Chunk    *units.Size    `name:"chunk-size" placeholder:"SIZE" help:"Of a chunk (as the origin chooses)."`
	Rate     *units.Rate    `placeholder:"RATE" help:"Of every link that the scenario does not make slower, both ways (100Mbit; 5Mbit for small)."`
	Trunk    *units.Rate    `placeholder:"RATE" help:"Between racks (half of the rate)."`
	Delay    *time.Duration `placeholder:"TIME" help:"From one machine to another (50us)."`
	Network  string         `default:"mininet" enum:"mininet,machines" help:"mininet: all machines share a kernel, as in Mininet, whose TCP then keeps queues short; machines: each has its own (${default})."`
	Repeat   int            `default:"1" placeholder:"N" help:"Runs per point, with seeds that count up (${default})."`
	Seed     *uint64        `placeholder:"N" help:"Of the first run (drawn, and recorded)."`
	Out      string         `placeholder:"DIR" help:"Where to keep results and plot, a new directory (simulations/DATE-TIME)."`

	plans []virtual.Plan
}

// mostRepeats is more than anybody has time for.
const mostRepeats = 10_000

const about = "Simulate the distribution of a file, with the code that decides in the daemons."

func main() { cli.Main("simulate", about, &run{}, scenarios()) }

// scenarios is what the scenarios are, for the help.
func scenarios() kong.Option {
	names, what := virtual.Scenarios()
	var all []string
	for i := range names {
		all = append(all, names[i]+": "+what[i])
	}
	return kong.Vars{"scenarios": strings.Join(all, "; ") + "."}
}

// Run implements the command.
func (c *run) Run(ctx context.Context, stdout io.Writer) error {
	keep, err := newKeeper(c.Out)
	if err != nil {
		return err
	}
	defer keep.close()
	var failed error
	fmt.Fprintln(stdout, header)
	for _, p := range c.plans {
		r, err := measured(ctx, p)
		if err == nil {
			fmt.Fprintln(stdout, r)
			if err := keep.add(r); err != nil {
				return err
			}
			err = r.Err()
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s, %s, %d peers, seed %d: %w", p.Scenario, p.Strategy, p.Peers, p.Seed, err))
		}
		if errors.Is(err, context.Canceled) {
			break
		}
	}
	if ctx.Err() != nil && failed != nil {
		failed = cli.Interrupted{Then: failed.Error()}
	}
	return errors.Join(failed, keep.show(stdout))
}

// Validate makes plans of all combinations of what was given.
func (c *run) Validate() error {
	for _, list := range [][]string{c.Scenario, c.Strategy, c.Peers} {
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
	}
	every := slices.Contains(c.Scenario, "all")
	if every && len(c.Scenario) > 1 {
		return fmt.Errorf("--scenario %s: all is every scenario: give it alone", strings.Join(c.Scenario, ","))
	}
	if every {
		c.Scenario, _ = virtual.Scenarios()
	}
	if c.Trunk != nil && !slices.Contains(c.Scenario, "racks") {
		return errors.New("--trunk: only the scenario racks has one: give --scenario racks, too, or leave it out")
	}
	if c.Repeat < 1 || c.Repeat > mostRepeats {
		return fmt.Errorf("--repeat %d: give 1 to %d", c.Repeat, mostRepeats)
	}
	seed := rand.Uint64N(1e6)
	if c.Seed != nil {
		seed = *c.Seed
	}
	for _, scenario := range c.Scenario {
		numbers, err := c.numbers(scenario)
		if err != nil {
			return err
		}
		for _, strategy := range c.Strategy {
			for _, peers := range numbers {
				for i := range c.Repeat {
					p := c.plan(scenario)
					p.Strategy, p.Peers, p.Seed = virtual.Strategy(strategy), peers, seed+uint64(i)
					switch err := p.Check(); {
					case err == nil:
						c.plans = append(c.plans, p)
					case !every || !errors.Is(err, virtual.ErrNeedsSwarm):
						return err
					}
				}
			}
		}
	}
	return nil
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
		p.Trunk = p.Rate / 2
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

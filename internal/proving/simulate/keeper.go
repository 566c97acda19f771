package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// keeper writes results down as they come.
type keeper struct {
	dir  string
	file *os.File
	all  []result
}

// newKeeper makes the directory; one that has results already is left alone.
func newKeeper(dir string) (*keeper, error) {
	if dir == "" {
		dir = filepath.Join("simulations", time.Now().Format("20060102-150405.000"))
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("--out %s: give a new directory: %w", dir, err)
	}
	name := filepath.Join(dir, "results.jsonl")
	if was, err := os.Stat(name); err == nil && was.Size() > 0 {
		return nil, fmt.Errorf("--out %s: it holds results already: give a new directory", dir)
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("--out %s: give a directory that may be written to: %w", dir, err)
	}
	return &keeper{dir: dir, file: f}, nil
}

func (k *keeper) close() { k.file.Close() }

// add keeps a result.
func (k *keeper) add(r result) error {
	k.all = append(k.all, r)
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = k.file.Write(append(line, '\n'))
	return err
}

// show draws the plot, and says where everything is.
func (k *keeper) show(stdout io.Writer) error {
	points := k.points()
	if len(points) == 0 {
		fmt.Fprintln(stdout, "\nno run was finished, nothing is kept")
		err := os.Remove(k.file.Name())
		os.Remove(k.dir) // if nothing else is in it
		return err
	}
	drawn := points[:min(len(points), mostCurves)]
	path, err := plotted(drawn, k.dir)
	if err != nil {
		return err
	}
	of := ""
	if len(drawn) < len(points) {
		of = fmt.Sprintf(", of the first %d of %d kinds of run,", len(drawn), len(points))
	}
	fmt.Fprintf(stdout, "\nresults are in %s; the plot%s is %s\n", k.dir, of, path)
	return nil
}

// points are the runs with the first seed of each scenario, strategy and number of peers.
func (k *keeper) points() (first []result) {
	type point struct {
		scenario, strategy string
		peers              int
	}
	seen := map[point]bool{}
	for _, r := range k.all {
		if p := (point{r.Plan.Scenario, string(r.Plan.Strategy), r.Plan.Peers}); !seen[p] {
			seen[p] = true
			first = append(first, r)
		}
	}
	return first
}

//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"sync"

	"golang.org/x/sync/errgroup"
)

// line is all links.
type line struct {
	taps  []*tap
	loops []*loop

	mu  sync.Mutex // for reports
	out io.Writer
}

// newLine attaches the ends of all links.
func (g *grammar) newLine(links []link, out io.Writer) (_ *line, err error) {
	l := &line{out: out}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	ends := make([][]*end, min(g.Loops, max(1, len(links))))
	for i, k := range links {
		a, err := l.attach(k.A)
		if err != nil {
			return nil, err
		}
		b, err := l.attach(k.B)
		if err != nil {
			return nil, err
		}
		a.far, b.far = b, a
		a.rng, b.rng = rand.New(rand.NewPCG(g.Seed, uint64(2*i))), rand.New(rand.NewPCG(g.Seed, uint64(2*i+1)))
		ends[i%len(ends)] = append(ends[i%len(ends)], a, b)
	}
	for _, e := range ends {
		o, err := newLoop(e, g.Delay, g.Loss/100, int(g.Memory)/len(ends))
		if err != nil {
			return nil, err
		}
		l.loops = append(l.loops, o)
	}
	return l, nil
}

func (l *line) attach(d device) (*end, error) {
	t, err := attach(d)
	if err != nil {
		return nil, err
	}
	l.taps = append(l.taps, t)
	return &end{name: t.name, fd: t.fd}, nil
}

// run carries frames until ctx is done, orders end, or a device is gone. It ends with a report.
func (l *line) run(ctx context.Context, orders *bufio.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	for _, o := range l.loops {
		g.Go(o.run)
	}
	g.Go(func() error { // waited for, since close gives the descriptors back
		<-ctx.Done()
		for _, o := range l.loops {
			o.end()
		}
		return nil
	})
	go func() {
		defer cancel()
		for {
			if _, err := orders.ReadBytes('\n'); err != nil {
				return
			}
			if err := l.say(); err != nil {
				return
			}
		}
	}()
	return errors.Join(g.Wait(), l.say())
}

// say writes a report.
func (l *line) say() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum tally
	for _, o := range l.loops {
		t := o.take()
		sum.add(&t)
	}
	var overrun uint64
	for _, t := range l.taps {
		n, err := t.overrun()
		if err != nil {
			return err
		}
		overrun += n
	}
	return json.NewEncoder(l.out).Encode(sum.report(overrun))
}

func (l *line) close() {
	for _, o := range l.loops {
		o.close()
	}
	for _, t := range l.taps {
		t.close()
	}
}

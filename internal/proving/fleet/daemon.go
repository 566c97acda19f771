package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// pollEvery is the pause between two looks at a daemon that is starting.
	pollEvery = 20 * time.Millisecond
	// portTries is how often a first launch is tried with other ports.
	portTries = 5
	// portTaken is what a daemon says of a port in use.
	portTaken = "another process listens there"
)

// ErrExited is returned where a daemon ended that should run.
var ErrExited = errors.New("has ended")

// Daemon is one process, or the plan of one.
type Daemon struct {
	addresses
	fleet   *Fleet
	kind    kind
	name    string
	binary  string
	log     string
	client  *http.Client
	command func() ([]string, error) // arguments, once the addresses are known

	mu      sync.Mutex
	process *process // the last one; nil before the first launch
}

// Name is the name that the daemon was given.
func (d *Daemon) Name() string { return d.name }

// Use has launches from now on run another program, such as that of an earlier version.
func (d *Daemon) Use(binary string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.binary = binary
}

// Start launches the daemon and waits until it is ready.
func (d *Daemon) Start(ctx context.Context) error {
	if err := d.Launch(ctx); err != nil {
		return err
	}
	return d.Ready(ctx)
}

// Restart stops the daemon if it runs, and starts it with the same arguments and addresses.
func (d *Daemon) Restart(ctx context.Context) error {
	if err := d.Stop(); err != nil {
		return err
	}
	return d.Start(ctx)
}

// Launch starts the process and waits until it answers HTTP, ready or not. The error of one
// that ends instead is ErrExited.
func (d *Daemon) Launch(ctx context.Context) error {
	fresh := d.HTTPAddress() == ""
	for try := 1; ; try++ {
		p, err := d.run(fresh)
		if err == nil {
			err = d.answers(ctx, p, "/livez")
		}
		if err == nil {
			return nil
		}
		if !fresh || try == portTries || !strings.Contains(err.Error(), portTaken) {
			return err
		}
	}
}

// Ready waits until the daemon answers /readyz with 200.
func (d *Daemon) Ready(ctx context.Context) error {
	p := d.current()
	if p == nil {
		return fmt.Errorf("%s has not been launched", d.name)
	}
	return d.answers(ctx, p, "/readyz")
}

// run starts a process, at new addresses if fresh.
func (d *Daemon) run(fresh bool) (*process, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.process != nil && !d.process.over() {
		return nil, fmt.Errorf("%s is running already", d.name)
	}
	if fresh {
		ports, err := freePorts(2)
		if err != nil {
			return nil, err
		}
		if d.kind == kindTracker {
			ports[0] = "" // it sends no chunks
		}
		d.addresses.set(ports[0], ports[1])
	}
	args, err := d.command()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", d.name, err)
	}
	if level := d.fleet.cfg.LogLevel; level != "" {
		args = append([]string{"--log-level", level}, args...)
	}
	p, err := spawn(d.binary, args, d.fleet.cfg.Env, d.log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", d.name, err)
	}
	d.process = p
	return p, nil
}

// answers polls a path until it answers 200, the process ends or the time is up.
func (d *Daemon) answers(ctx context.Context, p *process, path string) error {
	ctx, cancel := context.WithTimeout(ctx, d.fleet.cfg.ReadyTimeout)
	defer cancel()
	for {
		_, reason := fetch(ctx, d.client, d.URL()+path)
		if reason == nil && !p.over() { // else it was another process that answered
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s %w: %s", d.name, ErrExited, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w): GET %s: %w; its log is %s", d.name, ctx.Err(), path, reason, d.log)
		case <-time.After(pollEvery):
		}
	}
}

func (d *Daemon) current() *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.process
}

// PID of the process; 0 before the first launch.
func (d *Daemon) PID() int {
	if p := d.current(); p != nil {
		return p.cmd.Process.Pid
	}
	return 0
}

// Running says whether the process has been launched and not ended.
func (d *Daemon) Running() bool {
	p := d.current()
	return p != nil && !p.over()
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (d *Daemon) Kill() error {
	p := d.current()
	if p == nil || p.over() {
		return fmt.Errorf("kill %s: it does not run", d.name)
	}
	if err := p.kill(); err != nil {
		return fmt.Errorf("kill %s: %w", d.name, err)
	}
	return nil
}

// Abort has the process print all its goroutines to its log and end. To abort one that does
// not run is no error.
func (d *Daemon) Abort() {
	if p := d.current(); p != nil && !p.over() {
		p.abort()
	}
}

// Stop ends the process with SIGTERM, and with Abort should it not have ended in time,
// which is an error, as is an exit code other than 0 or 130. To stop one that does not run
// is no error.
func (d *Daemon) Stop() error {
	p := d.current()
	if p == nil || p.over() {
		return nil
	}
	if err := p.stop(d.fleet.cfg.StopTimeout); err != nil {
		return fmt.Errorf("stop %s: %w", d.name, err)
	}
	return nil
}

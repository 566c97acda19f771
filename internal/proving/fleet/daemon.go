package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// abortWithin is how long a daemon may take to print its goroutines.
	abortWithin = 5 * time.Second
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
	fleet   *Fleet
	kind    kind
	name    string
	binary  string
	log     string
	client  *http.Client
	command func(addresses) ([]string, error)

	mu        sync.Mutex
	addresses addresses
	process   *process
}

type addresses struct{ chunks, http string }

// process is one run of a daemon.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	err    error // of Wait; read it after ended
	logged int64 // size of the log before it
}

// Name is the name that the daemon was given.
func (d *Daemon) Name() string { return d.name }

// ChunkAddress is host:port of the chunk protocol; empty before the first launch and for a
// tracker.
func (d *Daemon) ChunkAddress() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kind == kindTracker {
		return ""
	}
	return d.addresses.chunks
}

// HTTPAddress is host:port of the HTTP interface; empty before the first launch.
func (d *Daemon) HTTPAddress() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.addresses.http
}

// URL of the HTTP interface, without a slash at the end.
func (d *Daemon) URL() string { return "http://" + d.HTTPAddress() }

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
		d.addresses = addresses{ports[0], ports[1]}
	}
	p, err := d.spawn()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", d.name, err)
	}
	d.process = p
	return p, nil
}

func (d *Daemon) spawn() (*process, error) {
	args, err := d.command(d.addresses)
	if err != nil {
		return nil, err
	}
	if level := d.fleet.cfg.LogLevel; level != "" {
		args = append([]string{"--log-level", level}, args...)
	}
	log, err := os.OpenFile(d.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	info, err := log.Stat()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(d.binary, args...), ended: make(chan struct{}), logged: info.Size()}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(withoutTwins(os.Environ()), d.fleet.cfg.Env...)
	p.cmd.SysProcAttr = ProcessAttributes()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// withoutTwins drops the variables that would act as flags.
func withoutTwins(env []string) []string {
	var kept []string
	for _, v := range env {
		if !strings.HasPrefix(v, "FANOUT_") {
			kept = append(kept, v)
		}
	}
	return kept
}

// answers polls a path until it answers 200, the process ends or the time is up.
func (d *Daemon) answers(ctx context.Context, p *process, path string) error {
	ctx, cancel := context.WithTimeout(ctx, d.fleet.cfg.ReadyTimeout)
	defer cancel()
	for {
		reason := d.get(ctx, path)
		if reason == nil && !p.over() { // else it was another process that answered
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s %w: %s", d.name, ErrExited, d.tail(p))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready (%w): GET %s: %w; its log is %s", d.name, ctx.Err(), path, reason, d.log)
		case <-time.After(pollEvery):
		}
	}
}

func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
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

// Exited is closed when the process that runs now has ended; nil before the first launch.
func (d *Daemon) Exited() <-chan struct{} {
	if p := d.current(); p != nil {
		return p.ended
	}
	return nil
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
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", d.name, err)
	}
	<-p.ended
	return nil
}

// Abort has the process print all its goroutines to its log and end. To abort one that does
// not run is no error.
func (d *Daemon) Abort() {
	p := d.current()
	if p == nil || p.over() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.ended:
	case <-time.After(abortWithin): // it was stopped, with SIGSTOP or by the kernel
		_ = p.cmd.Process.Kill()
		<-p.ended
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
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", d.name, err)
	}
	select {
	case <-p.ended:
	case <-time.After(d.fleet.cfg.StopTimeout):
		d.Abort()
		return fmt.Errorf("stop %s: killed, for it had not ended %v after SIGTERM; its log is %s", d.name, d.fleet.cfg.StopTimeout, d.log)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 && code != interrupted {
		return fmt.Errorf("stop %s: %w: %s", d.name, p.err, d.tail(p))
	}
	return nil
}

// interrupted is the exit code of a daemon that a signal stopped before it was done.
const interrupted = 130

package fleet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// abortWithin is how long a daemon may take to print its goroutines.
	abortWithin = 5 * time.Second
	// tailBytes is how much of a log an error quotes.
	tailBytes = 2000
	// interrupted is the exit code of a daemon that a signal stopped before it was done.
	interrupted = 130
)

// process is one run of a daemon.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	err    error  // of Wait; read it after ended
	log    string // a file, which it appends to
	logged int64  // size of the log before it
}

// spawn starts a process with this environment added to that of the caller.
func spawn(binary string, args, env []string, path string) (*process, error) {
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	info, err := log.Stat()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(binary, args...), ended: make(chan struct{}), log: path, logged: info.Size()}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(withoutTwins(os.Environ()), env...)
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

func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill ends the process with SIGKILL and waits until it is gone.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return nil
}

// abort has the process print all its goroutines to its log and end.
func (p *process) abort() {
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.ended:
	case <-time.After(abortWithin): // it was stopped, with SIGSTOP or by the kernel
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// stop ends the process with SIGTERM; that it has to be aborted, or fails, is an error.
func (p *process) stop(within time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(within):
		p.abort()
		return fmt.Errorf("killed, for it had not ended %v after SIGTERM; its log is %s", within, p.log)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 && code != interrupted {
		return fmt.Errorf("%w: %s", p.err, p.tail())
	}
	return nil
}

// tail is the end of what the process has printed.
func (p *process) tail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if int64(len(data)) >= p.logged {
		data = data[p.logged:]
	}
	data = data[max(0, len(data)-tailBytes):]
	if text := strings.TrimSpace(string(data)); text != "" {
		return text
	}
	return "it printed nothing"
}

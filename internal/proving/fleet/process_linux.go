package fleet

import "syscall"

// ProcessAttributes let a daemon die with us, and keep a Ctrl-C at the terminal from it: we
// stop it in our own time.
//
// The kernel sends the signal when the thread that started the daemon ends. Go ends a
// thread only if a goroutine ends that is locked to it: do not start daemons from one.
func ProcessAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

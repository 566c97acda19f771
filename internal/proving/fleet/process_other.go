//go:build !linux

package fleet

import "syscall"

// ProcessAttributes keep a Ctrl-C at the terminal from a daemon: we stop it in our own time.
func ProcessAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

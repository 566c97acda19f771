//go:build !linux

package fleet

import "syscall"

// processAttributes keep a Ctrl-C at the terminal from a daemon: we stop it in our own time.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

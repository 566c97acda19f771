//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// device names a TAP device in the network namespace of a process; 0 is this one.
type device struct {
	Pid  int    `json:"pid"`
	Name string `json:"name"`
}

// link is what the line carries frames between.
type link struct {
	A device `json:"a"`
	B device `json:"b"`
}

// tap is an attached device.
type tap struct {
	name string
	fd   int
	dev  *os.File // its namespace's /proc/net/dev
	base uint64   // drops, at the last look
}

// attach opens a device that is there already, so that a name that is wrong is an error. What
// TCP sends together it takes as one frame, as a veth pair does: that costs a small part of
// taking segments one by one.
func attach(d device) (*tap, error) {
	type outcome struct {
		t   *tap
		err error
	}
	done := make(chan outcome)
	go func() {
		// The thread is not unlocked: it ends with the goroutine, and with it its namespace.
		// It is never the process's first, which main keeps for itself.
		runtime.LockOSThread()
		t, err := attachHere(d)
		done <- outcome{t, err}
	}()
	o := <-done
	if o.err != nil {
		return nil, fmt.Errorf("%s (pid %d): %w", d.Name, d.Pid, o.err)
	}
	return o.t, nil
}

func attachHere(d device) (_ *tap, err error) {
	if d.Pid != 0 {
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", d.Pid))
		if err != nil {
			return nil, err
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return nil, fmt.Errorf("setns: %w", err)
		}
	}
	if _, err := net.InterfaceByName(d.Name); err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	t := &tap{name: d.Name, fd: fd}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	req, err := unix.NewIfreq(d.Name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, fmt.Errorf("TUNSETIFF: %w", err)
	}
	offload := unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offload); err != nil {
		return nil, fmt.Errorf("TUNSETOFFLOAD: %w", err)
	}
	if t.dev, err = os.Open("/proc/thread-self/net/dev"); err != nil {
		return nil, err
	}
	_, err = t.overrun()
	return t, err
}

func (t *tap) close() {
	unix.Close(t.fd)
	if t.dev != nil {
		t.dev.Close()
	}
}

// overrun is how many frames the device dropped since the last call: it keeps some for the
// line to fetch, and so does the kernel of those that the line has brought, and no more than that.
func (t *tap) overrun() (uint64, error) {
	text := make([]byte, 64<<10)
	n, err := t.dev.ReadAt(text, 0)
	if n == 0 {
		return 0, err
	}
	drops, err := dropsOf(t.name, string(text[:n]))
	if err != nil {
		return 0, err
	}
	since := drops - t.base
	t.base = drops
	return since, nil
}

// dropsOf finds in the text of /proc/net/dev how many frames a device did not receive or send.
func dropsOf(name, text string) (uint64, error) {
	for l := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(l), name+":"); ok {
			if f := strings.Fields(rest); len(f) >= 12 {
				received, err := strconv.ParseUint(f[3], 10, 64)
				sent, err2 := strconv.ParseUint(f[11], 10, 64)
				return received + sent, errors.Join(err, err2)
			}
		}
	}
	return 0, errors.New(name + " is not in /proc/net/dev")
}

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const dev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       1       2    3    4    5     6          7         8        9      10   11   12    0     0       0          0
h1-eth0: 1 2 3 4 5 6 7 8 9 10 11 77 13 14 15 16
h1-eth1: 1 2 3
`

func TestDropsOf(t *testing.T) {
	for name, want := range map[string]uint64{"lo": 16, "h1-eth0": 81} {
		if got, err := dropsOf(name, dev); got != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", name, got, err, want)
		}
	}
	for _, name := range []string{"eth0", "h1-eth1", ""} {
		if got, err := dropsOf(name, dev); err == nil {
			t.Errorf("%q has %d drops", name, got)
		}
	}
}

// Two machines with a link between them: what one sends, the other gets, later.
func TestLineBetweenNamespaces(t *testing.T) {
	a, b := machine(t, "10.9.0.1"), machine(t, "10.9.0.2")
	const datagrams, delay = 300, 20 * time.Millisecond
	for _, loss := range []float64{0, 20} {
		g := &grammar{Delay: delay, Loss: loss, Seed: 3, Memory: 16 << 20, Loops: 2}
		var out bytes.Buffer
		l, err := g.newLine([]link{{A: device{a, "t0"}, B: device{b, "t0"}}}, &out)
		if err != nil {
			t.Fatal(err)
		}
		orders, hold := io.Pipe()
		done := make(chan error)
		go func() { done <- l.run(context.Background(), bufio.NewReader(orders)) }()

		got := talk(t, a, b, datagrams, delay)
		hold.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		l.close()
		var r report
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%q: %v", out.String(), err)
		}
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("loss %g: out of order, or twice: %v", loss, got)
		}
		if loss == 0 && (len(got) != datagrams || r.Lost != 0) {
			t.Errorf("%d of %d datagrams arrived; %+v", len(got), datagrams, r)
		}
		if loss > 0 && (len(got) == datagrams || r.Lost < uint64(datagrams-len(got))) {
			t.Errorf("%d of %d datagrams arrived with losses; %+v", len(got), datagrams, r)
		}
		if r.Dropped+r.Overrun != 0 || r.Carried < uint64(len(got)) {
			t.Errorf("loss %g: %+v", loss, r)
		}
	}
}

func TestAttachNamesWhatIsMissing(t *testing.T) {
	a := machine(t, "10.9.0.1")
	for _, c := range []struct {
		d    device
		want string
	}{
		{device{a, "nosuch"}, "no such network interface"},
		{device{a, "lo"}, "TUNSETIFF"},
		{device{1 << 30, "t0"}, "no such file"},
		{device{0, "t0"}, "no such network interface"}, // this namespace has none
	} {
		if _, err := attach(c.d); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), c.d.Name) {
			t.Errorf("%+v: %v, want %s", c.d, err, c.want)
		}
	}
}

func TestLineEndsWhenADeviceGoes(t *testing.T) {
	a, b := machine(t, "10.9.0.1"), machine(t, "10.9.0.2")
	l, err := (&grammar{Memory: 1 << 20, Loops: 1}).newLine([]link{{A: device{a, "t0"}, B: device{b, "t0"}}}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	orders, hold := io.Pipe()
	defer hold.Close()
	done := make(chan error)
	go func() { done <- l.run(context.Background(), bufio.NewReader(orders)) }()
	inside(t, b, "ip", "link", "del", "t0")
	if err := <-done; err == nil || !strings.Contains(err.Error(), "t0: ") {
		t.Errorf("it ends with %v", err)
	}
}

// machine is a namespace with a TAP device t0; it returns the process that holds it.
func machine(t *testing.T, ip string) int {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("there are no TAP devices: ", err)
	}
	for _, tool := range []string{"nsenter", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	holder := exec.Command("cat") // until its stdin ends, even if the test is killed
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	hold, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Skip("no namespaces here: ", err)
	}
	t.Cleanup(func() {
		hold.Close()
		holder.Wait()
	})
	pid := holder.Process.Pid
	inside(t, pid, "ip", "tuntap", "add", "dev", "t0", "mode", "tap")
	inside(t, pid, "ip", "addr", "add", ip+"/24", "dev", "t0")
	inside(t, pid, "ip", "link", "set", "t0", "up")
	return pid
}

func inside(t *testing.T, pid int, argv ...string) {
	t.Helper()
	out, err := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(pid), "-n"}, argv...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
}

// talk sends datagrams from a to b, and returns the numbers of those that arrive; it fails
// the test if one does so early.
func talk(t *testing.T, a, b, datagrams int, delay time.Duration) (got []int) {
	t.Helper()
	from, to := socket(t, a, "10.9.0.1"), socket(t, b, "10.9.0.2")
	// The address is learnt first: datagrams that wait for it are few, and not in the figures.
	for n, buf := 0, make([]byte, 64); n == 0; {
		from.WriteTo([]byte("hello"), to.LocalAddr())
		to.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, _, _ = to.ReadFrom(buf)
	}
	time.Sleep(2 * delay)
	began := time.Now()
	go func() {
		for i := range datagrams {
			from.WriteTo(fmt.Append(nil, i, time.Since(began).Nanoseconds()), to.LocalAddr())
			time.Sleep(200 * time.Microsecond)
		}
		for range 50 { // the last word may be lost, but not all of them
			time.Sleep(delay / 10)
			from.WriteTo([]byte("end"), to.LocalAddr())
		}
	}()
	to.SetReadDeadline(time.Now().Add(time.Minute))
	for buf := make([]byte, 64); ; {
		n, _, err := to.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		switch text := string(buf[:n]); text {
		case "hello":
		case "end":
			return got
		default:
			var i int
			var sent time.Duration
			if _, err := fmt.Sscan(text, &i, (*int64)(&sent)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began) - sent; took < delay {
				t.Errorf("datagram %d took %v", i, took)
			}
			got = append(got, i)
		}
	}
}

// socket is a UDP socket in the namespace of a process. Its thread is not used again.
func socket(t *testing.T, pid int, ip string) net.PacketConn {
	t.Helper()
	type outcome struct {
		c   net.PacketConn
		err error
	}
	done := make(chan outcome)
	go func() {
		runtime.LockOSThread()
		ns, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
		if err != nil {
			done <- outcome{nil, err}
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- outcome{nil, err}
			return
		}
		c, err := net.ListenPacket("udp", ip+":0")
		done <- outcome{c, err}
	}()
	o := <-done
	if o.err != nil {
		t.Fatal(o.err)
	}
	t.Cleanup(func() { o.c.Close() })
	return o.c
}

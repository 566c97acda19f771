package rollout

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fanout/internal/proving/fleet/fleettest"
)

// On a terminal there is one bar for the fleet, and a line for the slowest peer; then they
// are gone, and the table is there.
func TestPushOnTerminal(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", 3*mib, 1)
	peers := r.followers(8)
	if err := peers[7].Stop(); err != nil {
		t.Fatal(err)
	}
	push := r.prepare(r.binaries.Origin, "push", []string{"--max-upload", "300kB", source})
	screen := onTerminal(push)
	push.ends(1, "origin: a.bin: 7 of 8 peers have it; off: p8\n")
	shown := screen()
	holds(t, shown, "0/7 peers, 1 off", "% |", " of 21.0 MiB", "slowest: p", "█", "iB/s", " left", "origin: a.bin: 7 of 8 peers have it; off: p8")
	last := shown[strings.LastIndex(shown, "\x1b[A\r")+len("\x1b[A\r"):]
	if strings.Contains(last, "█") || strings.Contains(last, "slowest") {
		t.Errorf("the bar is left on the screen: %q", last)
	}
	holds(t, push.stdout.String(), "p8    off")
}

func TestGetOnTerminal(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", 3*mib, 1)
	fleettest.Start(t, r.Origin("origin", []string{source}))
	get := r.prepare(r.binaries.Peerd, "get", []string{"--max-download", "500kB", "-o", t.TempDir(), "a.bin"})
	screen := onTerminal(get)
	get.ends(0, "")
	holds(t, screen(), "a.bin", "% |", "of 3.00 MiB")
}

// onTerminal starts a command whose stderr is a terminal; screen is what it has written there
// when it has ended. c.stderr gets its last line.
func onTerminal(c *command) (screen func() string) {
	c.r.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		c.r.t.Skip("no terminals here: ", err)
	}
	ok := func(err error) {
		c.r.t.Helper()
		if err != nil {
			c.r.t.Fatal(err)
		}
	}
	ok(unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	ok(err)
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	ok(err)
	ok(unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 120}))
	var written bytes.Buffer
	c.read = make(chan struct{})
	c.Stderr = slave
	c.start()
	slave.Close()
	go func() {
		defer close(c.read)
		_, _ = io.Copy(&written, master) // ends with EIO when the command has
		master.Close()
		text := strings.TrimSuffix(strings.ReplaceAll(written.String(), "\r\n", "\n"), "\n")
		if last := text[strings.LastIndexAny(text, "\r\n")+1:]; strings.HasPrefix(last, "origin: ") {
			c.stderr.WriteString(last + "\n")
		}
	}()
	return func() string { <-c.read; return written.String() }
}

package chunkserver

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		what    string
		minRTT  time.Duration
		current string
		want    string
	}{
		{"loopback", 9 * time.Microsecond, "bbr", "reno"},
		{"a LAN", 400 * time.Microsecond, "bbr", "reno"},
		{"a LAN, cubic by default", 400 * time.Microsecond, "cubic", "reno"},
		{"a LAN, settled", 400 * time.Microsecond, "reno", "reno"},
		{"just short", 5*time.Millisecond - time.Microsecond, "cubic", "reno"},
		{"just long", 5 * time.Millisecond, "cubic", "cubic"},
		{"another continent", 90 * time.Millisecond, "bbr", "bbr"},
		{"another continent, reno by default", 90 * time.Millisecond, "reno", "reno"},
		{"a LAN whose queues have been full for minutes", 14 * time.Millisecond, "reno", "reno"},
		{"not measured yet", unmeasured, "bbr", "bbr"},
		{"a kernel that does not say", 0, "bbr", "bbr"},
	} {
		if got := choose(c.minRTT, c.current); got != c.want {
			t.Errorf("%s: %s with a minimum of %v becomes %s, want %s", c.what, c.current, c.minRTT, got, c.want)
		}
	}
}

// A session that began behind full queues is looked at again, and no more often than it should be.
func TestLookAgain(t *testing.T) {
	p := &script{control: "bbr"}
	c := control{path: p, paths: &paths{}, every: 5 * time.Second}
	began := time.Now()
	for _, step := range []struct {
		after  time.Duration
		minRTT time.Duration
		err    error // of the choice
		looks  int
		used   []string
	}{
		{0, 100 * time.Millisecond, nil, 1, nil},
		{4 * time.Second, time.Millisecond, nil, 1, nil},
		{5 * time.Second, 100 * time.Millisecond, nil, 2, nil},
		{10 * time.Second, time.Millisecond, syscall.EPERM, 3, []string{"reno"}},
		{15 * time.Second, time.Millisecond, nil, 4, []string{"reno", "reno"}},
		{20 * time.Second, time.Millisecond, nil, 5, []string{"reno", "reno"}},
		{10 * time.Minute, 100 * time.Millisecond, nil, 6, []string{"reno", "reno"}},
	} {
		p.minRTT, p.err = step.minRTT, step.err
		c.look(began.Add(step.after))
		if p.looks != step.looks || !slices.Equal(p.used, step.used) {
			t.Errorf("after %v: %d looks, used %v, want %d and %v", step.after, p.looks, p.used, step.looks, step.used)
		}
	}
	if p.control != "reno" {
		t.Errorf("the session has %s in the end", p.control)
	}
}

// Where nothing can be measured nothing is changed.
func TestLookInVain(t *testing.T) {
	p := &script{control: "bbr", minRTT: time.Millisecond, blind: errors.ErrUnsupported}
	c := control{path: p, paths: &paths{}}
	c.look(time.Now())
	if p.looks != 1 || p.used != nil {
		t.Errorf("%d looks, used %v", p.looks, p.used)
	}
}

// script is a path as a test wants it.
type script struct {
	minRTT     time.Duration
	control    string
	blind, err error // of measure, and of use
	looks      int
	used       []string
}

func (p *script) measure() (time.Duration, string, error) {
	p.looks++
	return p.minRTT, p.control, p.blind
}

func (p *script) use(control string) error {
	p.used = append(p.used, control)
	if p.err == nil {
		p.control = control
	}
	return p.err
}

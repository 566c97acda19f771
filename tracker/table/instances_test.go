package table_test

import (
	"errors"
	"testing"
	"time"

	"fanout/tracker/table"
)

// Two processes with one ID, by what they say, one after the other. A letter is an instance.
func TestInstances(t *testing.T) {
	for _, c := range []struct {
		what  string
		steps string // A registers, a announces, -A leaves, . is a lease that passes, ? is a refusal of the last
		clash bool
	}{
		{"one", "A a A", false},
		{"stopped and started", "A a -A B b B", false},
		{"killed and started at once", "A a B b B", false},
		{"killed and started again and again", "A B C D E", false},
		{"killed, and its announces come before it has registered", "A a b B b", false},
		{"a copy: the second is refused when the first is heard of again", "A B A B? A B? b? A a", true},
		{"a copy: the first only announces", "A B a B? b? A", true},
		{"a copy: the second of three", "A B A C A B? C?", true},
		{"two copies: the first is heard of last", "A B C A B? C? A a", true},
		{"two copies: one after the other", "A B C B C? A B? C? A", true},
		{"two copies, and the first is restarted", "A B C A B? C? D D B? C?", true},
		{"the copy is stopped", "A B A B? -B A", false},
		{"the first is stopped, and the copy goes on", "A B A B? -A B b", false},
		{"the first dies, and the copy goes on", "A B A B? . B b", false},
		{"the first is killed and started beside a copy", "A B A B? C C B?", true},
		{"of unknown instance", "0 A 0 A", false},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t)
			w.publish(w.manifest("a", 4, 1), "o")
			told := 0
			w.OnClash(func(table.Clash) { told++ })
			for i := 0; i < len(c.steps); i++ {
				var err error
				s := c.steps[i]
				instance := string(s)
				address := w.address(int(s))
				switch {
				case s == ' ' || s == '?':
					continue
				case s == '.':
					w.clock.advance(table.DefaultLease)
				case s == '-':
					i++
					err = w.Swarms.Unregister("p", string(c.steps[i]))
				case s >= 'a':
					_, err = w.Swarms.Announce("a", table.Report{ID: "p", Address: w.address(int(s - 'a' + 'A')), Instance: string(s - 'a' + 'A')})
				default:
					if s == '0' {
						instance = ""
					}
					err = w.Fleet.Register(table.Peer{ID: "p", Address: address, Instance: instance})
				}
				refused := i+1 < len(c.steps) && c.steps[i+1] == '?'
				if errors.Is(err, table.ErrClash) != refused || err != nil && !refused {
					t.Fatalf("step %d, %c: %v", i, s, err)
				}
				w.clock.advance(time.Second)
			}
			clash := ""
			for _, p := range w.Fleet.List() {
				clash += p.Clash
			}
			if (clash != "") != c.clash || c.clash && told == 0 {
				t.Errorf("clash %q, told %d times", clash, told)
			}
		})
	}
}

// What the tracker says of it, and that the rollout counts neither.
func TestClashInRollout(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	register := func(n int, instance string) error {
		return w.Fleet.Register(table.Peer{ID: "p1", Address: w.address(n), Follow: true, Instance: instance})
	}
	w.ok(register(1, "A"))
	w.put("a", table.RolloutRequest{})
	w.answer("a", table.Report{ID: "p1", Address: w.address(1), State: table.Complete, Instance: "A"})
	w.ok(register(2, "B"))
	if !w.Fleet.Superseded("p1", "A") || w.Fleet.Superseded("p1", "B") {
		t.Error("the older one is not asked to speak")
	}
	w.ok(w.Fleet.Speak("p1", "A"))
	want := "two running peerds have the ID p1, at 10.0.0.1:2685 and, refused, at 10.0.0.2:2685: stop one, or let it have an ID of its own " +
		"(delete .fanout/peer-id where its data directory is a copy and start it again, or give another --id)"
	if err := register(2, "B"); !errors.Is(err, table.ErrClash) || err.Error() != want {
		t.Error(err)
	}
	v := w.rollout("a")
	if v.Complete != 0 || v.Failed != 1 || v.Peers[0].Error != want {
		t.Errorf("%+v", v)
	}
	w.ok(w.Swarms.Unregister("p1", "B"))
	if v := w.rollout("a"); v.Complete != 1 {
		t.Errorf("when the copy has left: %+v", v)
	}
	// Both behind one address.
	w.ok(register(1, "C"))
	w.ok(register(1, "A"))
	if err := register(1, "C"); err == nil || err.Error()[:68] != "two running peerds have the ID p1, both say that they are at 10.0.0." {
		t.Error(err)
	}
}

func TestOriginsWithOneID(t *testing.T) {
	w := newWorld(t)
	w.publish(w.manifest("a", 4, 1), "o")
	renew := func(host, instance string) error {
		o := w.origin(host)
		o.ID, o.Instance = "o", instance
		_, err := w.Origins.Renew("a", o)
		return err
	}
	w.ok(renew("x", "A"))
	w.ok(renew("y", "B"))
	w.ok(renew("x", "A"))
	if err := renew("y", "B"); !errors.Is(err, table.ErrClash) {
		t.Error(err)
	}
}

package virtual

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLink(t *testing.T) {
	l := &link{rate: 1000, queue: 2}
	for _, push := range []struct {
		at    moment
		bytes int
		left  moment
		ok    bool
	}{
		{0, 100, 100 * time.Millisecond, true},
		{0, 200, 300 * time.Millisecond, true},                       // behind it
		{0, 1, 0, false},                                             // two packets wait
		{200 * time.Millisecond, 200, 500 * time.Millisecond, true},  // one does
		{200 * time.Millisecond, 1, 0, false},                        // and what was lost took no room
		{time.Second, 300, time.Second + 300*time.Millisecond, true}, // the link was idle
	} {
		if left, ok := l.push(push.at, push.bytes); ok != push.ok || ok && left != push.left {
			t.Errorf("at %v, %d bytes leave at %v, %v; want %v, %v", push.at, push.bytes, left, ok, push.left, push.ok)
		}
	}
	if left, ok := (&link{}).push(time.Second, 1<<30); left != time.Second || !ok {
		t.Errorf("an unlimited link took until %v (%v)", left, ok)
	}
}

// pair is two ends without daemons, of which the one writes and the other takes.
func pair(up, down float64, queue int) (l *lab, s *stream, to *end) {
	l = &lab{agenda: &agenda{}, plan: &Plan{}, chunkSize: 64 << 10}
	mute := &host{lab: l, frozen: true} // its ends neither write nor read of their own
	from, to := &end{host: mute}, &end{host: mute}
	uplink, downlink := &link{rate: up}, &link{rate: down, queue: queue}
	s = newStream(l.agenda, from, to, []*link{uplink, downlink}, []*link{{rate: up}, {rate: down}}, time.Millisecond)
	return l, s, to
}

// However small the queue: what is written arrives, all of it, in order, each note once and not
// before its last byte; and lost trains, which there are, cost time.
func TestStreamIsReliable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		queue := rapid.IntRange(2, 20).Draw(t, "queue in packets")
		l, s, _ := pair(10e6, float64(rapid.IntRange(1, 12).Draw(t, "downlink in MB/s"))*1e6, queue)
		s.oneKernel = rapid.Bool().Draw(t, "one kernel")
		written, noted := 0, 0
		next := func() bool {
			for n, ok := s.take(); ok; n, ok = s.take() {
				if noted++; n.chunk != noted {
					t.Fatalf("note %d came in place of %d", n.chunk, noted)
				}
			}
			return l.next()
		}
		for range rapid.IntRange(1, 20).Draw(t, "writes") {
			written++
			s.write(rapid.IntRange(1, 200<<10).Draw(t, "bytes"), note{chunk: written, ends: true})
			for range rapid.IntRange(0, 30).Draw(t, "events between") {
				next()
			}
		}
		for next() {
		}
		if noted != written || s.come != s.written || s.flying != 0 || s.own != 0 || len(s.trains) != 0 {
			t.Fatalf("%d of %d notes, %d of %d bytes; %d bytes fly, %d trains are in the queue, %d not acknowledged",
				noted, written, s.come, s.written, s.flying, s.own, len(s.trains))
		}
	})
}

// A queue that overflows halves the window; one that does not lets it grow.
func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		name  string
		queue int
		halve bool
	}{{"overflows", 5, true}, {"holds everything", 0, false}} {
		l, s, _ := pair(10e6, 5e6, tt.queue)
		s.write(4 << 20)
		for l.next() {
			s.take()
		}
		if halved := s.threshold < 1<<40; halved != tt.halve {
			t.Errorf("%s: halved %v, window %.0f", tt.name, halved, s.window)
		}
		if s.window < firstWindow {
			t.Errorf("%s: the window is %.0f bytes", tt.name, s.window)
		}
	}
}

// Of streams that share a link none starves, and all of it is used.
func TestStreamsShare(t *testing.T) {
	l, a, _ := pair(10e6, 5e6, 30)
	down := a.path[1]
	all := []*stream{a}
	for range 3 {
		_, s, _ := pair(10e6, 0, 0)
		s.agenda, s.path[1] = l.agenda, down
		all = append(all, s)
	}
	for _, s := range all {
		s.write(100 << 20)
	}
	const run = 20 * time.Second
	for l.now < run && l.next() {
		for _, s := range all {
			s.take()
		}
	}
	sum := int64(0)
	for _, s := range all {
		sum += s.come
	}
	if used := float64(sum) / (run.Seconds() * 5e6 * segment / frame); used < 0.97 || used > 1 {
		t.Errorf("%.2f of the link was used", used)
	}
	for i, s := range all {
		if share := float64(s.come) / float64(sum) * float64(len(all)); share < 0.3 || share > 2 {
			t.Errorf("stream %d got %.2f of its share", i, share)
		}
	}
}

// A receiver that does not read stops the sender, whose kernel then takes no more.
func TestReceiverThatDoesNotRead(t *testing.T) {
	l, s, _ := pair(10e6, 10e6, 0)
	s.write(64 << 20)
	for l.next() {
	}
	if s.come != receiveWindow/int64(s.most)*int64(s.most) {
		t.Errorf("%d bytes went, %d are what it takes in", s.come, receiveWindow)
	}
	if s.from.out = s; s.from.kernelTakes() {
		t.Error("the kernel takes more")
	}
}

// Where all machines share a kernel, a sender has two trains on their way, and no queue fills;
// where they do not, two are in its own machine's queue, and the receiver's link has the rest.
func TestSmallQueues(t *testing.T) {
	for _, one := range []bool{true, false} {
		l, s, _ := pair(100e6, 10e6, 1000)
		s.oneKernel = one
		s.write(1 << 20)
		most := 0
		for l.next() {
			if s.own > ownTrains {
				t.Fatalf("%d trains are in the machine's queue", s.own)
			}
			most = max(most, len(s.path[1].waits))
			s.take()
		}
		if filled := most > ownTrains; filled == one {
			t.Errorf("one kernel %v: %d trains waited for the receiver's link", one, most)
		}
	}
}

// Acknowledgements wait in the queues of their way, too, and take its room.
func TestAcknowledgementsQueue(t *testing.T) {
	alone := func(busy bool) (at moment) {
		l, s, _ := pair(10e6, 10e6, 0)
		s.write(segment)
		if busy {
			s.back[0].push(0, 1e6) // a tenth of a second
		}
		for l.next() {
			if at == 0 && len(s.trains) == 0 {
				at = l.now
			}
		}
		if s.back[0].free == 0 {
			t.Error("the acknowledgement took nothing of its link")
		}
		return at
	}
	if quiet, busy := alone(false), alone(true); busy < quiet+90*time.Millisecond {
		t.Errorf("known after %v, and %v beside other traffic", quiet, busy)
	}
}

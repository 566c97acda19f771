package virtual

import "time"

const (
	// firstWindow is RFC 6928's initial window.
	firstWindow = 10 * segment
	// leastWindow is RFC 5681's least window after a loss.
	leastWindow = 2 * segment
	// receiveWindow is what a receiver that does not read takes in: half of the greatest receive
	// buffer that Mininet sets.
	receiveWindow = 8 << 20
	// ownTrains is how many packets, as large as the sender makes them, one connection may have
	// in the queues of its own machine: TCP small queues.
	ownTrains = 2
	// trainTime is what a packet that is cut up by the network card takes to send, at most.
	trainTime = 2 * time.Millisecond
	// trainMost is the greatest such packet, in bytes.
	trainMost = 64 << 10
)

// train is a packet as the sender's TCP makes it: of one or several frames that follow each other.
type train struct {
	end            int64 // of the stream, the first byte that is not in it
	bytes          int
	arrived, acked bool
}

// mark is the place of a stream at which something is complete at the receiver's end.
type mark struct {
	at   int64
	note note
}

// note is what a mark is for.
type note struct {
	lines   []line // control lines
	chunk   int    // the chunk that begins or ends here, if it is not lines
	slice   bool   // it neither begins nor ends: a slice does
	ends    bool
	corrupt bool
}

// The stream's entries in the agenda; about is a train's number, and the link where it is.
const (
	leaves  = iota // a train has left a link
	arrives        // and is there
	acked          // the sender knows
	missed         // the sender knows that it was lost
)

// maxHops bounds the links of a path.
const maxHops = 4

// stream is one direction of a TCP connection.
type stream struct {
	*agenda
	path, back []*link // from the sender's uplink to the receiver's downlink, and the acknowledgements' way
	delay      moment  // of the path, beside its queues
	most       int     // payload bytes of a train
	oneKernel  bool    // see Plan
	to         *end    // whose side reads
	from       *end
	cut        bool

	written, sent int64 // of the stream's bytes by the program, and by TCP
	first         int   // the number of trains[0]
	trains        []train
	again         []int   // those to be sent once more
	own           int     // trains in the queue of the sender's machine
	flying        int     // payload bytes that are not acknowledged, nor known to be lost
	window        float64 // bytes
	threshold     float64 // up to which the window grows fast
	recover       int     // trains from this number on were sent after the last halving
	marks         []mark

	come    int64 // bytes that have arrived in order
	inOrder int   // trains that have
	read    int64 // bytes that the receiver has taken out
}

func newStream(a *agenda, from, to *end, path, back []*link, delay moment) *stream {
	rate := 0.0
	for _, l := range path[:len(path)-1] { // a sender does not see the receiver's link
		if l.rate > 0 && (rate == 0 || l.rate < rate) {
			rate = l.rate
		}
	}
	most := trainMost
	if rate > 0 {
		most = max(2*segment, min(most, int(rate*trainTime.Seconds())))
	}
	return &stream{
		agenda: a, from: from, to: to, path: path, back: back, delay: delay, most: most / segment * segment,
		window: firstWindow, threshold: 1 << 40,
	}
}

// unsent is how many bytes the sender's kernel holds that have not been sent once.
func (s *stream) unsent() int64 { return s.written - s.sent }

// write gives bytes to TCP, at whose end there is something for the receiver to note.
func (s *stream) write(bytes int, notes ...note) {
	s.written += int64(bytes)
	for _, n := range notes {
		s.marks = append(s.marks, mark{s.written, n})
	}
	s.send()
}

// send sends what windows and queues allow.
func (s *stream) send() {
	for !s.cut && s.own < ownTrains {
		if len(s.again) > 0 {
			n := s.again[0]
			s.again = s.again[1:]
			s.launch(n)
			continue
		}
		bytes := int(min(s.unsent(), int64(s.most)))
		fits := s.flying == 0 || float64(s.flying+bytes) <= s.window
		if bytes == 0 || !fits || s.sent+int64(bytes)-s.read > receiveWindow {
			return
		}
		s.sent += int64(bytes)
		s.trains = append(s.trains, train{end: s.sent, bytes: bytes})
		s.launch(s.first + len(s.trains) - 1)
		s.from.pump()
	}
}

// launch puts a train into the queue of the sender's machine, which drops nothing.
func (s *stream) launch(n int) {
	t := &s.trains[n-s.first]
	s.flying += t.bytes
	s.own++
	at, _ := s.path[0].push(s.now, wireBytes(t.bytes))
	s.enter(at, s, leaves, n*maxHops)
}

func (s *stream) act(what, about int) {
	if s.cut {
		return
	}
	switch what {
	case leaves:
		s.leave(about/maxHops, about%maxHops)
	case arrives:
		s.arrive(about)
	case acked:
		s.acknowledged(about)
	case missed:
		s.lost(about)
	}
}

// leave brings a train from one link to the next.
func (s *stream) leave(n, hop int) {
	last := hop+1 == len(s.path)
	if s.oneKernel && last || !s.oneKernel && hop == 0 {
		s.own--
		s.send()
	}
	if last {
		s.enter(s.now+s.delay, s, arrives, n)
		return
	}
	l := s.path[hop+1]
	if at, ok := l.push(s.now, wireBytes(s.trains[n-s.first].bytes)); ok {
		s.enter(at, s, leaves, n*maxHops+hop+1)
		return
	}
	if s.oneKernel {
		s.own--
	}
	// The acknowledgements of what is behind it in the queue tell.
	s.enter(s.now+l.wait(s.now)+s.way(), s, missed, n)
}

// way is how long an acknowledgement takes that is sent now.
func (s *stream) way() moment {
	way := s.delay
	for _, l := range s.back {
		way += l.wait(s.now)
	}
	return way
}

// arrive takes a train in, and what had to wait for it.
func (s *stream) arrive(n int) {
	s.trains[n-s.first].arrived = true
	for ; s.inOrder < s.first+len(s.trains) && s.trains[s.inOrder-s.first].arrived; s.inOrder++ {
		s.come = s.trains[s.inOrder-s.first].end
	}
	s.back[0].push(s.now, header)
	s.enter(s.now+s.way(), s, acked, n)
	s.to.receive()
}

// take returns what the receiver, who reads all that has come, is to note.
func (s *stream) take() (n note, ok bool) {
	s.read = s.come
	if len(s.marks) == 0 || s.marks[0].at > s.come {
		return note{}, false
	}
	n, s.marks = s.marks[0].note, s.marks[1:]
	return n, true
}

// acknowledged lets the window grow, if it was what held the sender up.
func (s *stream) acknowledged(n int) {
	t := &s.trains[n-s.first]
	t.acked = true
	switch flying := float64(s.flying); {
	case s.window < s.threshold && s.window < 2*flying: // it may grow where half of it is used
		s.window += float64(t.bytes)
	case s.window >= s.threshold && flying+float64(s.most) >= s.window:
		s.window += segment * float64(t.bytes) / s.window
	}
	s.flying -= t.bytes
	for len(s.trains) > 0 && s.trains[0].acked {
		s.trains = s.trains[1:]
		s.first++
	}
	s.send()
}

// lost halves the window, once for all that was under way, and sends the train again.
func (s *stream) lost(n int) {
	if n >= s.recover {
		s.threshold = max(s.window/2, leastWindow)
		s.window = s.threshold
		s.recover = s.first + len(s.trains)
	}
	s.flying -= s.trains[n-s.first].bytes
	s.again = append(s.again, n)
	s.send()
}

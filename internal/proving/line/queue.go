//go:build linux

package main

const (
	// vnetHeader is what the kernel puts before a frame: whether its checksum is still to be
	// made, and the size of the segments that it is still to be cut into. It goes along.
	vnetHeader = 10
	// maxFrame is more than the longest IP packet, an Ethernet header and a tag.
	maxFrame  = 64<<10 + 64
	blockSize = 1 << 20
)

// queue holds the frames that are on the way, the oldest first, packed in blocks of the pool.
// Its frames are read into where they stay until they leave.
type queue struct {
	pool        *pool
	first, last *block
}

type block struct {
	data   [blockSize]byte
	used   int // bytes of data, by frames that came
	gone   int // bytes of data, by frames that left
	frames []frame
	head   int // frames that left
	next   *block
}

// frame is one on the way.
type frame struct {
	to  *end
	due int64 // nanoseconds on the loop's clock
	len int
}

// space is where to read the next frame into; nil if the pool has no more. It is good until
// the next call of any method.
func (q *queue) space() []byte {
	b := q.last
	if b == nil || len(b.data)-b.used < maxFrame {
		if b = q.pool.get(); b == nil {
			return nil
		}
		if q.last == nil {
			q.first = b
		} else {
			q.last.next = b
		}
		q.last = b
	}
	return b.data[b.used : b.used+maxFrame]
}

// push keeps what was read into space.
func (q *queue) push(f frame) {
	q.last.frames = append(q.last.frames, f)
	q.last.used += f.len
}

// front is the oldest frame and its bytes, which are good until pop.
func (q *queue) front() (f frame, data []byte, ok bool) {
	b := q.first
	if b == nil || b.head == len(b.frames) {
		return frame{}, nil, false
	}
	f = b.frames[b.head]
	return f, b.data[b.gone : b.gone+f.len], true
}

// pop takes the oldest frame off.
func (q *queue) pop() {
	b := q.first
	b.gone += b.frames[b.head].len
	if b.head++; b.head < len(b.frames) {
		return
	}
	if q.first = b.next; q.first == nil {
		q.last = nil
	}
	q.pool.put(b)
}

// pool makes at most limit blocks, and keeps those that are not in use.
type pool struct {
	limit, made int
	free        *block
}

func (p *pool) get() *block {
	b := p.free
	switch {
	case b != nil:
		p.free, b.next = b.next, nil
	case p.made < p.limit:
		p.made++
		b = new(block)
	}
	return b
}

func (p *pool) put(b *block) {
	b.used, b.gone, b.head, b.frames = 0, 0, 0, b.frames[:0]
	b.next, p.free = p.free, b
}

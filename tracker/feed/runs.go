package feed

import (
	"strconv"

	"fanout/tracker/table"
)

// What a chunk is to a peer, as in the contract.
const (
	fromOrigin = 'O'
	fromPeers  = 'P'
	missing    = 'M'
	kept       = 'K' // as before
)

// octet is what eight chunks are, the first in the most significant bit.
type octet struct{ held, owned byte }

func octetOf(m *table.PeerView, i int) octet { return octet{byteAt(m.Held, i), byteAt(m.Owned, i)} }

// state of the chunk at a bit.
func (o octet) state(bit int) byte {
	switch mask := byte(0x80) >> bit; {
	case o.held&mask == 0:
		return missing
	case o.owned&mask != 0:
		return fromOrigin
	}
	return fromPeers
}

// runs are a peer's chunks, as lengths of equal ones.
func runs(m table.PeerView, chunks int) string {
	var w runWriter
	for first := 0; first < chunks; first += 8 {
		o, n := octetOf(&m, first/8), min(8, chunks-first)
		switch {
		case o.held == 0:
			w.add(missing, n)
		case o.held == 0xff && o.owned == 0:
			w.add(fromPeers, n)
		default:
			for bit := range n {
				w.add(o.state(bit), 1)
			}
		}
	}
	return w.end(missing)
}

// changes are the chunks that are another than before.
func changes(before, m table.PeerView, chunks int) string {
	var w runWriter
	for first := 0; first < chunks; first += 8 {
		was, is, n := octetOf(&before, first/8), octetOf(&m, first/8), min(8, chunks-first)
		if was == is {
			w.add(kept, n)
			continue
		}
		for bit := range n {
			s := is.state(bit)
			if s == was.state(bit) {
				s = kept
			}
			w.add(s, 1)
		}
	}
	return w.end(kept)
}

func byteAt(b table.Bitmap, i int) byte {
	if i < len(b) {
		return b[i]
	}
	return 0
}

// runWriter joins equal neighbours.
type runWriter struct {
	text  []byte
	state byte
	n     int
}

func (w *runWriter) add(state byte, n int) {
	if state != w.state {
		w.flush()
		w.state, w.n = state, 0
	}
	w.n += n
}

func (w *runWriter) flush() {
	if w.n == 0 {
		return
	}
	w.text = append(w.text, w.state)
	if w.n > 1 {
		w.text = strconv.AppendInt(w.text, int64(w.n), 36)
	}
}

// end leaves out a last run of what is understood.
func (w *runWriter) end(understood byte) string {
	if w.state != understood {
		w.flush()
	}
	return string(w.text)
}

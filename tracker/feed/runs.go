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

func stateOf(m *table.PeerView, chunk int) byte {
	switch {
	case !m.Held.Has(chunk):
		return missing
	case m.Owned.Has(chunk):
		return fromOrigin
	}
	return fromPeers
}

// runs are a peer's chunks, as lengths of equal ones.
func runs(m table.PeerView, chunks int) string {
	var w runWriter
	for chunk := range chunks {
		w.add(stateOf(&m, chunk), 1)
	}
	return w.end(missing)
}

// changes are the chunks that are another than before.
func changes(before, m table.PeerView, chunks int) string {
	var w runWriter
	for first := 0; first < chunks; first += 8 {
		n := min(8, chunks-first)
		if byteAt(before.Held, first/8) == byteAt(m.Held, first/8) && byteAt(before.Owned, first/8) == byteAt(m.Owned, first/8) {
			w.add(kept, n)
			continue
		}
		for chunk := first; chunk < first+n; chunk++ {
			s := stateOf(&m, chunk)
			if s == stateOf(&before, chunk) {
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

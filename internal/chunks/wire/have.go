package wire

import (
	"bytes"
	"iter"
	"strconv"
)

// Run is the chunks from First to Last, which is one of them.
type Run struct{ First, Last int }

// Chunks yields the chunks that a HAVE names.
func (m *Message) Chunks() iter.Seq[int] {
	return func(yield func(int) bool) {
		if !yield(m.Chunk) {
			return
		}
		for _, r := range m.More {
			for c := r.First; c <= r.Last; c++ {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// Named is how many chunks a HAVE names, and the highest of them. It takes no longer for long runs.
func (m *Message) Named() (count, highest int) {
	count, highest = 1, m.Chunk
	for _, r := range m.More {
		count += r.Last - r.First + 1
		highest = max(highest, r.Last)
	}
	return count, highest
}

// AppendHaves appends the HAVE lines that name these chunks, as few as can be, to dst: they are for
// sessions of version 2. The chunks must be in ascending order, each once.
func AppendHaves(dst []byte, chunks []int) []byte {
	start := -1 // of the line
	for len(chunks) > 0 {
		n := 1
		for n < len(chunks) && chunks[n] == chunks[0]+n {
			n++
		}
		var room [24]byte
		run := appendRun(room[:0], Run{chunks[0], chunks[n-1]})
		chunks = chunks[n:]
		switch {
		case start < 0:
			start = len(dst)
			dst = append(dst, "HAVE "...)
		case len(dst)-start+len(",")+len(run)+len("\n") > MaxLine:
			dst = append(dst, '\n')
			start = len(dst)
			dst = append(dst, "HAVE "...)
		default:
			dst = append(dst, ',')
		}
		dst = append(dst, run...)
	}
	if start >= 0 {
		dst = append(dst, '\n')
	}
	return dst
}

// appendRuns appends what a HAVE names.
func appendRuns(dst []byte, chunk int, more []Run) []byte {
	first := Run{chunk, chunk}
	if len(more) > 0 && more[0].First == chunk+1 {
		first.Last = more[0].Last
		more = more[1:]
	}
	dst = appendRun(dst, first)
	for _, r := range more {
		dst = appendRun(append(dst, ','), r)
	}
	return dst
}

func appendRun(dst []byte, r Run) []byte {
	dst = strconv.AppendInt(dst, int64(r.First), 10)
	if r.Last > r.First {
		dst = strconv.AppendInt(append(dst, '-'), int64(r.Last), 10)
	}
	return dst
}

// parseRuns reads a list of chunks and runs: the first chunk, and the others.
func parseRuns(list []byte) (chunk int, more []Run, ok bool) {
	comma := []byte{','}
	more = make([]Run, 0, 1+bytes.Count(list, comma))
	for item := range bytes.SplitSeq(list, comma) {
		r, ok := parseRun(item)
		if !ok {
			return 0, nil, false
		}
		more = append(more, r)
	}
	chunk = more[0].First
	if more[0].First++; more[0].First > more[0].Last {
		more = more[1:]
	}
	return chunk, more, true
}

// parseRun reads a, or a-b of which b is the higher one.
func parseRun(item []byte) (r Run, ok bool) {
	first, last, isRun := bytes.Cut(item, []byte{'-'})
	if r.First, ok = number(first); !ok || !isRun {
		return Run{r.First, r.First}, ok
	}
	r.Last, ok = number(last)
	return r, ok && r.Last > r.First
}

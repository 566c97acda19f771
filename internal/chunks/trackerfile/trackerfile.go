// Package trackerfile reads and writes tracker files: the text that says which peer owns
// which chunk in a `static` download.
//
//	0<TAB>10.0.0.2:2685
//	1<TAB>10.0.0.3:2685
//
// One line for every chunk, in any order. Spaces do as well as the tab, since editors and
// terminals mix them up; empty lines and lines that begin with # are skipped; lines may end
// in CR LF. What the second word means is not this package's business: it knows no peers.
package trackerfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// MaxLine bounds a line, bytes.
const MaxLine = 1024

// MediaType of a tracker file.
const MediaType = "text/tab-separated-values"

// ErrMalformed is the kind of everything that Parse finds wrong with the text.
var ErrMalformed = errors.New("malformed tracker file")

// Entry is what one line says about its chunk.
type Entry struct {
	Owner string // the second word, as it stands
	Line  int    // where it stands, from 1
}

// Parse reads the tracker file of a file with the given number of chunks; the result is
// indexed by chunk. Memory and work are bounded by that number and MaxLine. An error names
// the line, quotes the text and says the remedy; it is ErrMalformed or the reader's.
func Parse(r io.Reader, chunks int) ([]Entry, error) {
	entries := make([]Entry, chunks)
	in := bufio.NewReaderSize(r, MaxLine+2) // with CR LF
	found, ended := 0, false
	for line := 1; !ended; line++ {
		raw, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("%w: line %d has more than %d bytes", ErrMalformed, line, MaxLine)
		case errors.Is(err, io.EOF):
			ended = true // the last line may lack its end
		case err != nil:
			return nil, fmt.Errorf("read line %d of the tracker file: %w", line, err)
		}
		text := string(bytes.TrimSpace(raw))
		if text == "" || text[0] == '#' {
			continue
		}
		if err := enter(entries, line, text); err != nil {
			return nil, err
		}
		found++
	}
	if found < chunks {
		return nil, missing(entries, chunks-found)
	}
	return entries, nil
}

func enter(entries []Entry, line int, text string) error {
	chunk, owner, err := parseLine(text, len(entries))
	if err != nil {
		return malformed(line, text, err.Error())
	}
	if first := entries[chunk].Line; first != 0 {
		return malformed(line, text, fmt.Sprintf("chunk %d stands in line %d already; keep one of them", chunk, first))
	}
	entries[chunk] = Entry{Owner: owner, Line: line}
	return nil
}

func parseLine(text string, chunks int) (chunk int, owner string, err error) {
	words := strings.Fields(text)
	if len(words) != 2 {
		return 0, "", errors.New("write chunk<TAB>address")
	}
	chunk, err = strconv.Atoi(words[0])
	switch {
	case err != nil:
		return 0, "", fmt.Errorf("%q is no chunk number", words[0])
	case chunks == 0:
		return 0, "", errors.New("the file is empty and has no chunks; its tracker file is empty, too")
	case chunk < 0 || chunk >= chunks:
		return 0, "", fmt.Errorf("there is no chunk %d, the chunks are 0 to %d", chunk, chunks-1)
	}
	return chunk, words[1], nil
}

func malformed(line int, text, reason string) error {
	const shown = 80
	if len(text) > shown {
		text = text[:shown] + "…"
	}
	return fmt.Errorf("%w: line %d, %q: %s", ErrMalformed, line, text, reason)
}

// missing lists the first few chunks without a line.
func missing(entries []Entry, n int) error {
	const shown = 5
	var first []string
	for chunk, e := range entries {
		if e.Line == 0 && len(first) < shown {
			first = append(first, strconv.Itoa(chunk))
		}
	}
	list := strings.Join(first, ", ")
	if n > shown {
		list += ", …"
	}
	return fmt.Errorf("%w: %d of %d chunks have no line: %s; add one line for every chunk",
		ErrMalformed, n, len(entries), list)
}

// AppendLine appends the line of one chunk to b.
func AppendLine(b []byte, chunk int, owner string) []byte {
	b = strconv.AppendInt(b, int64(chunk), 10)
	b = append(b, '\t')
	b = append(b, owner...)
	return append(b, '\n')
}

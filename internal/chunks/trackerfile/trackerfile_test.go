package trackerfile_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"fanout/internal/chunks/trackerfile"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		what, text string
		chunks     int
		want       string // owners joined by spaces, or "error: " and a part of it
	}{
		{"plain", "0\ta:1\n1\tb:1\n", 2, "a:1 b:1"},
		{"any order, no last newline", "1\tb:1\n0\ta:1", 2, "a:1 b:1"},
		{"spaces, CR LF, comments, empty lines", "# mine\r\n\r\n 0   a:1 \r\n1\tb:1\r\n", 2, "a:1 b:1"},
		{"empty file", "", 0, ""},
		{"line for an empty file", "0\ta:1\n", 0, "error: the file is empty"},
		{"unknown chunk", "0\ta:1\n7\tb:1\n", 2, `error: line 2, "7\tb:1": there is no chunk 7, the chunks are 0 to 1`},
		{"negative chunk", "-1\ta:1\n", 2, "error: there is no chunk -1"},
		{"no number", "zero\ta:1\n", 2, `error: "zero" is no chunk number`},
		{"huge number", strings.Repeat("9", 30) + "\ta:1\n", 2, "error: is no chunk number"},
		{"one word", "0\n", 2, "error: line 1, \"0\": write chunk<TAB>address"},
		{"three words", "0\ta:1\tb:1\n", 2, "error: write chunk<TAB>address"},
		{"twice", "0\ta:1\n\n0\tb:1\n", 2, "error: line 3, \"0\\tb:1\": chunk 0 stands in line 1 already"},
		{"missing", "1\ta:1\n", 3, "error: 2 of 3 chunks have no line: 0, 2;"},
		{"many missing", "", 9, "error: 9 of 9 chunks have no line: 0, 1, 2, 3, 4, …;"},
		{"long line", "0\t" + strings.Repeat("a", trackerfile.MaxLine), 1, "error: line 1 has more than 1024 bytes"},
	} {
		t.Run(c.what, func(t *testing.T) {
			entries, err := trackerfile.Parse(strings.NewReader(c.text), c.chunks)
			if part, fails := strings.CutPrefix(c.want, "error: "); fails {
				if !errors.Is(err, trackerfile.ErrMalformed) || !strings.Contains(err.Error(), part) {
					t.Errorf("%v, want …%s…", err, part)
				}
				return
			}
			if got := owners(entries); err != nil || got != c.want {
				t.Errorf("%q %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestParseReportsTheReadersError(t *testing.T) {
	_, err := trackerfile.Parse(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("0\ta:1\n"))), 1)
	if !errors.Is(err, iotest.ErrTimeout) || errors.Is(err, trackerfile.ErrMalformed) {
		t.Error(err)
	}
}

// Whatever parses is complete, and survives being written and parsed again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "0\ta:1\n1\tb:2\n", "1 b\r\n0 a", "# x\n0\ta\n", "0\ta\n0\tb\n", "-1\ta", "0\t" + strings.Repeat("x", 2000)} {
		f.Add(seed, 2)
	}
	f.Add("", 0)
	f.Fuzz(func(t *testing.T, text string, chunks int) {
		if chunks < 0 || chunks > 1000 {
			return
		}
		entries, err := trackerfile.Parse(strings.NewReader(text), chunks)
		if err != nil {
			return
		}
		var out []byte
		for chunk, e := range entries {
			if e.Owner == "" || e.Line == 0 {
				t.Fatalf("chunk %d has no owner", chunk)
			}
			out = trackerfile.AppendLine(out, chunk, e.Owner)
		}
		again, err := trackerfile.Parse(strings.NewReader(string(out)), chunks)
		if err != nil || owners(again) != owners(entries) {
			t.Fatalf("%q does not survive: %v", out, err)
		}
	})
}

func owners(entries []trackerfile.Entry) string {
	var s []string
	for _, e := range entries {
		s = append(s, e.Owner)
	}
	return strings.Join(s, " ")
}

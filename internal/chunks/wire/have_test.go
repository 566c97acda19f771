package wire_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fanout/internal/chunks/wire"
)

// In sessions of version 2 the messages of version 2 are read as they are written; in those of
// version 1 they are none.
func TestMessagesOfVersion2(t *testing.T) {
	for _, tc := range []struct {
		line string
		want wire.Message
	}{
		{"HAVE 0-5\n", wire.Message{Kind: wire.KindHave, More: []wire.Run{{First: 1, Last: 5}}}},
		{"HAVE 3,7\n", wire.Message{Kind: wire.KindHave, Chunk: 3, More: []wire.Run{{First: 7, Last: 7}}}},
		{"HAVE 3,7-8,0\n", wire.Message{Kind: wire.KindHave, Chunk: 3, More: []wire.Run{{First: 7, Last: 8}, {First: 0, Last: 0}}}},
		{"HAVE 0-1,2147483646-2147483647\n", wire.Message{Kind: wire.KindHave, More: []wire.Run{{First: 1, Last: 1}, {First: 1<<31 - 2, Last: 1<<31 - 1}}}},
		{"ROOM 65536\n", wire.Message{Kind: wire.KindRoom, Bytes: 65536, Chunk: wire.NoChunk}},
		{"ROOM 0 0\n", wire.Message{Kind: wire.KindRoom}},
		{"ROOM 2147483647 2147483647\n", wire.Message{Kind: wire.KindRoom, Bytes: 1<<31 - 1, Chunk: 1<<31 - 1}},
		{"PASS 0\n", wire.Message{Kind: wire.KindPass}},
		{"PASS 250\n", wire.Message{Kind: wire.KindPass, Wait: 250}},
		{"BYE 86400000\n", wire.Message{Kind: wire.KindBye, Wait: 86_400_000}},
	} {
		if got := string(wire.AppendMessage(nil, tc.want)); got != tc.line {
			t.Errorf("AppendMessage(%+v) = %q, want %q", tc.want, got, tc.line)
		}
		if got, err := read(tc.line, 2); err != nil || !cmp.Equal(got, tc.want) {
			t.Errorf("%q: Next() = %+v, %v; want %+v", tc.line, got, err, tc.want)
		}
		if got, err := read(tc.line, 1); !errors.Is(err, wire.ErrSyntax) {
			t.Errorf("%q in version 1: %+v, %v; want ErrSyntax", tc.line, got, err)
		}
	}
}

func TestVersion2Rejects(t *testing.T) {
	for _, line := range []string{
		"HAVE", "HAVE ", "HAVE ,", "HAVE 1,", "HAVE ,1", "HAVE 1,,2", "HAVE 1, 2", "HAVE 1 2", "HAVE 1,2 ",
		"HAVE -", "HAVE 1-", "HAVE -1", "HAVE 1--2", "HAVE 1-2-3", "HAVE 1-1", "HAVE 2-1", "HAVE 01-2", "HAVE 1-02", "HAVE 1,02", "HAVE 1-2,3-3",
		"HAVE 0-2147483648", "HAVE 2147483648-2147483649", "HAVE 1,2147483648", "HAVE 1-99999999999999999999", "HAVE 1;2", "HAVE 1-x",
		"ROOM", "ROOM ", "ROOM -", "ROOM 1 ", "ROOM 1 -", "ROOM 1 2 3", "ROOM 01", "ROOM 1 01", "ROOM 2147483648", "ROOM 1 2147483648", "ROOM -1",
		"PASS", "PASS ", "PASS -1", "PASS 01", "PASS 1 2", "PASS 86400001", "PASS 2147483647", "PASS 99999999999999999999",
		"BYE", "BYE ", "BYE -", "BYE 00", "BYE 1 x", "BYE 86400001", "room 1", "SOON 1",
	} {
		if m, err := read(line+"\n", 2); !errors.Is(err, wire.ErrSyntax) {
			t.Errorf("%q: %+v, %v; want ErrSyntax", line, m, err)
		}
	}
}

// What a HAVE names, it names once and in order, and counts without going through it.
func TestChunks(t *testing.T) {
	m, err := read("HAVE 3-5,9,1-2\n", 2)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(m.Chunks()); !slices.Equal(got, []int{3, 4, 5, 9, 1, 2}) {
		t.Errorf("it names %v", got)
	}
	for c := range m.Chunks() {
		if c == 4 {
			break // or it panics
		}
	}
	for line, want := range map[string][2]int{"HAVE 7\n": {1, 7}, "HAVE 3-5,9,1-2\n": {6, 9}, "HAVE 0-2147483647\n": {1 << 31, 1<<31 - 1}} {
		m, err := read(line, 2)
		if count, highest := m.Named(); err != nil || count != want[0] || highest != want[1] {
			t.Errorf("%q names %d chunks up to %d, want %v (%v)", line, count, highest, want, err)
		}
	}
}

// Lines of HAVEs name the chunks that they are made of, and no more lines could be spared.
func TestAppendHaves(t *testing.T) {
	if got := string(wire.AppendHaves([]byte("GET 1\n"), []int{0, 1, 2, 4, 6, 7})); got != "GET 1\nHAVE 0-2,4,6-7\n" {
		t.Errorf("got %q", got)
	}
	if got := wire.AppendHaves(nil, nil); len(got) != 0 {
		t.Errorf("of nothing, %q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		chunks := rapid.SliceOfDistinct(rapid.IntRange(0, rapid.SampledFrom([]int{600, 1<<31 - 1}).Draw(t, "most")), rapid.ID).Draw(t, "chunks")
		slices.Sort(chunks)
		lines := strings.SplitAfter(string(wire.AppendHaves(nil, chunks)), "\n")
		lines = lines[:len(lines)-1]
		var got []int
		for i, line := range lines {
			m, err := read(line, 2)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			got = append(got, slices.Collect(m.Chunks())...)
			if i > 0 {
				first, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(line, "HAVE "), "\n"), ",")
				if len(lines[i-1])+len(",")+len(first) <= wire.MaxLine {
					t.Errorf("%q would have fitted on the line of %d bytes before", first, len(lines[i-1]))
				}
			}
		}
		if !slices.Equal(got, chunks) {
			t.Error(cmp.Diff(chunks, got))
		}
	})
}

// read reads one message of a session of that version.
func read(line string, version int) (wire.Message, error) {
	r := wire.NewReader(strings.NewReader(line))
	r.Speak(version)
	return r.Next()
}

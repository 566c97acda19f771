package wire_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fanout/internal/chunks/wire"
)

func TestStreamRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.SliceOf(rapid.Custom(drawMessage)).Draw(t, "messages")
		var stream []byte
		for _, m := range sent {
			stream = wire.AppendMessage(stream, m)
			stream = append(stream, bytes.Repeat([]byte{'\n'}, m.Bytes)...)
		}
		r := wire.NewReader(bytes.NewReader(stream))
		var got []wire.Message
		for {
			m, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, m)
			if err := r.Discard(m.Bytes); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != len(sent) {
			t.Fatalf("%d of %d messages", len(got), len(sent))
		}
		for i := range got {
			if got[i] != sent[i] {
				t.Fatal(cmp.Diff(sent[i], got[i]))
			}
		}
	})
}

func TestNextDoesNotAllocate(t *testing.T) {
	r := wire.NewReader(&endless{data: hotPath()})
	payload := make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() { readOne(t, r, payload) }); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

// Whatever comes in: no panic, no endless loop, only documented errors, and
// what is accepted is written again the same.
func FuzzReader(f *testing.F) {
	f.Add([]byte("BITS 1\n\xffHAVE 0\nGET 1\r\nANY\nNONE -\nDATA 0 3\nabcOFFER 2\nCANCEL 2\nPING\nPONG\nERR auth no\n"))
	f.Add([]byte("DATA 0 2147483647\n"))
	f.Add([]byte("GET -1\n"))
	f.Add(bytes.Repeat([]byte{'x'}, 1025))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := wire.NewReader(bytes.NewReader(data))
		for {
			m, err := r.Next()
			if err != nil {
				if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.Is(err, wire.ErrProtocol) {
					t.Fatalf("undocumented error: %v", err)
				}
				break
			}
			line := wire.AppendMessage(nil, m)
			if len(line) > wire.MaxLine {
				t.Fatalf("%+v becomes a line of %d bytes", m, len(line))
			}
			if again, err := wire.NewReader(bytes.NewReader(line)).Next(); err != nil || again != m {
				t.Fatalf("%+v becomes %+v, %v", m, again, err)
			}
			if r.Discard(m.Bytes) != nil {
				break
			}
		}
		_, _ = wire.NewReader(bytes.NewReader(data)).Greeting()
		_, _ = wire.NewReader(bytes.NewReader(data)).ClientHello()
		_, _ = wire.NewReader(bytes.NewReader(data)).ServerHello()
	})
}

func BenchmarkReader(b *testing.B) {
	r := wire.NewReader(&endless{data: hotPath()})
	payload := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		readOne(b, r, payload)
	}
}

func readOne(t testing.TB, r *wire.Reader, payload []byte) {
	m, err := r.Next()
	if err == nil {
		err = r.ReadPayload(payload[:m.Bytes])
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hotPath is what a busy session reads.
func hotPath() []byte {
	return []byte("HAVE 1023\nGET 77\nOFFER 512\nCANCEL 512\nNONE -\nANY\nPING\nDATA 900 100\n" + strings.Repeat("x", 100))
}

func drawMessage(t *rapid.T) wire.Message {
	m := wire.Message{Kind: wire.Kind(rapid.IntRange(int(wire.KindBits), int(wire.KindErr)).Draw(t, "kind"))}
	chunk := rapid.IntRange(0, 1<<31-1).Draw(t, "chunk")
	length := rapid.IntRange(0, 6000).Draw(t, "bytes")
	switch m.Kind {
	case wire.KindAny, wire.KindPing, wire.KindPong:
	case wire.KindBits:
		m.Bytes = length
	case wire.KindData:
		m.Chunk, m.Bytes = chunk, length
	case wire.KindNone:
		m.Chunk = rapid.SampledFrom([]int{wire.NoChunk, chunk}).Draw(t, "none")
	case wire.KindErr:
		m.Code = rapid.StringMatching(`[a-z-]{1,32}`).Draw(t, "code")
		m.Text = rapid.StringMatching(`[\pL\pN !,:]{0,100}`).Draw(t, "text")
	default:
		m.Chunk = chunk
	}
	return m
}

// endless repeats data.
type endless struct {
	data []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.data[e.at:])
	e.at = (e.at + n) % len(e.data)
	return n, nil
}

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
			if m.Kind != wire.KindRoom {
				stream = append(stream, bytes.Repeat([]byte{'\n'}, m.Bytes)...)
			}
		}
		r := wire.NewReader(bytes.NewReader(stream))
		r.Speak(2)
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
			if m.Kind == wire.KindRoom {
				continue // its bytes are yet to be asked for
			}
			if err := r.Discard(m.Bytes); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != len(sent) {
			t.Fatalf("%d of %d messages", len(got), len(sent))
		}
		for i := range got {
			if diff := cmp.Diff(sent[i], got[i]); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func TestNextDoesNotAllocate(t *testing.T) {
	r := wire.NewReader(&endless{data: hotPath()})
	r.Speak(2)
	payload := make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() { readOne(t, r, payload) }); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

// Whatever comes in: no panic, no endless loop, only documented errors, and
// what is accepted is written again the same.
func FuzzReader(f *testing.F) {
	f.Add([]byte("BITS 1\n\xffHAVE 0\nGET 1\r\nANY\nNONE -\nDATA 0 3\nabcOFFER 2\nCANCEL 2\nPING\nPONG\nERR auth no\n"))
	f.Add([]byte("HAVE 1-5\nHAVE 0,2-3,9\nROOM 65536 7\nROOM 65536\nPASS 250\nBYE 60000\n"))
	f.Add([]byte("HAVE 5-4\n"))
	f.Add([]byte("HAVE 1,\n"))
	f.Add([]byte("HAVE 1,2-4,3,4-5,0\n"))
	f.Add([]byte("BYE 86400001\n"))
	f.Add([]byte("DATA 0 2147483647\n"))
	f.Add([]byte("GET -1\n"))
	f.Add(bytes.Repeat([]byte{'x'}, 1025))
	f.Fuzz(func(t *testing.T, data []byte) {
		for version := 1; version <= wire.Version; version++ {
			readAll(t, data, version)
		}
		_, _ = wire.NewReader(bytes.NewReader(data)).Greeting()
		_, _ = wire.NewReader(bytes.NewReader(data)).ClientHello()
		_, _ = wire.NewReader(bytes.NewReader(data)).ServerHello()
	})
}

// readAll reads messages of a session of that version until that is over.
func readAll(t *testing.T, data []byte, version int) {
	r := wire.NewReader(bytes.NewReader(data))
	r.Speak(version)
	for {
		m, err := r.Next()
		if err != nil {
			if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.Is(err, wire.ErrProtocol) {
				t.Fatalf("undocumented error: %v", err)
			}
			return
		}
		if m.Kind.Since() > version || version < 2 && m.More != nil {
			t.Fatalf("%+v in a session of version %d", m, version)
		}
		line := wire.AppendMessage(nil, m)
		if len(line) > wire.MaxLine {
			t.Fatalf("%+v becomes a line of %d bytes", m, len(line))
		}
		again := wire.NewReader(bytes.NewReader(line))
		again.Speak(version)
		if read, err := again.Next(); err != nil || !cmp.Equal(read, m) {
			t.Fatalf("%+v becomes %+v, %v", m, read, err)
		}
		if again.Line() != len(line) {
			t.Fatalf("%q has %d bytes, it says", line, again.Line())
		}
		if r.Discard(m.Bytes) != nil && m.Kind != wire.KindRoom {
			return
		}
	}
}

func BenchmarkReader(b *testing.B) {
	r := wire.NewReader(&endless{data: hotPath()})
	r.Speak(2)
	payload := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		readOne(b, r, payload)
	}
}

func readOne(t testing.TB, r *wire.Reader, payload []byte) {
	m, err := r.Next()
	if err == nil && m.Kind == wire.KindData {
		err = r.ReadPayload(payload[:m.Bytes])
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hotPath is what a busy session reads.
func hotPath() []byte {
	return []byte("HAVE 1023\nGET 77\nOFFER 512\nCANCEL 512\nNONE -\nANY\nPING\nROOM 65536\nROOM 65536 3\nPASS 250\nDATA 900 100\n" + strings.Repeat("x", 100))
}

func drawMessage(t *rapid.T) wire.Message {
	m := wire.Message{Kind: wire.Kind(rapid.IntRange(int(wire.KindBits), int(wire.KindBye)).Draw(t, "kind"))}
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
	case wire.KindHave:
		m.Chunk = chunk
		for range rapid.IntRange(0, 40).Draw(t, "runs") {
			first := rapid.IntRange(0, 1<<31-1).Draw(t, "first")
			m.More = append(m.More, wire.Run{First: first, Last: rapid.IntRange(first, 1<<31-1).Draw(t, "last")})
		}
	case wire.KindRoom:
		m.Bytes, m.Chunk = length, rapid.SampledFrom([]int{wire.NoChunk, chunk}).Draw(t, "hint")
	case wire.KindPass, wire.KindBye:
		m.Wait = rapid.IntRange(0, 24*3600*1000).Draw(t, "wait")
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

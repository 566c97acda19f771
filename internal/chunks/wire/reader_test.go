package wire_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"fanout/internal/chunks/wire"
)

func TestMessages(t *testing.T) {
	for _, tc := range []struct {
		line string
		want wire.Message
	}{
		{"BITS 13\n", wire.Message{Kind: wire.KindBits, Bytes: 13}},
		{"BITS 0\n", wire.Message{Kind: wire.KindBits}},
		{"HAVE 0\n", wire.Message{Kind: wire.KindHave}},
		{"GET 2147483647\n", wire.Message{Kind: wire.KindGet, Chunk: 1<<31 - 1}},
		{"ANY\n", wire.Message{Kind: wire.KindAny}},
		{"OFFER 12\n", wire.Message{Kind: wire.KindOffer, Chunk: 12}},
		{"DATA 12 65536\n", wire.Message{Kind: wire.KindData, Chunk: 12, Bytes: 65536}},
		{"NONE 7\n", wire.Message{Kind: wire.KindNone, Chunk: 7}},
		{"NONE -\n", wire.Message{Kind: wire.KindNone, Chunk: wire.NoChunk}},
		{"CANCEL 7\n", wire.Message{Kind: wire.KindCancel, Chunk: 7}},
		{"PING\n", wire.Message{Kind: wire.KindPing}},
		{"PONG\n", wire.Message{Kind: wire.KindPong}},
		{"ERR too-many 8 sessions from here\n", wire.Message{Kind: wire.KindErr, Code: wire.CodeTooMany, Text: "8 sessions from here"}},
		{"ERR shutdown\n", wire.Message{Kind: wire.KindErr, Code: wire.CodeShutdown}},
	} {
		if got := string(wire.AppendMessage(nil, tc.want)); got != tc.line {
			t.Errorf("AppendMessage(%+v) = %q, want %q", tc.want, got, tc.line)
		}
		for _, line := range []string{tc.line, strings.TrimSuffix(tc.line, "\n") + "\r\n"} {
			got, err := wire.NewReader(strings.NewReader(line)).Next()
			if err != nil || !cmp.Equal(got, tc.want) {
				t.Errorf("%q: Next() = %+v, %v; want %+v", line, got, err, tc.want)
			}
		}
	}
}

func TestNextRejects(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want error
	}{
		{"\n", wire.ErrSyntax},
		{"HELLO\n", wire.ErrSyntax},
		{"get 1\n", wire.ErrSyntax},
		{" GET 1\n", wire.ErrSyntax},
		{"GET\n", wire.ErrSyntax},
		{"GET \n", wire.ErrSyntax},
		{"GET -\n", wire.ErrSyntax},
		{"GET -1\n", wire.ErrSyntax},
		{"GET +1\n", wire.ErrSyntax},
		{"GET 01\n", wire.ErrSyntax},
		{"GET 0x1\n", wire.ErrSyntax},
		{"GET  1\n", wire.ErrSyntax},
		{"GET 1 \n", wire.ErrSyntax},
		{"GET 1 2\n", wire.ErrSyntax},
		{"GET ١\n", wire.ErrSyntax},
		{"GET 2147483648\n", wire.ErrSyntax},
		{"GET 99999999999999999999\n", wire.ErrSyntax},
		{"DATA 1\n", wire.ErrSyntax},
		{"DATA 1 -1\n", wire.ErrSyntax},
		{"DATA 1 2 3\n", wire.ErrSyntax},
		{"ANY 1\n", wire.ErrSyntax},
		{"PING \n", wire.ErrSyntax},
		{"ERR\n", wire.ErrSyntax},
		{"ERR Too-Many x\n", wire.ErrSyntax},
		{"ERR " + strings.Repeat("x", 33) + "\n", wire.ErrSyntax},
		{"ERR x " + strings.Repeat("y", wire.MaxLine-7) + "\n", nil},
		{"ERR x " + strings.Repeat("y", wire.MaxLine-6) + "\n", wire.ErrLineTooLong},
		{strings.Repeat("x", wire.MaxLine), wire.ErrLineTooLong},
		{strings.Repeat("x", 100_000), wire.ErrLineTooLong},
		{"", io.EOF},
		{"GET 1", io.ErrUnexpectedEOF},
	} {
		for _, r := range []io.Reader{strings.NewReader(tc.in), iotest.OneByteReader(strings.NewReader(tc.in))} {
			_, err := wire.NewReader(r).Next()
			if !errors.Is(err, tc.want) {
				t.Errorf("%.40q: %v, want %v", tc.in, err, tc.want)
			}
			if isEnd := err == io.EOF || err == io.ErrUnexpectedEOF; tc.want != nil && errors.Is(err, wire.ErrProtocol) == isEnd {
				t.Errorf("%.40q: %v: ErrProtocol must mean the other side's fault", tc.in, err)
			}
		}
	}
}

func TestErrTextFitsALine(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"two\nlines\x1b[31m\r\x00\u0085", "two?lines?[31m???"},
		{"not \xff\xfe UTF-8", "not ? UTF-8"},
		{strings.Repeat("x", 5000), strings.Repeat("x", wire.MaxLine-len("ERR auth \n"))},
		{strings.Repeat("é", 5000), strings.Repeat("é", (wire.MaxLine-len("ERR auth \n"))/2)},
	} {
		line := wire.AppendMessage([]byte("before"), wire.Message{Kind: wire.KindErr, Code: wire.CodeAuth, Text: tc.text})
		line = bytes.TrimPrefix(line, []byte("before"))
		if len(line) > wire.MaxLine {
			t.Errorf("line of %d bytes", len(line))
		}
		m, err := wire.NewReader(bytes.NewReader(line)).Next()
		if err != nil || m.Text != tc.want {
			t.Errorf("got %q, %v; want %q", m.Text, err, tc.want)
		}
	}
	// A stranger need not have used AppendMessage.
	m, err := wire.NewReader(strings.NewReader("ERR auth \x1b[31m\xff\n")).Next()
	if err != nil || m.Text != "?[31m?" {
		t.Errorf("got %q, %v", m.Text, err)
	}
}

func TestPayload(t *testing.T) {
	payload := strings.Repeat("0123456789abcdef", 1000) // larger than the buffer
	in := "DATA 3 16000\n" + payload + "HAVE 3\n" + "BITS 2\n\n\nPING\n"
	for name, src := range map[string]io.Reader{
		"at once":        strings.NewReader(in),
		"byte by byte":   iotest.OneByteReader(strings.NewReader(in)),
		"data with EOF":  iotest.DataErrReader(strings.NewReader(in)),
		"half of a read": iotest.HalfReader(strings.NewReader(in)),
	} {
		t.Run(name, func(t *testing.T) {
			r := wire.NewReader(src)
			next(t, r, wire.Message{Kind: wire.KindData, Chunk: 3, Bytes: 16000})
			got := make([]byte, 16000)
			for _, part := range [][]byte{got[:1], got[1:7000], got[7000:7000], got[7000:15000]} {
				if err := r.ReadPayload(part); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Discard(999); err != nil {
				t.Fatal(err)
			}
			if err := r.ReadPayload(got[15999:]); err != nil {
				t.Fatal(err)
			}
			copy(got[15000:15999], payload[15000:])
			if string(got) != payload {
				t.Error("payload differs")
			}
			next(t, r, wire.Message{Kind: wire.KindHave, Chunk: 3})
			next(t, r, wire.Message{Kind: wire.KindBits, Bytes: 2})
			if err := r.Discard(2); err != nil {
				t.Fatal(err)
			}
			next(t, r, wire.Message{Kind: wire.KindPing})
			if _, err := r.Next(); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}

func TestPayloadMustBeConsumedExactly(t *testing.T) {
	r := wire.NewReader(strings.NewReader("DATA 0 4\nabcdPING\n"))
	next(t, r, wire.Message{Kind: wire.KindData, Bytes: 4})
	if _, err := r.Next(); !errors.Is(err, wire.ErrPayload) || errors.Is(err, wire.ErrProtocol) {
		t.Errorf("Next before the payload: %v", err)
	}
	for _, err := range []error{r.ReadPayload(make([]byte, 5)), r.Discard(5), r.Discard(-1)} {
		if !errors.Is(err, wire.ErrPayload) {
			t.Errorf("more than the payload: %v", err)
		}
	}
	if err := r.Discard(4); err != nil {
		t.Error(err)
	}
	next(t, r, wire.Message{Kind: wire.KindPing})
}

func TestPayloadCutOff(t *testing.T) {
	for _, consume := range []func(*wire.Reader) error{
		func(r *wire.Reader) error { return r.ReadPayload(make([]byte, 10_000)) },
		func(r *wire.Reader) error { return r.Discard(10_000) },
	} {
		for _, have := range []int{0, 9, 5000} {
			r := wire.NewReader(strings.NewReader("BITS 10000\n" + strings.Repeat("x", have)))
			next(t, r, wire.Message{Kind: wire.KindBits, Bytes: 10_000})
			if err := consume(r); err != io.ErrUnexpectedEOF {
				t.Errorf("%d bytes of 10000: %v", have, err)
			}
		}
	}
}

func TestReaderReturnsErrorsOfTheConnection(t *testing.T) {
	broken := errors.New("reset")
	if _, err := wire.NewReader(iotest.ErrReader(broken)).Next(); err != broken {
		t.Errorf("got %v", err)
	}
	if _, err := wire.NewReader(idle{}).Next(); err != io.ErrNoProgress {
		t.Errorf("got %v", err)
	}
}

func next(t *testing.T, r *wire.Reader, want wire.Message) {
	t.Helper()
	got, err := r.Next()
	if err != nil || !cmp.Equal(got, want) {
		t.Fatalf("Next() = %+v, %v; want %+v", got, err, want)
	}
}

// idle reads nothing, without an error.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

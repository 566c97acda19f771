package wire_test

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"fanout/internal/chunks/manifest"
	"fanout/internal/chunks/wire"
)

const idText = "ab00000000000000000000000000000000000000000000000000000000000001"

func TestGreetingAndHello(t *testing.T) {
	id := manifest.ID{0xab, 31: 1}
	mac := strings.Repeat("0f", 32)
	for line, check := range map[string]func(*wire.Reader) (any, any, error){
		"FANOUT 1 n0nce\n": func(r *wire.Reader) (any, any, error) {
			got, err := r.Greeting()
			return got, "n0nce", err
		},
		"HELLO " + idText + " peer-7 n1 -\n": func(r *wire.Reader) (any, any, error) {
			got, err := r.ClientHello()
			return got, wire.Hello{Manifest: id, Peer: "peer-7", Nonce: "n1", MAC: "-"}, err
		},
		"HELLO " + idText + " peer-7 n1 " + mac + "\r\n": func(r *wire.Reader) (any, any, error) {
			got, err := r.ClientHello()
			return got, wire.Hello{Manifest: id, Peer: "peer-7", Nonce: "n1", MAC: mac}, err
		},
		"HELLO " + idText + " origin " + mac + "\n": func(r *wire.Reader) (any, any, error) {
			got, err := r.ServerHello()
			return got, wire.Hello{Manifest: id, Peer: "origin", MAC: mac}, err
		},
	} {
		if got, want, err := check(wire.NewReader(strings.NewReader(line))); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", line, got, err, want)
		}
	}
	hello := wire.Hello{Manifest: id, Peer: "me", Nonce: "n1"}
	for got, want := range map[string]string{
		string(wire.AppendGreeting(nil, "n0nce")):  "FANOUT 1 n0nce\n",
		string(wire.AppendClientHello(nil, hello)): "HELLO " + idText + " me n1 -\n",
		string(wire.AppendServerHello(nil, hello)): "HELLO " + idText + " me -\n",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestHandshakeRejects(t *testing.T) {
	greeting := func(r *wire.Reader) error { _, err := r.Greeting(); return err }
	client := func(r *wire.Reader) error { _, err := r.ClientHello(); return err }
	server := func(r *wire.Reader) error { _, err := r.ServerHello(); return err }
	for _, tc := range []struct {
		read func(*wire.Reader) error
		line string
		want error
	}{
		{greeting, "FANOUT 2 something new\n", wire.ErrVersion},
		{greeting, "FANOUT 2 2.0f\n", wire.ErrVersion},
		{greeting, "FANOUT 1\n", wire.ErrSyntax},
		{greeting, "FANOUT 01 n\n", wire.ErrSyntax},
		{greeting, "FANOUT x n\n", wire.ErrSyntax},
		{greeting, "FANOUT 1 a b\n", wire.ErrSyntax},
		{greeting, "HTTP/1.1 400 Bad Request\r\n", wire.ErrSyntax},
		{greeting, "SSH-2.0-OpenSSH\r\n", wire.ErrSyntax},
		{client, "GET / HTTP/1.1\r\n", wire.ErrSyntax},
		{client, "HELLO\n", wire.ErrSyntax},
		{client, "HELLO " + strings.ToUpper(idText) + " me n -\n", wire.ErrSyntax},
		{client, "HELLO " + idText + " me -\n", wire.ErrSyntax},
		{client, "HELLO " + idText + " m/e n -\n", wire.ErrPeerID},
		{client, "HELLO " + idText + " me  -\n", wire.ErrSyntax},
		{client, "HELLO " + idText + " me n 0f\n", wire.ErrSyntax},
		{client, "HELLO " + idText + " me n " + strings.Repeat("0F", 32) + "\n", wire.ErrSyntax},
		{server, "HELLO " + idText + " me n -\n", wire.ErrSyntax},
		{server, "HELLO " + idText + " me x\n", wire.ErrSyntax},
	} {
		err := tc.read(wire.NewReader(strings.NewReader(tc.line)))
		if !errors.Is(err, tc.want) || !errors.Is(err, wire.ErrProtocol) {
			t.Errorf("%q: %v, want %v", tc.line, err, tc.want)
		}
	}
	for _, read := range []func(*wire.Reader) error{greeting, client, server} {
		var remote *wire.RemoteError
		if err := read(wire.NewReader(strings.NewReader("ERR banned bad data\n"))); !errors.As(err, &remote) || remote.Code != wire.CodeBanned {
			t.Errorf("refused: %v", err)
		}
		if err := read(wire.NewReader(strings.NewReader(""))); err != io.EOF {
			t.Errorf("closed: %v", err)
		}
	}
}

func TestValidPeerID(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "node-17.rack_3": true, strings.Repeat("x", 64): true,
		"": false, "a b": false, "é": false, "a/b": false, strings.Repeat("x", 65): false,
	} {
		if err := wire.ValidPeerID(id); (err == nil) != ok {
			t.Errorf("ValidPeerID(%q) = %v", id, err)
		}
	}
}

func TestNewNonce(t *testing.T) {
	a, b := wire.NewNonce(), wire.NewNonce()
	if a == b || !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(a) {
		t.Errorf("nonces %q, %q", a, b)
	}
}

// Nonces agree on the lower version, and whatever is no version is the first.
func TestVersion(t *testing.T) {
	for nonce, want := range map[string]int{
		"2.0f": 2, "3.x": 3, "17.": 17, "2147483647.x": 1<<31 - 1,
		"1": 1, "2": 1, "20f": 1, "1.0f": 1, "0.x": 1, "02.x": 1, "-2.x": 1, ".x": 1, "x.2.y": 1, "2147483648.x": 1, "2-3.x": 1,
	} {
		if got := wire.Speaks(nonce); got != want {
			t.Errorf("%q speaks version %d, want %d", nonce, got, want)
		}
	}
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"0f", "0f", 1}, {"2.0f", "0f", 1}, {"0f", "2.0f", 1}, {"2.0f", "2.0f", 2}, {"3.0f", "2.0f", 2}, {"9.0f", "9.0f", wire.Version},
	} {
		if got := wire.Agreed(tc.a, tc.b); got != tc.want {
			t.Errorf("%s and %s agree on version %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
	for version := 1; version <= 3; version++ {
		nonce := wire.NonceOf(version)
		if wire.Speaks(nonce) != version {
			t.Errorf("the nonce %s is to be one of version %d", nonce, version)
		}
		line := wire.AppendGreeting(nil, nonce)
		if again, err := wire.NewReader(bytes.NewReader(line)).Greeting(); err != nil || again != nonce {
			t.Errorf("%q: %q, %v", line, again, err)
		}
	}
}

func TestKindString(t *testing.T) {
	if got := wire.KindOffer.String() + " " + wire.Kind(0).String(); got != "OFFER Kind(0)" {
		t.Error(got)
	}
}

package wire

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"fanout/internal/chunks/manifest"
)

// NoMAC stands for the MAC where there is none, which is everywhere yet.
const NoMAC = "-"

// macLength is the length of the MACs that there may be one day.
const macLength = 64

// greeting begins the first line of the accepting side. Its number is that of the first version for
// good: who speaks no other refuses every greeting but this. Nonces say what else is spoken.
const greeting = "FANOUT 1 "

// Hello is the HELLO line of either side.
type Hello struct {
	Manifest manifest.ID
	Peer     string
	Nonce    string // only in the dialler's
	MAC      string // NoMAC or "" = none
}

// AppendGreeting appends the first line of the accepting side to dst.
func AppendGreeting(dst []byte, nonce string) []byte {
	return append(append(append(dst, greeting...), nonce...), '\n')
}

// AppendClientHello appends the dialler's HELLO line to dst.
func AppendClientHello(dst []byte, h Hello) []byte {
	dst = appendHello(dst, h)
	dst = append(append(dst, ' '), h.Nonce...)
	return appendMAC(dst, h.MAC)
}

// AppendServerHello appends the acceptor's HELLO line to dst.
func AppendServerHello(dst []byte, h Hello) []byte {
	return appendMAC(appendHello(dst, h), h.MAC)
}

func appendHello(dst []byte, h Hello) []byte {
	dst = append(dst, "HELLO "...)
	dst = hex.AppendEncode(dst, h.Manifest[:])
	return append(append(dst, ' '), h.Peer...)
}

func appendMAC(dst []byte, mac string) []byte {
	if mac == "" {
		mac = NoMAC
	}
	return append(append(append(dst, ' '), mac...), '\n')
}

// NewNonce is 32 random hex digits.
func NewNonce() string {
	var b [16]byte
	// crypto/rand never fails: the runtime ends the program instead.
	_, _ = io.ReadFull(rand.Reader, b[:])
	return hex.EncodeToString(b[:])
}

// NonceOf is a fresh nonce that says up to which version its sender speaks.
func NonceOf(version int) string {
	if version < 2 {
		return NewNonce()
	}
	return strconv.Itoa(version) + "." + NewNonce()
}

// Speaks is up to which version the sender of a nonce speaks: the number, from 2 on, before its
// first dot; 1 if it does not begin with one.
func Speaks(nonce string) int {
	prefix, _, dotted := strings.Cut(nonce, ".")
	if version, ok := number([]byte(prefix)); dotted && ok && version > 1 {
		return version
	}
	return 1
}

// Agreed is the version of the session whose sides have said these nonces.
func Agreed(a, b string) int { return min(Speaks(a), Speaks(b), Version) }

// ValidPeerID returns ErrPeerID unless id is 1 to 64 of A-Z a-z 0-9 . _ -
func ValidPeerID(id string) error {
	if !isToken(id) {
		return fmt.Errorf("%w: %.80q: use 1 to 64 of A-Z a-z 0-9 . _ -", ErrPeerID, id)
	}
	return nil
}

func isToken[T string | []byte](s T) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return 1 <= len(s) && len(s) <= 64
}

func isMAC(s []byte) bool {
	if string(s) == NoMAC {
		return true
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == macLength
}

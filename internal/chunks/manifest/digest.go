package manifest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrHex is returned for a digest or ID that is not 64 lower-case hex digits.
var ErrHex = errors.New("not 64 lower-case hex digits")

// Digest is the BLAKE3-256 of one chunk.
type Digest [32]byte

// String is the digest as 64 lower-case hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads what Digest.String writes; otherwise ErrHex.
func ParseDigest(s string) (Digest, error) {
	sum, err := parseHex(s)
	return Digest(sum), err
}

// ID identifies a manifest: the BLAKE3-256 of its canonical encoding.
type ID [32]byte

// String is the ID as 64 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what ID.String writes; otherwise ErrHex. Upper case is
// refused, so that an ID has one spelling in URLs, logs and file names.
func ParseID(s string) (ID, error) {
	sum, err := parseHex(s)
	return ID(sum), err
}

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; see ParseID.
func (id *ID) UnmarshalText(text []byte) error {
	v, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = v
	return nil
}

func parseHex(s string) (sum [32]byte, err error) {
	if len(s) != 2*len(sum) || strings.Trim(s, "0123456789abcdef") != "" {
		return sum, fmt.Errorf("%w: %.80q", ErrHex, s)
	}
	if _, err := hex.Decode(sum[:], []byte(s)); err != nil {
		return [32]byte{}, fmt.Errorf("%w: %.80q", ErrHex, s)
	}
	return sum, nil
}

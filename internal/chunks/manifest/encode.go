package manifest

import (
	"encoding/binary"
	"fmt"

	"github.com/zeebo/blake3"
)

const magic = "FANOUTM1"

// Bytes before the name, and between the name and the digests.
const (
	headLen  = len(magic) + 8 + 8 + 2
	countLen = 4
)

// Encode is the canonical encoding, see the package documentation. The
// manifest must be valid.
func (m *Manifest) Encode() []byte {
	out := make([]byte, 0, headLen+len(m.Name)+countLen+len(m.Digests)*len(Digest{}))
	out = m.appendHeader(out)
	for i := range m.Digests {
		out = append(out, m.Digests[i][:]...)
	}
	return out
}

// ID is the BLAKE3-256 of the canonical encoding. It hashes all digests, so
// keep the result. The manifest must be valid.
func (m *Manifest) ID() ID {
	h := blake3.New()
	// Writing to a hash never fails.
	_, _ = h.Write(m.appendHeader(make([]byte, 0, headLen+len(m.Name)+countLen)))
	for i := range m.Digests {
		_, _ = h.Write(m.Digests[i][:])
	}
	var id ID
	h.Sum(id[:0])
	return id
}

func (m *Manifest) appendHeader(out []byte) []byte {
	out = append(out, magic...)
	out = binary.BigEndian.AppendUint64(out, uint64(m.Size))
	out = binary.BigEndian.AppendUint64(out, uint64(m.ChunkSize))
	out = binary.BigEndian.AppendUint16(out, uint16(len(m.Name)))
	out = append(out, m.Name...)
	return binary.BigEndian.AppendUint32(out, uint32(len(m.Digests)))
}

// Decode reads the canonical encoding. The result is valid, and encodes to
// exactly the bytes given; anything else is ErrEncoding, also wrapping what
// Validate says. Memory is only allocated for digests that are there.
func Decode(data []byte) (*Manifest, error) {
	if len(data) < headLen || string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin with %s", ErrEncoding, magic)
	}
	num := data[len(magic):]
	m := &Manifest{
		Size:      int64(binary.BigEndian.Uint64(num)),
		ChunkSize: int64(binary.BigEndian.Uint64(num[8:])),
	}
	rest := data[headLen:]
	nameLen := int(binary.BigEndian.Uint16(num[16:]))
	if len(rest) < nameLen+countLen {
		return nil, fmt.Errorf("%w: it ends within the name", ErrEncoding)
	}
	m.Name = string(rest[:nameLen])
	count := int64(binary.BigEndian.Uint32(rest[nameLen:]))
	rest = rest[nameLen+countLen:]
	if int64(len(rest)) != count*int64(len(Digest{})) {
		return nil, fmt.Errorf("%w: %d bytes of digests for %d chunks", ErrEncoding, len(rest), count)
	}
	m.Digests = make([]Digest, count)
	for i := range m.Digests {
		m.Digests[i] = Digest(rest[i*len(Digest{}):])
	}
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	return m, nil
}

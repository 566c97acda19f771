package manifest

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/zeebo/blake3"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrName      = errors.New("file name not allowed")
	ErrSize      = errors.New("file size not allowed")
	ErrChunkSize = errors.New("chunk size not allowed")
	ErrCount     = errors.New("number of digests does not fit the file size")
	ErrNoChunk   = errors.New("no such chunk")
	ErrLength    = errors.New("chunk has the wrong length")
	ErrDigest    = errors.New("chunk does not match its digest")
	ErrEncoding  = errors.New("not a manifest")
	ErrShort     = errors.New("file is shorter than stated")
)

// Limits of a manifest, sizes in bytes.
const (
	MinChunkSize     = 4 << 10  // smallest chunk size that may be asked for
	MinAutoChunkSize = 16 << 10 // smallest that ChunkSizeFor chooses: few chunks spread slowly to many peers
	MaxAutoChunkSize = 4 << 20  // largest that ChunkSizeFor chooses where the file leaves a choice
	MaxChunkSize     = 64 << 20 // largest chunk size that may be asked for
	MaxSize          = MaxChunks * MaxChunkSize

	// MaxNameLen leaves room for what is put around a name, as in .NAME.fanout, and in
	// earlier versions NAME.part.state.tmp: file systems allow 255 bytes.
	MaxNameLen = 240
)

// MaxChunks is the most chunks that a file may have. It bounds what follows from a manifest
// everywhere: 32 MiB encoded, 67 MiB as JSON in a publication, 128 KiB a bitmap of chunks.
const MaxChunks = 1 << 20

// Manifest describes one file. It is read-only once built or decoded, and then
// safe for concurrent use.
type Manifest struct {
	Name      string   // label, see ValidateName
	Size      int64    // bytes
	ChunkSize int64    // bytes, see CheckChunkSize; the last chunk may be shorter
	Digests   []Digest // one a chunk; none for an empty file
}

// Validate checks the name, the sizes, and that there is one digest a chunk.
func (m *Manifest) Validate() error {
	if err := ValidateName(m.Name); err != nil {
		return err
	}
	n, err := chunkCount(m.Size, m.ChunkSize)
	if err != nil {
		return err
	}
	if len(m.Digests) != n {
		return fmt.Errorf("%w: %d digests for %d chunks", ErrCount, len(m.Digests), n)
	}
	return nil
}

// Chunks is the number of chunks; they are numbered from 0.
func (m *Manifest) Chunks() int { return len(m.Digests) }

// Offset is where the chunk begins in the file, in bytes.
func (m *Manifest) Offset(chunk int) int64 { return int64(chunk) * m.ChunkSize }

// Length is the number of bytes of the chunk. Only the last may be short.
// It is 0 for a chunk that does not exist.
func (m *Manifest) Length(chunk int) int {
	if chunk < 0 || chunk >= len(m.Digests) {
		return 0
	}
	return int(min(m.ChunkSize, m.Size-m.Offset(chunk)))
}

// Verify returns nil if data is exactly the content of the chunk; otherwise
// ErrNoChunk, ErrLength or ErrDigest.
func (m *Manifest) Verify(chunk int, data []byte) error {
	if chunk < 0 || chunk >= len(m.Digests) {
		return fmt.Errorf("%w: chunk %d of %d", ErrNoChunk, chunk, len(m.Digests))
	}
	if want := m.Length(chunk); len(data) != want {
		return fmt.Errorf("%w: chunk %d: got %d bytes, want %d", ErrLength, chunk, len(data), want)
	}
	if got := Digest(blake3.Sum256(data)); got != m.Digests[chunk] {
		return fmt.Errorf("%w: chunk %d: got %s, want %s", ErrDigest, chunk, got, m.Digests[chunk])
	}
	return nil
}

// ChunkSizeFor is the automatic chunk size for a file of that many bytes: the
// largest power of two that makes at least 1024 chunks, but from
// MinAutoChunkSize to MaxAutoChunkSize; more only for a file that else would
// have more than MaxChunks.
func ChunkSizeFor(size int64) int64 {
	n := size >> 10
	if n < MinAutoChunkSize {
		return MinAutoChunkSize
	}
	return max(min(powerBelow(n), MaxAutoChunkSize), LeastChunkSize(size))
}

// LeastChunkSize is the smallest power of two that, as a chunk size, makes no more
// than MaxChunks chunks of a file of that many bytes, from MinChunkSize to MaxChunkSize.
func LeastChunkSize(size int64) int64 {
	n := int64(MinChunkSize)
	for n < MaxChunkSize && count(size, n) > MaxChunks {
		n *= 2
	}
	return n
}

// powerBelow is the largest power of two that is not above a positive n.
func powerBelow(n int64) int64 { return int64(1) << (bits.Len64(uint64(n)) - 1) }

// CheckChunkSize returns ErrChunkSize unless n is from MinChunkSize to
// MaxChunkSize. It need not be a power of two: an experiment may want as many
// chunks as there are peers.
func CheckChunkSize(n int64) error {
	if n < MinChunkSize || n > MaxChunkSize {
		return fmt.Errorf("%w: %d bytes: it must be from %d (4KiB) to %d (64MiB)",
			ErrChunkSize, n, MinChunkSize, MaxChunkSize)
	}
	return nil
}

// CheckSize returns ErrSize unless a file of that many bytes can have a
// manifest; with a chunkSize other than 0, which is automatic, also
// ErrChunkSize, or a *TooManyChunks.
func CheckSize(size, chunkSize int64) error {
	if chunkSize == 0 {
		chunkSize = ChunkSizeFor(size)
	}
	_, err := chunkCount(size, chunkSize)
	return err
}

// TooManyChunks is the ErrSize of a file that larger chunks would make possible.
type TooManyChunks struct{ Size, ChunkSize int64 }

// Chunks is how many there would be.
func (e *TooManyChunks) Chunks() int64 { return count(e.Size, e.ChunkSize) }

// Error implements error.
func (e *TooManyChunks) Error() string {
	return fmt.Sprintf("%v: %d bytes make %d chunks of %d bytes, more than %d: chunks of %d bytes would do",
		ErrSize, e.Size, e.Chunks(), e.ChunkSize, MaxChunks, LeastChunkSize(e.Size))
}

// Is makes it an ErrSize.
func (*TooManyChunks) Is(target error) bool { return target == ErrSize }

// count is how many chunks of that size a file of size bytes has.
func count(size, chunkSize int64) int64 {
	if size <= 0 {
		return 0
	}
	return (size-1)/chunkSize + 1
}

// chunkCount is how many chunks a file has; it checks both sizes.
func chunkCount(size, chunkSize int64) (int, error) {
	if err := CheckChunkSize(chunkSize); err != nil {
		return 0, err
	}
	switch n := count(size, chunkSize); {
	case size < 0:
		return 0, fmt.Errorf("%w: %d bytes", ErrSize, size)
	case size > MaxSize:
		return 0, fmt.Errorf("%w: %d bytes are more than %d, which are %d chunks of %d: split the file",
			ErrSize, size, int64(MaxSize), MaxChunks, MaxChunkSize)
	case n > MaxChunks:
		return 0, &TooManyChunks{size, chunkSize}
	default:
		return int(n), nil
	}
}

// ValidateName returns ErrName unless the name can be one element of a path
// and of a URL: valid UTF-8 of 1 to MaxNameLen bytes without '/' or control
// characters, not "." or "..", and not 64 hex digits, which would be taken for
// a manifest ID. Spaces and letters of any script are fine.
func ValidateName(name string) error {
	reason := ""
	switch {
	case name == "":
		reason = "it is empty"
	case len(name) > MaxNameLen:
		reason = fmt.Sprintf("it has more than %d bytes", MaxNameLen)
	case !utf8.ValidString(name):
		reason = "it is not UTF-8"
	case name == "." || name == "..":
		reason = "it names a directory"
	case strings.ContainsRune(name, '/'):
		reason = "it contains a '/'"
	case strings.ContainsFunc(name, unicode.IsControl):
		reason = "it contains a control character"
	case len(name) == 64 && strings.Trim(name, "0123456789abcdefABCDEF") == "":
		reason = "64 hex digits are a manifest ID"
	default:
		return nil
	}
	return fmt.Errorf("%w: %q: %s", ErrName, name, reason)
}

package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/errgroup"
)

// hashBuffer is what a worker reads at a time: large enough for BLAKE3's
// vector code, small enough to be still in the cache when it is hashed.
const hashBuffer = 256 << 10

// Build digests size bytes of r on all processors and returns their manifest.
// A chunkSize of 0 means ChunkSizeFor(size). The progress function, which may
// be nil, is told how many more bytes are done, by several goroutines at once.
//
// Errors: those of Validate for the arguments, ErrShort if r ends before size,
// the reader's, and ctx's.
func Build(ctx context.Context, name string, r io.ReaderAt, size, chunkSize int64, progress func(bytes int64)) (*Manifest, error) {
	if err := ValidateName(name); err != nil {
		return nil, err
	}
	if chunkSize == 0 {
		chunkSize = ChunkSizeFor(size)
	}
	n, err := chunkCount(size, chunkSize)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Name: name, Size: size, ChunkSize: chunkSize, Digests: make([]Digest, n)}
	err = m.DigestChunks(ctx, r, nil, progress, func(chunk int, d Digest) {
		m.Digests[chunk] = d
	})
	if err != nil {
		return nil, fmt.Errorf("digest %s: %w", name, err)
	}
	return m, nil
}

// DigestChunks digests those chunks of r for which want is true (nil: all),
// on GOMAXPROCS workers, each with a small buffer whatever the chunk size.
// The functions progress (may be nil) and done are called concurrently. The
// digests in the manifest are not looked at: comparing is the caller's.
//
// It stops at the first error: ErrShort if r ends too soon, the reader's, or
// ctx's.
func (m *Manifest) DigestChunks(ctx context.Context, r io.ReaderAt, want func(chunk int) bool, progress func(bytes int64), done func(chunk int, d Digest)) error {
	if progress == nil {
		progress = func(int64) {}
	}
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), m.Chunks()) {
		group.Go(func() error {
			buf := make([]byte, min(m.ChunkSize, hashBuffer))
			h := blake3.New()
			for {
				chunk := int(next.Add(1) - 1)
				if chunk >= m.Chunks() {
					return nil
				}
				if want != nil && !want(chunk) {
					continue
				}
				d, err := m.digestAt(ctx, h, r, chunk, buf, progress)
				if err != nil {
					return fmt.Errorf("chunk %d: %w", chunk, err)
				}
				done(chunk, d)
			}
		})
	}
	return group.Wait()
}

func (m *Manifest) digestAt(ctx context.Context, h *blake3.Hasher, r io.ReaderAt, chunk int, buf []byte, progress func(int64)) (Digest, error) {
	var d Digest
	h.Reset()
	off := m.Offset(chunk)
	for end := off + int64(m.Length(chunk)); off < end; {
		if err := ctx.Err(); err != nil {
			return d, err
		}
		p := buf[:min(int64(len(buf)), end-off)]
		// A ReaderAt may report io.EOF together with a full buffer.
		if n, err := r.ReadAt(p, off); n < len(p) {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: it ends at byte %d of %d", ErrShort, off+int64(n), m.Size)
			}
			return d, err
		}
		_, _ = h.Write(p) // writing to a hash never fails
		off += int64(len(p))
		progress(int64(len(p)))
	}
	h.Sum(d[:0])
	return d, nil
}

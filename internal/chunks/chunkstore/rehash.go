package chunkstore

import (
	"context"
	"fmt"
	"sync/atomic"

	"fanout/internal/chunks/manifest"
)

// Rehash reads the claimed chunks again, on all processors and with small
// buffers. Those that match their digest are held from then on; the others are
// claimed no more. The function progress, which may be nil, is told how many
// more bytes were read, by several goroutines at once. The store may be used
// meanwhile.
//
// After an error, the disk's or ctx's, chunks not looked at are still claimed.
func (s *Store) Rehash(ctx context.Context, progress func(bytes int64)) (kept, dropped int, err error) {
	claimed := s.claims()
	want := func(chunk int) bool { return claimed.Test(uint(chunk)) }
	var good, bad atomic.Int64
	err = s.m.DigestChunks(ctx, s.f, want, progress, func(chunk int, d manifest.Digest) {
		if d != s.m.Digests[chunk] {
			bad.Add(1)
			s.claim(chunk, false)
			return
		}
		good.Add(1)
		s.hold(chunk)
	})
	if err != nil {
		err = fmt.Errorf("rehash %s: %w", s.path, err)
	}
	return int(good.Load()), int(bad.Load()), err
}

// Fill copies into a part what it lacks and another store of the same manifest holds, such
// as a finished file that was damaged. That one stays as it is, under whatever names it has.
// It must be called before anybody else uses one of the two.
//
// Errors: the disk's, ctx's.
func (s *Store) Fill(ctx context.Context, from *Store) error {
	for chunk := range s.m.Chunks() {
		if s.Has(chunk) || !from.Has(chunk) {
			continue
		}
		err := ctx.Err()
		if err == nil {
			err = s.copyFrom(from.file, s.m.Offset(chunk), int64(s.m.Length(chunk)))
		}
		if err != nil {
			return fmt.Errorf("copy chunk %d of %s: %w", chunk, s.path, err)
		}
		s.claim(chunk, true)
	}
	_, _, err := s.Rehash(ctx, nil) // somebody may be writing to it
	return err
}

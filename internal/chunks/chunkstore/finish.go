package chunkstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

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
	s.mu.RLock()
	claimed := s.claimed.Clone()
	s.mu.RUnlock()
	want := func(chunk int) bool { return claimed.Test(uint(chunk)) }
	var good, bad atomic.Int64
	err = s.m.DigestChunks(ctx, s.f, want, progress, func(chunk int, d manifest.Digest) {
		if d != s.m.Digests[chunk] {
			bad.Add(1)
			s.mu.Lock()
			s.claimed.Clear(uint(chunk))
			s.mu.Unlock()
			return
		}
		good.Add(1)
		s.mark(chunk)
	})
	if err != nil {
		err = fmt.Errorf("rehash %s: %w", s.path, err)
	}
	return int(good.Load()), int(bad.Load()), err
}

// Finish makes a complete download durable, so that Place can give it its final
// name. If sha256hex is not empty, the whole file must have that SHA-256.
// Finishing again is no error.
//
// Errors: ErrIncomplete, ErrSHA256, those of Intact, ctx's. After an error the part is
// still there, for the caller to Discard or to Finish again.
func (s *Store) Finish(ctx context.Context, sha256hex string) error {
	if have := s.Count(); have != s.m.Chunks() {
		return fmt.Errorf("finish %s: %w: %d of %d", s.path, ErrIncomplete, s.m.Chunks()-have, s.m.Chunks())
	}
	s.quiesce()
	s.disk.Lock()
	defer s.disk.Unlock()
	if s.closed {
		return fmt.Errorf("finish %s: %w", s.path, os.ErrClosed)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.checkSHA256(ctx, strings.ToLower(sha256hex)) })
	if s.part {
		if err := s.Intact(); err != nil {
			return fmt.Errorf("finish %s: %w", s.path, err)
		}
		// While the disk writes, the processor hashes.
		group.Go(s.f.Sync)
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("finish %s: %w", s.path, err)
	}
	return nil
}

// quiesce waits for those who write a chunk that another has written before them: a write
// after the end would look like somebody else's.
func (s *Store) quiesce() {
	s.writes.Lock()
	defer s.writes.Unlock()
}

// Place gives the part, which Finish has made durable, its final name. What stands
// there is replaced only if mayReplace allows it. Placing again is no error.
//
// Errors: ErrInTheWay, ErrDamaged and ErrReplaced if the part was moved away, the disk's. Only if the directory cannot be
// synced, the file has its final name already, and might lose it in a power cut.
func (s *Store) Place(mayReplace func(there Stamp) bool) error {
	s.disk.Lock()
	defer s.disk.Unlock()
	if s.closed {
		return fmt.Errorf("place %s: %w", s.path, os.ErrClosed)
	}
	if !s.part {
		return nil
	}
	if err := s.rename(mayReplace); err != nil {
		return fmt.Errorf("place %s: %w", s.path, err)
	}
	return nil
}

// checkSHA256 compares the SHA-256 of the whole file, unless want is empty or
// known to be right.
func (s *Store) checkSHA256(ctx context.Context, want string) error {
	if want == "" || want == s.sha256 {
		return nil
	}
	h := sha256.New()
	buf := make([]byte, 256<<10)
	for chunk := range s.m.Chunks() {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := io.NewSectionReader(s.f, s.m.Offset(chunk), int64(s.m.Length(chunk)))
		switch n, err := io.CopyBuffer(h, r, buf); {
		case err != nil:
			return err
		case n < int64(s.m.Length(chunk)):
			return io.ErrUnexpectedEOF
		}
	}
	got := hex.EncodeToString(h.Sum(nil))
	if got != want {
		return fmt.Errorf("%w: got %s, want %s", ErrSHA256, got, want)
	}
	s.sha256 = got
	return nil
}

// rename turns the part into the final file. The caller has locked s.disk.
func (s *Store) rename(mayReplace func(Stamp) bool) error {
	// Only what was verified may get the final name.
	if err := s.isNamed(s.names.part); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	switch there, _, err := s.dir.Look(s.path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !mayReplace(there):
		return inTheWay(s.dir.Root, s.path)
	}
	if err := s.dir.Root.Rename(s.names.part, s.path); err != nil {
		return err
	}
	s.mu.Lock()
	s.part = false
	s.mu.Unlock()
	if err := s.syncDir(); err != nil {
		return err
	}
	return errors.Join(s.dir.remove(s.names.state), s.closeState())
}

// isNamed checks that a name means the open file; otherwise ErrReplaced.
func (s *Store) isNamed(name string) error {
	opened, err := s.f.Stat()
	if err != nil {
		return err
	}
	named, err := s.dir.Root.Lstat(name)
	if err != nil || !os.SameFile(opened, named) {
		return errors.Join(fmt.Errorf("%w: %s", ErrReplaced, name), err)
	}
	return nil
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
			err = copyAt(s.f, from.f, s.m.Offset(chunk), int64(s.m.Length(chunk)))
		}
		if err != nil {
			return fmt.Errorf("copy chunk %d of %s: %w", chunk, s.path, err)
		}
		s.writeback.wrote(s.f, s.m.Length(chunk))
		s.mu.Lock()
		s.claimed.Set(uint(chunk))
		s.mu.Unlock()
	}
	_, _, err := s.Rehash(ctx, nil) // somebody may be writing to it
	return err
}

// copyAt copies n bytes to the same place of another file. What the source has no more of is
// not there. The kernel does it, without using space twice where the file system can.
func copyAt(to, from *os.File, off, n int64) error {
	for _, f := range []*os.File{to, from} {
		if _, err := f.Seek(off, io.SeekStart); err != nil {
			return err
		}
	}
	_, err := io.Copy(to, io.LimitReader(from, n))
	return err
}

// syncDir makes the rename durable.
func (s *Store) syncDir() error {
	dir, err := s.dir.Root.Open(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

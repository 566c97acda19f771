package chunkstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"
)

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
	if s.writable() {
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
// Errors: ErrInTheWay, ErrDamaged and ErrReplaced if the part was moved away, the disk's. Only
// if the directory cannot be synced, the file has its final name already, and might lose it
// in a power cut.
func (s *Store) Place(mayReplace func(there Stamp) bool) error {
	s.disk.Lock()
	defer s.disk.Unlock()
	if s.closed {
		return fmt.Errorf("place %s: %w", s.path, os.ErrClosed)
	}
	if !s.writable() {
		return nil
	}
	err := s.place(mayReplace)
	if err == nil {
		err = errors.Join(s.state.remove(), s.state.close())
	}
	if err != nil {
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

// Close closes the files. It waits for a Finish that is running. Closing again
// is no error.
func (s *Store) Close() error {
	s.disk.Lock()
	defer s.disk.Unlock()
	return s.close()
}

// Discard closes the store and removes the part and the state. A final file
// stays, and so does a source. A store that is closed is not ours any more: it
// removes nothing.
func (s *Store) Discard() error {
	s.disk.Lock()
	defer s.disk.Unlock()
	var err error
	// Removed while the lock on the part is still ours, so that they are not
	// another's.
	if !s.closed && s.writable() {
		err = errors.Join(s.state.remove(), s.dir.remove(s.part))
	}
	return errors.Join(err, s.close())
}

// close closes the files; s.disk is held.
func (s *Store) close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if s.state == nil {
		return s.f.Close()
	}
	return errors.Join(s.f.Close(), s.state.close())
}

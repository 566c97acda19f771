package chunkstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"fanout/internal/manifest"
)

const (
	filePerm = 0o644
	dirPerm  = 0o755
)

// Open opens a download of the manifest m, whose ID is id, to path; see
// CheckPath for what paths are allowed. It makes missing directories, and
// takes up an earlier part of the same manifest: its chunks are claimed, and
// held after Rehash. A part of another manifest is emptied.
//
// Errors: those of CheckPath, ErrInUse, ErrNotRegular, and those of the disk.
func Open(root *os.Root, path string, m *manifest.Manifest, id manifest.ID) (*Store, error) {
	rel, err := CheckPath(root, path)
	if err != nil {
		return nil, err
	}
	if err := root.MkdirAll(filepath.Dir(rel), dirPerm); err != nil {
		return nil, rootError(root, path, err)
	}
	f, err := openPart(root, partName(rel))
	if err != nil {
		return nil, err
	}
	s := newStore(m, f)
	s.id, s.root, s.path, s.part = id, root, rel, true
	if err := s.restore(); err != nil {
		return nil, errors.Join(fmt.Errorf("open download %s: %w", path, err), s.closeFiles())
	}
	return s, nil
}

// OpenComplete opens a download that was finished earlier. All chunks are
// claimed, and held after Rehash; nothing can be written. If Rehash drops
// chunks, the file was changed: Open a new download then.
//
// Errors: those of CheckPath, ErrSize, and those of the disk, such as
// fs.ErrNotExist.
func OpenComplete(root *os.Root, path string, m *manifest.Manifest, id manifest.ID) (*Store, error) {
	rel, err := CheckPath(root, path)
	if err != nil {
		return nil, err
	}
	f, err := root.Open(rel)
	if err != nil {
		return nil, rootError(root, path, err)
	}
	s := newStore(m, f)
	s.id, s.root, s.path = id, root, rel
	s.claimed.FlipRange(0, uint(m.Chunks()))
	if err := s.checkSize(); err != nil {
		return nil, err
	}
	return s, nil
}

// OpenSource opens the file that m was just built from, anywhere on this
// machine. It is read-only, and everything is held.
//
// Errors: ErrSize, and those of the disk.
func OpenSource(path string, m *manifest.Manifest) (*Store, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := newStore(m, f)
	s.path = path
	s.held.FlipRange(0, uint(m.Chunks()))
	s.count = m.Chunks()
	if err := s.checkSize(); err != nil {
		return nil, err
	}
	return s, nil
}

// checkSize closes the file and returns an error unless it is a regular file
// of the size in the manifest.
func (s *Store) checkSize() error {
	info, err := s.f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%w: %s", ErrNotRegular, s.path)
	case info.Size() != s.m.Size:
		err = fmt.Errorf("%w: %s has %d bytes, want %d", ErrSize, s.path, info.Size(), s.m.Size)
	default:
		return nil
	}
	return errors.Join(err, s.f.Close())
}

// openPart opens or makes the part file and locks it.
func openPart(root *os.Root, name string) (*os.File, error) {
	for {
		f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE, filePerm)
		if err != nil {
			return nil, rootError(root, name, err)
		}
		again, err := lockPart(root, f, name)
		if err == nil && !again {
			return f, nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

// lockPart locks f. If the name has come to mean another file before the lock
// was ours, because its owner has finished, it asks to open it again.
func lockPart(root *os.Root, f *os.File, name string) (again bool, err error) {
	err = flock(f)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, fmt.Errorf("%w: %s in %s", ErrInUse, name, root.Name())
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", name, err)
	}
	opened, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := root.Lstat(name)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if !named.Mode().IsRegular() {
		return false, fmt.Errorf("%w: %s in %s", ErrNotRegular, name, root.Name())
	}
	return !os.SameFile(opened, named), nil
}

func flock(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = conn.Control(func(fd uintptr) {
		lockErr = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	return errors.Join(err, lockErr)
}

// restore takes up the claims of an earlier run, or starts an empty part.
func (s *Store) restore() error {
	info, err := s.f.Stat()
	if err != nil {
		return err
	}
	claimed, ok, err := s.openState()
	if err != nil {
		return err
	}
	if ok && info.Size() == s.m.Size {
		s.claimed = claimed
		return nil
	}
	// Down to nothing first: bytes of another manifest are of no use, and cost
	// disk space.
	if err := s.f.Truncate(0); err != nil {
		return err
	}
	if err := s.f.Truncate(s.m.Size); err != nil {
		return err
	}
	return s.resetState()
}

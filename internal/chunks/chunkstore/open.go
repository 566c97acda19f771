package chunkstore

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"fanout/internal/chunks/manifest"
)

const (
	filePerm = 0o644
	dirPerm  = 0o755
)

// Open opens a download of the manifest m, whose ID is id, to path; see
// CheckPath for what paths are allowed. It makes missing directories, and
// takes up an earlier part of the same manifest: its chunks are claimed, and
// held after Rehash. What stands at path is not looked at before Place.
//
// Errors: those of CheckPath, ErrInUse, ErrInTheWay, ErrNotRegular, and those of
// the disk.
func (d Dir) Open(path string, m *manifest.Manifest, id manifest.ID) (*Store, error) {
	rel, err := CheckPath(d.Root, path)
	if err != nil {
		return nil, err
	}
	names, err := d.names(rel, id)
	if err != nil {
		return nil, err
	}
	state, claimed, known, err := openState(d, names.state, m, id)
	if err != nil {
		return nil, err
	}
	if err := d.ours(names, known); err != nil {
		return nil, errors.Join(err, state.close())
	}
	f, err := openPart(d.Root, names.part)
	if err != nil {
		return nil, errors.Join(err, state.close())
	}
	s := newStore(m, &file{f: f, dir: d, path: rel, part: names.part})
	s.state = state
	if known {
		s.claimed = claimed
		err = f.Truncate(m.Size) // if somebody has made it shorter
	} else if err = s.empty(); err == nil {
		err = state.reset(s.Bits())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open download %s: %w", path, err), s.Close())
	}
	return s, nil
}

// OpenComplete opens a file that should be what the manifest describes: one that
// was finished earlier, or that somebody has put there. The chunks that it has
// room for are claimed, and held after Rehash; nothing can be written. It is
// whole if all chunks are held and it has the right size, see Whole.
//
// Errors: those of CheckPath, ErrNotRegular, and those of the disk, such as
// fs.ErrNotExist.
func (d Dir) OpenComplete(path string, m *manifest.Manifest, id manifest.ID) (*Store, error) {
	rel, err := CheckPath(d.Root, path)
	if err != nil {
		return nil, err
	}
	f, err := d.Root.Open(rel)
	if err != nil {
		return nil, rootError(d.Root, path, err)
	}
	s := newStore(m, &file{f: f, dir: d, path: rel})
	info, err := f.Stat()
	if err == nil {
		s.opened = stampOf(info, born(f, ""))
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s in %s", ErrNotRegular, path, d.Root.Name())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	for c := range m.Chunks() {
		if m.Offset(c)+int64(m.Length(c)) <= info.Size() {
			s.claimed.Set(uint(c))
		}
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
	if err := checkSource(f, m); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s := newStore(m, &file{f: f, path: path})
	s.held.FlipRange(0, uint(m.Chunks()))
	s.count = m.Chunks()
	return s, nil
}

// checkSource returns an error unless f is a regular file of the size in the
// manifest.
func checkSource(f *os.File, m *manifest.Manifest) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s", ErrNotRegular, f.Name())
	case info.Size() != m.Size:
		return fmt.Errorf("%w: %s has %d bytes, want %d", ErrSize, f.Name(), info.Size(), m.Size)
	}
	return nil
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

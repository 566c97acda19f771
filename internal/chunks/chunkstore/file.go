package chunkstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
)

// file is what the chunks of a store are in: a part until it is placed, a file
// that was finished earlier, or a source.
type file struct {
	f    *os.File // whatever its name is by now
	size int64    // it should have, in bytes

	dir  Dir    // zero for a source
	path string // final name, relative to dir.Root; for a source as given
	part string // name as a part, relative to dir.Root; empty if it never was one

	placed    atomic.Bool // it was a part, and has its final name
	opened    Stamp       // of OpenComplete: what its chunks are verified of
	writeback writeback
}

// writable tells whether the file is a part that is still to be written.
func (f *file) writable() bool { return f.part != "" && !f.placed.Load() }

// write writes verified bytes into the part.
func (f *file) write(data []byte, off int64) error {
	if _, err := f.f.WriteAt(data, off); err != nil {
		return err
	}
	f.writeback.wrote(f.f, len(data))
	return nil
}

// copyFrom copies n bytes to the same place of the part. What the source has no more of is
// not there. The kernel does it, without using space twice where the file system can.
func (f *file) copyFrom(from *file, off, n int64) error {
	for _, f := range []*os.File{f.f, from.f} {
		if _, err := f.Seek(off, io.SeekStart); err != nil {
			return err
		}
	}
	if _, err := io.Copy(f.f, io.LimitReader(from.f, n)); err != nil {
		return err
	}
	f.writeback.wrote(f.f, int(n))
	return nil
}

// empty makes the part one with nothing in it: bytes that nobody knows of are of
// no use, and cost disk space.
func (f *file) empty() error {
	if err := f.f.Truncate(0); err != nil {
		return err
	}
	return f.f.Truncate(f.size)
}

// Intact checks that nobody has removed the part, or made it shorter: what is written next
// would make it as long as before, with a hole for what was there. The error is ErrDamaged, or
// the disk's.
func (f *file) Intact() error {
	info, err := f.f.Stat()
	if err != nil {
		return err
	}
	switch sys, ok := info.Sys().(*syscall.Stat_t); {
	case ok && sys.Nlink == 0 && f.isNamed(f.part) != nil: // some file systems count no links
		return fmt.Errorf("%w: the part of %s was removed", ErrDamaged, f.path)
	case info.Mode().IsRegular() && info.Size() < f.size:
		return fmt.Errorf("%w: the part of %s has %d bytes, not %d", ErrDamaged, f.path, info.Size(), f.size)
	}
	return nil
}

// isNamed checks that a name means the open file; otherwise ErrReplaced.
func (f *file) isNamed(name string) error {
	opened, err := f.f.Stat()
	if err != nil {
		return err
	}
	named, err := f.dir.Root.Lstat(name)
	if err != nil || !os.SameFile(opened, named) {
		return errors.Join(fmt.Errorf("%w: %s", ErrReplaced, name), err)
	}
	return nil
}

// place gives the part its final name; for the errors see Store.Place.
func (f *file) place(mayReplace func(there Stamp) bool) error {
	// Only what was verified may get the final name.
	if err := f.isNamed(f.part); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	switch there, _, err := f.dir.Look(f.path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !mayReplace(there):
		return inTheWay(f.dir.Root, f.path)
	}
	if err := f.dir.Root.Rename(f.part, f.path); err != nil {
		return err
	}
	f.placed.Store(true)
	return f.syncDir()
}

// syncDir makes the final name durable.
func (f *file) syncDir() error {
	dir, err := f.dir.Root.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Stamp is that of the open file, whatever its name, as it was when it had the bytes that were
// verified: for OpenComplete before the first of them was read.
func (f *file) Stamp() (Stamp, error) {
	if f.opened != (Stamp{}) {
		return f.opened, nil
	}
	info, err := f.f.Stat()
	if err != nil {
		return Stamp{}, fmt.Errorf("look at %s: %w", f.path, err)
	}
	return stampOf(info, born(f.f, "")), nil
}

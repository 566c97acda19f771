package chunkstore

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// sameMount tells whether two directories are of one mount: files cannot be
// renamed from one to another, not even where both show the same file system.
func sameMount(a, b *os.File) (bool, error) {
	var seen [2]unix.Statx_t
	for i, f := range []*os.File{a, b} {
		err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &seen[i])
		if err != nil {
			return false, fmt.Errorf("statx %s: %w", f.Name(), err)
		}
	}
	// Kernels before 5.8 leave the ID at 0.
	return seen[0].Mnt_id == seen[1].Mnt_id && seen[0].Dev_major == seen[1].Dev_major && seen[0].Dev_minor == seen[1].Dev_minor, nil
}

// born is when a file in a directory was made, or f itself where the name is empty; in
// nanoseconds since 1970, and 0 where the file system does not keep it.
func born(f *os.File, name string) int64 {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var seen unix.Statx_t
	if unix.Statx(int(f.Fd()), name, flags, unix.STATX_BTIME, &seen) != nil || seen.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return seen.Btime.Sec*1e9 + int64(seen.Btime.Nsec)
}

// changed is when the inode was changed last, in nanoseconds since 1970.
func changed(sys *syscall.Stat_t) int64 { return sys.Ctim.Nano() }

package node

import (
	"golang.org/x/sys/unix"
)

// disk is the size of the file system of a directory, and how much of it a process without
// privileges may still fill, in bytes.
func disk(dir string) (size, free float64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, 0, err
	}
	return float64(fs.Blocks) * float64(fs.Bsize), float64(fs.Bavail) * float64(fs.Bsize), nil
}

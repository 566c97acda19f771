//go:build unix

package main

import (
	"fmt"

	"golang.org/x/sys/unix"

	"fanout/internal/daemon/units"
)

// checkRoom refuses what the disk has no room for: N copies soon fill a small /tmp.
func checkRoom(dir string, need int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return nil // then it shows later
	}
	if free := int64(fs.Bavail) * int64(fs.Bsize); free < need {
		return fmt.Errorf("%s has room for %s, the copies need %s: set TMPDIR to a larger disk, or choose fewer peers or a smaller file",
			dir, units.Size(free), units.Size(need))
	}
	return nil
}

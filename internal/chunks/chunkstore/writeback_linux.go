package chunkstore

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriteback begins to write the dirty pages of f, and does not wait for
// the end. It is a hint: errors show up again in Finish.
func startWriteback(f *os.File) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.SyncFileRange(int(fd), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	})
}

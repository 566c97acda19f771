package chunkstore

import (
	"io/fs"
	"path/filepath"
	"syscall"
)

// Stamp tells a file from one that was written to since, or put in its place.
type Stamp struct {
	Size    int64  `json:"size"`     // bytes
	ModTime int64  `json:"mod_time"` // nanoseconds since 1970
	Changed int64  `json:"changed"`  // the same of the inode, which nobody can set back
	Inode   uint64 `json:"inode"`
	Born    int64  `json:"born"` // nanoseconds since 1970; 0 where the file system does not say
}

// SameFile tells whether both are of one file, whatever was written to it in between. An
// inode's number alone does not tell: the next file may get that of a removed one.
func (s Stamp) SameFile(o Stamp) bool {
	if s.Born == 0 {
		return s.Inode == o.Inode && s.Size == o.Size && s.ModTime == o.ModTime && s.Born == o.Born
	}
	return s.Inode == o.Inode && s.Born == o.Born
}

// SameContent tells whether nothing was written in between, as far as the modification time
// tells, which can be set back: another link may have been made.
func (s Stamp) SameContent(o Stamp) bool {
	s.Changed = o.Changed
	return s == o
}

// Look is the stamp of what stands at a path now, and whether that is a regular file. It
// follows no symlink. Errors: the disk's, such as fs.ErrNotExist.
func (d Dir) Look(path string) (s Stamp, regular bool, err error) {
	info, err := d.Root.Lstat(path)
	if err != nil {
		return Stamp{}, false, err
	}
	dir, err := d.Root.Open(filepath.Dir(path))
	if err != nil {
		return Stamp{}, false, err
	}
	defer dir.Close()
	return stampOf(info, born(dir, filepath.Base(path))), info.Mode().IsRegular(), nil
}

func stampOf(info fs.FileInfo, born int64) Stamp {
	s := Stamp{Size: info.Size(), ModTime: info.ModTime().UnixNano(), Born: born}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Inode = sys.Ino
		s.Changed = changed(sys)
	}
	return s
}

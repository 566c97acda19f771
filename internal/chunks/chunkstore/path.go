package chunkstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrOutsideRoot is returned for an output path that leads out of the data
// directory.
var ErrOutsideRoot = errors.New("output path leads outside the data directory")

// ErrNotRegular is returned where a file is wanted and something else is.
var ErrNotRegular = errors.New("not a regular file")

// CheckPath returns the output path relative to root. The path may be relative
// to root, or absolute and below it. It is ErrOutsideRoot if the path leads
// outside through "..", by being absolute elsewhere, or through a symlink;
// ErrNotRegular if it names an existing directory or device. Parts of the path
// that do not exist yet are fine.
func CheckPath(root *os.Root, path string) (string, error) {
	if strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("%w: %q has a zero byte in it, which no file name can have", ErrNotRegular, path)
	}
	rel := filepath.Clean(path)
	if filepath.IsAbs(path) {
		rel = relativeTo(root.Name(), rel)
	}
	if path == "" || rel == "." {
		return "", fmt.Errorf("%w: %q names no file below %s", ErrNotRegular, path, root.Name())
	}
	if !filepath.IsLocal(rel) {
		return "", outside(root, path)
	}
	// The nearest part of the path that exists decides where it leads.
	for p := rel; ; p = filepath.Dir(p) {
		info, err := root.Stat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist) && p != ".":
			continue
		case err != nil:
			return "", rootError(root, path, err)
		case p == rel && !info.Mode().IsRegular():
			return "", fmt.Errorf("%w: %s in %s", ErrNotRegular, path, root.Name())
		}
		return rel, nil
	}
}

// relativeTo is path relative to the directory base, which may itself be
// reached through a symlink. A path elsewhere has "..", or stays absolute.
func relativeTo(base, path string) string {
	base, err := filepath.Abs(base)
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(base, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	if base, err = filepath.EvalSymlinks(base); err != nil {
		return path
	}
	rel, err := filepath.Rel(base, path)
	if err != nil {
		return path
	}
	return rel
}

// rootError is err of a method of root, as ErrOutsideRoot if that is what it
// means. os does not export its error for a path that escapes; it is the one
// that did not come from the system.
func rootError(root *os.Root, path string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) || errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("output path %s in %s: %w", path, root.Name(), err)
	}
	return outside(root, path)
}

func outside(root *os.Root, path string) error {
	return fmt.Errorf("%w: %q is not below %s", ErrOutsideRoot, path, root.Name())
}

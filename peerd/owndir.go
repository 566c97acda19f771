package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// ownDir is the directory beside the output where a get keeps the file until it is complete.
func ownDir(output string) string { return "." + filepath.Base(output) + ".fanout" }

// ownPath is the path of that directory.
func ownPath(output string) string { return filepath.Join(filepath.Dir(output), ownDir(output)) }

// ownNames are what a get keeps there; a file that is being written has a dot before its name
// and digits behind it.
var ownNames = regexp.MustCompile(`^(lock|finished|\.?peer-id[0-9]*|\.?[0-9a-f]{16,32}\.(json[0-9]*|part|part\.state))$`)

// checkOwnDir says whether an earlier get has left its directory, and refuses one in which is
// anything that no get has made: its own is removed in the end.
func checkOwnDir(output string) (left bool, err error) {
	dir := ownPath(output)
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("--output %s: it cannot be kept in %s until it is complete (%w): give another path", output, filepath.Base(dir), errors.Unwrap(err))
	}
	inTheWay := fmt.Errorf("%s is in the way, where the file is kept until it is complete: move it away, or give another --output", dir)
	if !info.IsDir() {
		return true, inTheWay
	}
	return true, eachOwn(dir, func(path string, own bool) error {
		if lock, err := os.Lstat(path); !own || filepath.Base(path) == "lock" && (err != nil || lock.Size() > 0) {
			return inTheWay
		}
		return nil
	})
}

// removeOwnDir removes what gets have made, and the directory if nothing else is there.
func removeOwnDir(output string) error {
	dir := ownPath(output)
	err := eachOwn(dir, func(path string, own bool) error {
		if own {
			return os.Remove(path)
		}
		return nil
	})
	_ = os.Remove(filepath.Join(dir, "finished")) // not if something is left there
	_ = os.Remove(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// eachOwn visits the files of a get's directory and says whether a get has made them.
func eachOwn(dir string, visit func(path string, own bool) error) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch below, _ := filepath.Rel(dir, path); {
		case err != nil:
			return err
		case e.IsDir() && (below == "." || below == "finished"):
			return nil
		default:
			where := filepath.Dir(below)
			err := visit(path, e.Type().IsRegular() && (where == "." || where == "finished") && ownNames.MatchString(e.Name()))
			if err == nil && e.IsDir() {
				return filepath.SkipDir
			}
			return err
		}
	})
}

package chunkstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"fanout/internal/chunks/manifest"
)

// OwnPrefix begins the name of every file that fanout makes outside its own
// directory.
const OwnPrefix = ".fanout-"

// Dir is a data directory, and the directory below it that is fanout's own:
// everything in that one was made by fanout, and nothing outside it is opened
// for writing, emptied or removed that was not.
type Dir struct {
	Root *os.Root
	Own  string // relative to Root, such as .fanout
}

// names are where the files of an unfinished download are, relative to the root.
type names struct{ part, state string }

// names tells where the part of a manifest that is to become path lies: in
// fanout's own directory, or beside path where that is another file system. It
// makes the directories.
func (d Dir) names(path string, id manifest.ID) (names, error) {
	name := id.String()[:16] + ".part"
	n := names{part: filepath.Join(d.Own, name), state: filepath.Join(d.Own, name+".state")}
	target := filepath.Dir(path)
	for _, dir := range []string{d.Own, target} {
		if err := d.Root.MkdirAll(dir, dirPerm); err != nil {
			return names{}, rootError(d.Root, dir, err)
		}
	}
	same, err := d.renames(d.Own, target)
	if err != nil {
		return names{}, err
	}
	if !same {
		n.part = filepath.Join(target, OwnPrefix+name)
	}
	return n, nil
}

// renames tells whether a file can be renamed from one directory into another.
func (d Dir) renames(from, to string) (bool, error) {
	a, err := d.Root.Open(from)
	if err != nil {
		return false, rootError(d.Root, from, err)
	}
	defer a.Close()
	b, err := d.Root.Open(to)
	if err != nil {
		return false, rootError(d.Root, to, err)
	}
	defer b.Close()
	return sameMount(a, b)
}

// ours says whether the part that stands there was made by fanout: everything in
// its own directory was; beside the final name only what the state knows of.
func (d Dir) ours(n names, known bool) error {
	if known || filepath.Dir(n.part) == filepath.Clean(d.Own) {
		return nil
	}
	if _, err := d.Root.Lstat(n.part); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(inTheWay(d.Root, n.part), err)
	}
	return nil
}

func inTheWay(root *os.Root, path string) error {
	return fmt.Errorf("%w: %s in %s", ErrInTheWay, path, root.Name())
}

// Begun tells whether there is a part of the manifest that is to become path.
func (d Dir) Begun(path string, id manifest.ID) bool {
	n, err := d.names(path, id)
	if err != nil {
		return false
	}
	for _, name := range []string{n.part, n.state} {
		if info, err := d.Root.Lstat(name); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

// Discard removes the part of a manifest, if there is one that nobody writes.
func (d Dir) Discard(path string, id manifest.ID) error {
	if !d.Begun(path, id) {
		return nil
	}
	n, err := d.names(path, id)
	if err != nil {
		return err
	}
	f, err := openPart(d.Root, n.part)
	if err != nil {
		return err
	}
	return errors.Join(d.remove(n.state), d.remove(n.part), f.Close())
}

// remove removes a file that may be gone already.
func (d Dir) remove(name string) error {
	if err := d.Root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Adopt takes over the part of a download to path that an earlier version of
// fanout kept as PATH.part and PATH.part.state, if that is what they are: the
// state names the manifest, and the part has its size.
func (d Dir) Adopt(path string, m *manifest.Manifest, id manifest.ID) error {
	n, err := d.names(path, id)
	if err != nil {
		return err
	}
	part, state := path+".part", path+".part.state"
	info, err := d.Root.Lstat(part)
	if err != nil || !info.Mode().IsRegular() || info.Size() != m.Size {
		return nil
	}
	if info, err := d.Root.Lstat(state); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	content, err := d.Root.ReadFile(state)
	if err != nil {
		return nil
	}
	if _, known := parseState(content, id, m.Chunks()); !known {
		return nil
	}
	// The state first: without it the part would be nobody's.
	if err := d.Root.WriteFile(n.state, content, filePerm); err != nil {
		return err
	}
	return errors.Join(d.Root.Rename(part, n.part), d.remove(state))
}

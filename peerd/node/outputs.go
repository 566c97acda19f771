package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/httpkit"
)

// errChanged is why a download that was complete has failed: its file was written to. It is
// mended when the download is started again, or peerd is.
var errChanged = errors.New("was changed after it was complete")

// errMoved is why downloads fail until peerd is started again.
var errMoved = errors.New("was moved or replaced")

// remedy is what mends a file that was changed.
const remedy = "start the download again to fetch what is wrong"

// outputs is where downloads put their files, and what is known of those that are there.
type outputs struct {
	dir     chunkstore.Dir
	ledger  ledger
	dataDir string
	replace bool // whatever stands there

	// placing is held while a finished file gets its name, and while one is compared with what
	// was finished: in between it is neither. It is taken before any other mutex.
	placing sync.Mutex
}

// name is an output as people know it.
func (o *outputs) name(output string) string { return filepath.Join(o.dataDir, output) }

func (o *outputs) removed(output string) error {
	return fmt.Errorf("%s was removed: start the download again to have it again", o.name(output))
}

func (o *outputs) inTheWay(output string) error {
	return fmt.Errorf("%s is in the way: fanout did not put it there, and does not replace it; move it away or delete it, and start the download again", o.name(output))
}

// mayReplace says whether what stands at an output was finished there by fanout.
func (o *outputs) mayReplace(output string, there chunkstore.Stamp) bool {
	last, known := o.ledger.find(output)
	return o.replace || known && last.made(there)
}

// made says whether what stands at an output was finished there by a download of that manifest.
func (o *outputs) made(output string, id manifest.ID) bool {
	there, _, err := o.dir.Look(output)
	last, known := o.ledger.find(output)
	return err == nil && known && last.Manifest == id && last.made(there)
}

// check returns the path of an output relative to the data directory; an error is one for
// whoever asked for it.
func (o *outputs) check(path string) (string, error) {
	rel, err := chunkstore.CheckPath(o.dir.Root, path)
	own := o.dir.Own
	if err == nil && (rel == own || strings.HasPrefix(rel, own+string(filepath.Separator)) || strings.HasPrefix(filepath.Base(rel), chunkstore.OwnPrefix)) {
		err = fmt.Errorf("output %s: %s and names that begin with %s are peerd's own: choose another path", path, own, chunkstore.OwnPrefix)
	}
	if err != nil {
		return "", httpkit.Errorf(http.StatusBadRequest, "%w", err).WithField("output")
	}
	return rel, nil
}

// checkFree refuses an output where something stands that a file of that size must not
// replace, unless it may be the file itself, which hashing will tell.
func (o *outputs) checkFree(output string, size int64) error {
	there, regular, err := o.dir.Look(output)
	if err != nil || regular && there.Size == size || o.mayReplace(output, there) {
		return nil
	}
	return httpkit.Errorf(http.StatusConflict, "%s is there already, and fanout did not put it there: move it away, delete it, or give another output",
		o.name(output)).WithField("output")
}

// compare says why the file at an output cannot be what was finished there; doubtful means
// that it may be, or not. The caller has locked placing.
func (o *outputs) compare(output string, want chunkstore.Stamp) (doubtful bool, err error) {
	if err := o.moved(); err != nil {
		return false, err
	}
	there, regular, err := o.dir.Look(output)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, o.removed(output)
	case err != nil:
		return false, fmt.Errorf("%s cannot be looked at: %w", o.name(output), err)
	case there == want:
		return false, nil
	case there.Size != want.Size && there.SameFile(want):
		return false, fmt.Errorf("%s %w: it has %d bytes, not %d; %s", o.name(output), errChanged, there.Size, want.Size, remedy)
	case !regular || there.Size != want.Size:
		return false, o.inTheWay(output)
	}
	return true, nil
}

// found is a file at an output that was hashed.
type found struct {
	*chunkstore.Store
	ours    bool // fanout has put it there
	adopted bool // somebody else has
}

// find opens the file that stands at an output, if it can be what is wanted, and hashes it.
// Without an error and a store, a part is to be begun: nothing is there, or what the end of
// the download may replace. anew says that a file is to be replaced even if it is right.
func (o *outputs) find(ctx context.Context, output string, m *manifest.Manifest, id manifest.ID, anew bool) (f found, err error) {
	there, regular, err := o.dir.Look(output)
	if errors.Is(err, fs.ErrNotExist) {
		return found{}, nil
	}
	if err != nil {
		return found{}, fmt.Errorf("look at %s: %w", o.name(output), err)
	}
	last, known := o.ledger.find(output)
	f.ours = known && last.made(there)
	// A whole one whose stamp is another may be a copy of ours, as when all was moved.
	f.adopted = !f.ours && (!known || last.Adopted || last.Manifest != id)
	switch {
	case f.ours && (last.Manifest != id || anew): // it stays until this one is whole
		return found{}, nil
	case !f.ours && (!regular || there.Size != m.Size):
		return found{}, o.refuse(output)
	}
	if f.Store, err = o.dir.OpenComplete(output, m, id); err != nil {
		return found{}, err
	}
	if _, _, err = f.Rehash(ctx, nil); err == nil && !f.ours && !f.Whole() {
		if err = o.refuse(output); err == nil {
			return found{}, f.Close()
		}
	}
	if err != nil {
		return found{}, errors.Join(err, f.Close())
	}
	return f, nil
}

// refuse is why a file that fanout did not finish stops a download; nil where it may be
// replaced.
func (o *outputs) refuse(output string) error {
	if o.replace {
		return nil
	}
	return o.inTheWay(output)
}

// settle gives a complete file its name. The caller has locked placing.
func (o *outputs) settle(store *chunkstore.Store, output string) (stamp chunkstore.Stamp, err error) {
	if err := o.moved(); err != nil {
		return stamp, err
	}
	err = store.Place(func(there chunkstore.Stamp) bool { return o.mayReplace(output, there) })
	if errors.Is(err, chunkstore.ErrInTheWay) {
		return stamp, o.inTheWay(output)
	}
	if err != nil {
		return stamp, err
	}
	if stamp, err = store.Stamp(); err != nil {
		return stamp, err
	}
	if now, _, err := o.dir.Look(output); err != nil || !now.SameContent(stamp) {
		return stamp, errors.Join(fmt.Errorf("%s was replaced or written to meanwhile: start the download again", o.name(output)), err)
	}
	return stamp, nil
}

// superseded says that the last file that was finished at an output is another one's.
func (o *outputs) superseded(output string, id manifest.ID) bool {
	last, known := o.ledger.find(output)
	return known && last.Manifest != id
}

// convert brings what an earlier version has left to where this one looks for it.
func (o *outputs) convert(output string, complete bool, m *manifest.Manifest, id manifest.ID) error {
	if !complete {
		return o.dir.Adopt(output, m, id)
	}
	return o.ledger.note(finished{Output: output, Manifest: id})
}

// moved says that the data directory is not where it was when it was opened, so that nobody
// will find there what is put into it.
func (o *outputs) moved() error {
	opened, err := o.dir.Root.Stat(".")
	if err != nil {
		return err
	}
	if named, err := os.Stat(o.dataDir); err != nil || !os.SameFile(opened, named) {
		return fmt.Errorf("the data directory %s %w, or something was mounted there: restart peerd", o.dataDir, errMoved)
	}
	return nil
}

package node

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
)

// finished is what is remembered of a file that a download has ended with: by it a file that
// is still that one is told from one that was changed, or that somebody else has put there.
// It outlives the download's record.
type finished struct {
	Output   string           `json:"output"` // relative to the data directory
	Manifest manifest.ID      `json:"manifest_id"`
	Stamp    chunkstore.Stamp `json:"stamp"`             // zero for one of an earlier version, until it is hashed
	Adopted  bool             `json:"adopted,omitempty"` // somebody else had put it there, so it is not replaced
}

// made says whether that is the file which fanout has put there.
func (f finished) made(there chunkstore.Stamp) bool { return !f.Adopted && f.Stamp.SameFile(there) }

// ledger keeps what was finished at each output, in a file of its own.
type ledger struct{ dir string }

func openLedger(dir string) (ledger, error) {
	return ledger{dir}, os.MkdirAll(dir, 0o755)
}

func (l ledger) path(output string) string {
	sum := sha256.Sum256([]byte(output)) // any name, of any length
	return filepath.Join(l.dir, hex.EncodeToString(sum[:16])+".json")
}

func (l ledger) note(f finished) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil { // somebody may have removed it
		return err
	}
	return renameio.WriteFile(l.path(f.Output), data, 0o644)
}

// find returns what was finished at an output, if anything was.
func (l ledger) find(output string) (f finished, ok bool) {
	data, err := os.ReadFile(l.path(output))
	if err != nil || json.Unmarshal(data, &f) != nil || f.Output != output {
		return finished{}, false
	}
	return f, true
}

// prune forgets files that are gone, but for those that may come back.
func (l ledger) prune(root *os.Root, missed func(output string) bool) error {
	var errs []error
	paths, err := jsonFiles(l.dir)
	for _, path := range paths {
		var f finished
		data, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(data, &f) != nil {
			continue
		}
		if _, err := root.Lstat(f.Output); errors.Is(err, fs.ErrNotExist) && !missed(f.Output) {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(append(errs, err)...)
}

// jsonFiles are the paths of a directory's files with that ending.
func jsonFiles(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") && e.Type().IsRegular() {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"fanout/api/peerapi"
	"fanout/internal/chunks/wire"
)

// ErrInUse is returned for a data directory that has a peerd already.
var ErrInUse = errors.New("another peerd uses it")

// ownDir is the directory below the data directory that belongs to peerd.
const ownDir = ".fanout"

// format is that of the records that are written. Those of format 0 have their parts beside
// the output, and finished files that the ledger does not know of.
const format = 1

// record is what is kept of a download across restarts.
type record struct {
	Format     int                   `json:"format"`
	ID         string                `json:"id"`
	File       string                `json:"file"`
	Manifest   []byte                `json:"manifest"` // canonical encoding
	Strategy   peerapi.Strategy      `json:"strategy"`
	Output     string                `json:"output"` // relative to the data directory
	SHA256     string                `json:"sha256,omitempty"`
	Rollout    string                `json:"rollout,omitempty"` // that asked for it last
	Wanted     bool                  `json:"wanted,omitempty"`  // somebody else than a rollout asked for it, too
	State      peerapi.DownloadState `json:"state"`
	Error      string                `json:"error,omitempty"`
	Changed    bool                  `json:"changed,omitempty"` // it was complete, and has failed since its file was written to
	Moved      bool                  `json:"moved,omitempty"`   // it has failed since the data directory was moved
	Doubted    bool                  `json:"doubted,omitempty"` // it was complete, and its file is being hashed again
	Started    time.Time             `json:"started_at"`
	Finished   time.Time             `json:"finished_at,omitzero"`
	Worked     time.Duration         `json:"worked_nanoseconds,omitzero"`
	ChunksDone int                   `json:"chunks_done"`
	BytesDone  int64                 `json:"bytes_done"`
	FromOrigin int64                 `json:"bytes_from_origin"`
	FromPeers  int64                 `json:"bytes_from_peers"`
}

// finished says whether the download's file was put at its output, whatever became of it there.
func (r *record) finished() bool {
	return r.State == peerapi.DownloadStateComplete || r.Changed || r.Doubted
}

// records is the directory where they are kept.
type records struct {
	dir  string
	lock *os.File
}

// openRecords makes the directory, and takes the lock by which two peerds with one data
// directory are told apart from one that was restarted.
func openRecords(dataDir, own string) (*records, error) {
	dir := filepath.Join(dataDir, own)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("--data-dir %s: cannot write there: %w", dataDir, plain(err))
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("--data-dir %s: %s in it is not a directory of its own: move it away", dataDir, own)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("--data-dir %s: cannot write there: %w", dataDir, plain(err))
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("--data-dir %s: %w: stop it or give this one a directory of its own", dataDir, ErrInUse)
	}
	return &records{dir: dir, lock: lock}, nil
}

// plain drops the path that os puts into its errors, where the message names it anyway.
func plain(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (r *records) path(id string) string { return filepath.Join(r.dir, id+".json") }

func (r *records) save(rec record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return renameio.WriteFile(r.path(rec.ID), data, 0o644)
}

func (r *records) remove(id string) error { return os.Remove(r.path(id)) }

// load reads all records, the oldest first; errs are those that cannot be read.
func (r *records) load() (recs []record, errs []error) {
	paths, err := jsonFiles(r.dir)
	if err != nil {
		return nil, []error{err}
	}
	for _, path := range paths {
		var rec record
		data, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(data, &rec)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		recs = append(recs, rec)
	}
	slices.SortFunc(recs, func(a, b record) int { return a.Started.Compare(b.Started) })
	return recs, errs
}

// peerID is the identity given, or the one that this data directory was given at first.
func (r *records) peerID(given string) (string, error) {
	if given != "" {
		if err := wire.ValidPeerID(given); err != nil {
			return "", fmt.Errorf("--id: %w", err)
		}
		return given, nil
	}
	path := filepath.Join(r.dir, "peer-id")
	data, err := os.ReadFile(path)
	if err == nil {
		id := strings.TrimSpace(string(data))
		if wire.ValidPeerID(id) != nil {
			err = fmt.Errorf("%s does not hold a peer ID but %.80q: write one into it, give --id, or remove it for a new one", path, id)
		}
		return id, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id := "peer-" + wire.NewNonce()[:12]
	return id, renameio.WriteFile(path, []byte(id+"\n"), 0o644)
}

func (r *records) close() { r.lock.Close() }

package node

import (
	"errors"
	"net/http"
	"path/filepath"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
	"fanout/internal/daemon/httpkit"
	"fanout/peerd/transfer"
)

// status is how a download stands: its record, which outlives the daemon, and what the next
// one is made of. It knows what follows from a change of the state, but not when there is one.
// The mutex of the download guards it.
type status struct {
	node     *Node
	progress *transfer.Progress

	rec    record // ID, File and Manifest are never written again
	worked worktime
	store  *chunkstore.Store // while it is open

	was  *ending // before its file was questioned, until something is fetched
	mend bool    // what is found wrong in its file may be fetched again
	gone bool    // it is off the list, and its record removed
}

// ending is how a download was once complete.
type ending struct {
	at                    time.Time
	worked                worktime
	fromOrigin, fromPeers int64
}

// set changes the state, keeps it across restarts and tells who watches.
func (s *status) set(state peerapi.DownloadState, err error) {
	was, looked := s.rec.State, s.was
	s.was = nil
	s.rec.State, s.rec.Error, s.rec.Finished = state, "", time.Time{}
	s.rec.Changed, s.rec.Moved = errors.Is(err, errChanged), errors.Is(err, errMoved)
	s.rec.Doubted = s.rec.Doubted && !over(state) // a pause decides nothing
	s.track()
	if err != nil {
		s.rec.Error = err.Error()
	}
	log := s.node.cfg.Logger.Info()
	switch state {
	case peerapi.DownloadStateFailed:
		log = s.node.cfg.Logger.Error().Err(err)
		fallthrough
	case peerapi.DownloadStateComplete, peerapi.DownloadStateCancelled:
		s.rec.Finished = time.Now()
		if looked != nil && state == peerapi.DownloadStateComplete { // it is as it was
			s.rec.Finished, s.worked = looked.at, looked.worked
			s.progress.Restore(looked.fromOrigin, looked.fromPeers)
		}
		s.rec.Worked = s.worked.total(s.rec.Finished)
		if was != peerapi.DownloadStateComplete && looked == nil { // else no transfer has ended
			s.node.metrics.ended(s.rec)
		}
		log = log.Float64("seconds", s.rec.Worked.Seconds())
	}
	log.Str("download", s.rec.ID).Str("file", s.rec.File).Str("strategy", string(s.rec.Strategy)).
		Str("state", string(state)).Msg("download state")
	s.save()
	s.progress.Wake()
}

// begin makes a download that has ended one that has not.
func (s *status) begin() {
	s.rec.ChunksDone, s.rec.BytesDone = 0, 0
	s.progress.Restore(0, 0)
	s.worked = worktime{}
	s.set(peerapi.DownloadStateQueued, nil)
}

// question makes a complete download one that is not called so before its file has been hashed.
func (s *status) question() {
	p := s.progress.Snapshot()
	was := &ending{at: s.rec.Finished, worked: s.worked, fromOrigin: p.FromOrigin, fromPeers: p.FromPeers}
	s.begin()
	s.was = was
	s.rec.Doubted = true
	s.save()
}

// track counts time from the state that begins. The bytes of a repair are counted anew with
// its time: both are told in one line.
func (s *status) track() {
	if s.worked.enter(s.rec.State, time.Now()) {
		s.progress.Restore(0, 0)
	}
}

// rest ends the counting, and keeps what was counted, when the daemon ends before the
// download and no chunk can come any more.
func (s *status) rest() {
	if active(s.rec.State) {
		s.worked.stop(time.Now())
		s.save()
	}
}

// save keeps the record. A download that cannot be kept goes on: its worst is to be asked for
// again after a restart.
func (s *status) save() {
	if s.gone {
		return
	}
	s.count()
	p := s.progress.Snapshot()
	s.rec.FromOrigin, s.rec.FromPeers = p.FromOrigin, p.FromPeers
	s.rec.Worked = s.worked.total(time.Now())
	if err := s.node.records.save(s.rec); err != nil {
		s.node.cfg.Logger.Error().Err(err).Str("download", s.rec.ID).Msg("download record not written")
	}
}

// count notes which chunks are here; of a store that is closed, what it had last.
func (s *status) count() {
	if s.store != nil {
		s.rec.ChunksDone, s.rec.BytesDone = s.store.Count(), s.store.Bytes()
	}
}

// convert takes over what an earlier version has left.
func (s *status) convert(m *manifest.Manifest, id manifest.ID) {
	if s.rec.Format == format {
		return
	}
	s.rec.Format = format
	complete := s.rec.State == peerapi.DownloadStateComplete
	if err := s.node.outputs.convert(s.rec.Output, complete, m, id); err != nil {
		s.node.cfg.Logger.Error().Err(err).Str("download", s.rec.ID).Msg("part of an earlier version not taken over")
	}
	s.save() // it is not done again: what is there at the next start may be somebody else's
}

// sameAs says whether this download is what a request wants.
func (s *status) sameAs(rec record) error {
	if rec.Output != s.rec.Output {
		return httpkit.Errorf(http.StatusConflict, "download %s has this file as %s: copy it from there, or delete that download first",
			s.rec.ID, filepath.Join(s.node.cfg.DataDir, s.rec.Output)).WithField("output")
	}
	if rec.SHA256 != "" && rec.SHA256 != s.rec.SHA256 {
		return httpkit.Errorf(http.StatusConflict, "download %s was not started with this sha256, which so is not checked: delete that download first, or leave sha256 out",
			s.rec.ID).WithField("sha256")
	}
	return nil
}

// close closes the files.
func (s *status) close() {
	if s.store == nil {
		return
	}
	s.count()
	if err := s.store.Close(); err != nil {
		s.node.cfg.Logger.Error().Err(err).Str("download", s.rec.ID).Msg("part not closed")
	}
	s.store = nil
}

// discard removes the part, if there is one; nothing runs.
func (s *status) discard(id manifest.ID) {
	var err error
	if s.store == nil {
		err = s.node.outputs.dir.Discard(s.rec.Output, id)
	} else {
		err = s.store.Discard()
	}
	s.store = nil
	if err != nil {
		s.node.cfg.Logger.Error().Err(err).Str("download", s.rec.ID).Msg("part not removed")
	}
}

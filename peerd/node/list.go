package node

import (
	"errors"
	"net/http"
	"slices"
	"sync"

	"fanout/internal/daemon/httpkit"
)

// errBusy is why an output cannot be had now.
var errBusy = errors.New("another download is writing there")

// list is the downloads of a peerd, at most one for a manifest, with their records.
type list struct {
	records *records

	// mu is held over a claim, too, until the download is seen to write there itself. It is
	// taken before the mutex of a download.
	mu    sync.Mutex
	byID  map[string]*download
	order []*download
}

func newList(r *records) *list { return &list{records: r, byID: map[string]*download{}} }

// add puts a download on the list; l.mu is held.
func (l *list) add(d *download) {
	l.byID[d.status.rec.ID] = d
	l.order = append(l.order, d)
}

// find returns a download by its ID.
func (l *list) find(id string) (*download, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d, ok := l.byID[id]; ok {
		return d, nil
	}
	return nil, unknown(id)
}

// unknown is why nothing can be done with a download that is not on the list.
func unknown(id string) error {
	return httpkit.Errorf(http.StatusNotFound, "there is no download %s: GET /v1/downloads lists them", id)
}

// all returns every download, the oldest first.
func (l *list) all() []*download {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.order)
}

// named is the latest download of a file of that name; nil if there is none.
func (l *list) named(file string) (latest *download) {
	for _, d := range l.all() {
		if d.manifest.Name == file {
			latest = d
		}
	}
	return latest
}

// claim refuses an output that another download than d is writing, with errBusy; l.mu is held.
func (l *list) claim(output string, d *download) error {
	for _, o := range l.order {
		if o == d {
			continue
		}
		if r := o.record(); active(r.State) && r.Output == output {
			e := httpkit.Errorf(http.StatusConflict, "download %s of other content is writing %s: wait for it, delete it, or give another output", r.ID, output)
			e.Err = errBusy
			return e.WithField("output")
		}
	}
	return nil
}

// rivals are the downloads whose file has just been replaced by that of another.
func (l *list) rivals(by *download) (rivals []*download) {
	output := by.record().Output
	for _, o := range l.all() {
		if r := o.record(); o != by && r.Output == output && r.finished() {
			rivals = append(rivals, o)
		}
	}
	return rivals
}

// remove takes a download off the list, and its record off the disk.
func (l *list) remove(d *download) error {
	id := d.status.rec.ID
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID[id] == d {
		delete(l.byID, id)
	}
	l.order = slices.DeleteFunc(l.order, func(o *download) bool { return o == d })
	return l.records.remove(id)
}

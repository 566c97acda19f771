package table

import (
	"time"

	"fanout/tracker/store"
)

// maxSenders bounds the processes whose counters are kept apart.
const maxSenders = 64

// sender names one process of an origin: one that was restarted counts from 0 again.
func sender(o Origin) string { return o.ID + "@" + o.Instance }

// noteSent takes what an origin says that it has sent to all that count it.
func (t *Table) noteSent(f *file, o Origin) {
	if !o.Counts {
		return
	}
	key := sender(o)
	last, known := f.sent[key]
	if known {
		t.totals.OriginSent += growth(last, o.Sent)
	} else if len(f.sent) >= maxSenders {
		clear(f.sent)
	}
	f.sent[key] = o.Sent
	if f.dist != nil && (f.dist.ended.IsZero() || f.dist.untold) {
		note(f.dist.sent, key, o.Sent)
	}
	if r := t.rollouts[f.Name]; r != nil && r.Manifest == f.ID && note(r.Sent, key, o.Sent) {
		r.dirty = true
	}
}

// begin is a count that starts at what the origins have sent until now. What peers of the last
// distribution have received since the last report of a single origin is not of this one.
func (f *file) begin() map[string]store.Sending {
	l := make(map[string]store.Sending, len(f.sent))
	for key, n := range f.sent {
		l[key] = store.Sending{Since: n, Total: n}
		if d := f.dist; d != nil && len(f.sent) == 1 && (d.ended.IsZero() || d.untold) {
			if s, counts := d.sent[key]; counts {
				l[key] = store.Sending{Since: max(n, s.Since+f.describe().BytesFromOrigin), Total: n}
			}
		}
	}
	return l
}

// note takes a counter into a count; false if nothing is new. What a process that was not
// known had sent before its first report is not counted: nobody can say when that was.
func note(l map[string]store.Sending, key string, total int64) bool {
	s, known := l[key]
	switch {
	case !known && len(l) >= maxSenders:
		sum := counted(l)
		clear(l)
		l[""] = store.Sending{Total: sum}
		fallthrough
	case !known:
		s = store.Sending{Since: total}
	case total == s.Total:
		return false
	case total < s.Total: // restarted, and does not tell its instance
		s.Since -= s.Total
	}
	s.Total = total
	l[key] = s
	return true
}

// counted is the sum of a count.
func counted(l map[string]store.Sending) (bytes int64) {
	for _, s := range l {
		bytes += max(0, s.Total-s.Since) // not before the first report since
	}
	return bytes
}

// reportedAt is since when every listed origin has reported; zero without origins.
func (f *file) reportedAt(now time.Time) (at time.Time) {
	for _, o := range f.origins {
		if o.live(now) && (at.IsZero() || o.heard.Before(at)) {
			at = o.heard
		}
	}
	return at
}

// awaitsOrigins says that an origin which counts has not reported since then.
func (f *file) awaitsOrigins(since, now time.Time) bool {
	for _, o := range f.origins {
		if o.Counts && o.live(now) && o.heard.Before(since) {
			return true
		}
	}
	return false
}

// tellFinished brings what the origins have sent up to date where a distribution has ended,
// and tells of it once they have all reported since, or a lease has passed.
func (t *Table) tellFinished(f *file, now time.Time) {
	if f.dist == nil || !f.dist.untold {
		return
	}
	for i := len(t.finished) - 1; i >= 0; i-- {
		if d := &t.finished[i]; d.ID == f.ID && d.Ended.Equal(f.dist.ended) {
			d.OriginSent = f.describe().OriginSent
			break
		}
	}
	if !f.awaitsOrigins(f.dist.ended, now) || now.Sub(f.dist.ended) >= t.lease {
		t.tellFinishedNow(f)
	}
}

func (t *Table) tellFinishedNow(f *file) {
	if f.dist == nil || !f.dist.untold {
		return
	}
	f.dist.untold = false
	if t.onFinished != nil {
		t.onFinished(f.describe())
	}
}

package table

import (
	"fanout/tracker/store"
)

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

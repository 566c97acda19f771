package inproc_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fanout/api/trackerapi"
	"fanout/internal/daemon/trackerclient"
	origin "fanout/origin/server"
)

// An origin stays published for longer than a lease, and leaves when it stops.
func TestOriginStaysPublished(t *testing.T) {
	r := newRig(t)
	r.write("f", chunkSize)
	r.write("g", 0)
	o := r.origin("f", "g")
	r.renewed(3 * renewals)
	for _, name := range []string{"f", "g"} {
		r.await(name+" to be renewed", func() bool { // in time, or again at once
			f := r.file(name)
			return f != nil && len(f.Origins) == 1 && f.Origins[0].Id == "origin"
		})
	}
	o.stop()
	r.await("the end of the lease", func() bool { return len(r.file("f").Origins) == 0 })
}

// A tracker that has forgotten everything is told again.
func TestOriginPublishesAgain(t *testing.T) {
	r := newRig(t)
	r.write("f", chunkSize)
	o := r.origin("f")
	addr := strings.TrimPrefix(r.tracker.http, "http://")
	r.tracker.stop()
	r.await("the origin to say so", func() bool { return strings.Contains(r.get(o.http+"/readyz"), "tracker unreachable") })
	r.tracker = r.startTracker(addr)
	r.await("the file to be back", func() bool { return r.file("f") != nil })
	r.await("the origin to be ready", func() bool { return r.get(o.http+"/readyz") == "200 ok\n" })
}

// A file that was withdrawn at the tracker stays so until the origin is started again.
func TestWithdrawn(t *testing.T) {
	r := newRig(t)
	r.write("f", chunkSize)
	r.write("g", chunkSize)
	o := r.origin("f", "g")
	if status, text := r.call("DELETE", r.tracker.http+"/v1/files/f", ""); status != 204 {
		t.Fatal(status, text)
	}
	r.renewed(2 * renewals) // of the other file, which is renewed at the same times
	if f := r.file("f"); f != nil {
		t.Errorf("published again: %+v", f)
	}
	if r.file("g") == nil {
		t.Error("the other file went with it")
	}
	o.stop()
	r.origin("f")
	if r.file("f") == nil {
		t.Error("not published by a new origin")
	}
}

// A file that is overwritten in place has lost its old content: that is no longer served, nor
// said to be.
func TestOverwrittenInPlace(t *testing.T) {
	r := newRig(t)
	r.write("f", 3*chunkSize)
	r.origin("f")
	old := r.file("f").ManifestId
	data := r.write("f", 4*chunkSize)
	r.awaitOther("f", old)
	r.await("the old content to be given up", func() bool {
		f := r.file(old)
		return f == nil || len(f.Origins) == 0
	})
	p := r.peer("")
	complete(t, p.finish(`{"file":"f"}`))
	p.has(data, "f")
	r.renewed(renewals)
	if f := r.file(old); f != nil && len(f.Origins) != 0 {
		t.Errorf("the old content is announced: %+v", f)
	}
}

// A file that is replaced by rename keeps its old content in the open file: who wants it by
// its ID gets it, and content that comes back is served like any other.
func TestReplacedByRename(t *testing.T) {
	r := newRig(t)
	first := r.write("f", 3*chunkSize)
	r.origin("f")
	a := r.file("f").ManifestId
	r.write("next", 4*chunkSize)
	r.rename("next", "f")
	b := r.awaitOther("f", a)
	p := r.peer("")
	complete(t, p.finish(`{"file":"`+a+`","output":"a"}`))
	complete(t, p.finish(`{"file":"`+b+`","output":"b"}`))
	p.has(first, "a", "b")
	if err := os.WriteFile(filepath.Join(r.dir, "next"), first, 0o644); err != nil {
		t.Fatal(err)
	}
	r.rename("next", "f")
	if back := r.awaitOther("f", b); back != a {
		t.Fatalf("published as %s, want %s again", back, a)
	}
	q := r.peer("")
	complete(t, q.finish(`{"file":"f"}`))
	complete(t, q.finish(`{"file":"`+b+`","output":"g"}`))
	q.has(first, "f", "g")
}

// Touching a file changes nothing, least of all for those who are downloading it.
func TestTouched(t *testing.T) {
	r := newRig(t)
	r.write("f", 30*chunkSize)
	r.origin("f")
	p := r.peer("", slowly(300<<10))
	p.start(`{"file":"f"}`)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(r.dir, "f"), later, later); err != nil {
		t.Fatal(err)
	}
	d := p.finish(`{"file":"f"}`)
	complete(t, d)
	if d.BytesFromOrigin != d.Size {
		t.Errorf("not every chunk was sent once: %+v", d)
	}
}

// What cannot be published is refused at once, with its path.
func TestNewOrigin(t *testing.T) {
	r := newRig(t)
	r.write("f", 1)
	for _, dir := range []string{"dir", "other"} {
		if err := os.Mkdir(filepath.Join(r.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.write("other/f", 1)
	long := strings.Repeat("x", 250)
	r.write(long, 1)
	for name, want := range map[string]string{
		"none": "no such file", "dir": "is a directory", "../../../dev/null": "regular", long: "name",
		"other/f": "another file given has the name",
	} {
		_, err := origin.New(origin.Config{Paths: []string{filepath.Join(r.dir, "f"), filepath.Join(r.dir, name)}})
		if name == "../../../dev/null" {
			_, err = origin.New(origin.Config{Paths: []string{"/dev/null"}})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// A file that vanishes before it is digested ends the origin with the reason, also if
// another one is published already.
func TestVanishedFile(t *testing.T) {
	r := newRig(t)
	r.write("f", 1)
	r.write("g", 1)
	cfg := r.configOrigin("f", "g")
	o, err := origin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(r.dir, "g")); err != nil {
		t.Fatal(err)
	}
	if err := o.Run(r.ctx); err == nil || !errors.Is(err, os.ErrNotExist) || r.ctx.Err() != nil {
		t.Errorf("Run = %v", err)
	}
}

// renewals are more of them than a file's origin makes during a lease.
const renewals = 5

// renewed waits until origins have announced their files so many times more.
func (r *rig) renewed(times int) {
	r.Helper()
	announces := func() (n int) {
		const sample = `fanout_tracker_announces_total{role="origin"} `
		_, rest, _ := strings.Cut(r.get(r.tracker.http+"/metrics"), sample)
		fmt.Sscan(rest, &n)
		return n
	}
	want := announces() + times
	r.await("origins to renew their leases", func() bool { return announces() >= want })
}

// file is what the tracker says of a file; nil if it does not know it.
func (r *rig) file(name string) *trackerapi.File {
	r.Helper()
	f, err := r.client.File(r.Context(), name)
	if errors.Is(err, trackerclient.ErrNotFound) || errors.Is(err, trackerclient.ErrGone) {
		return nil
	}
	if err != nil {
		r.Fatal(err)
	}
	return f
}

// awaitOther waits until a name stands for other content, and returns its ID.
func (r *rig) awaitOther(name, than string) (id string) {
	r.Helper()
	r.await("the new content", func() bool {
		if f := r.file(name); f != nil {
			id = f.ManifestId
		}
		return id != "" && id != than
	})
	return id
}

func (r *rig) rename(from, to string) {
	r.Helper()
	if err := os.Rename(filepath.Join(r.dir, from), filepath.Join(r.dir, to)); err != nil {
		r.Fatal(err)
	}
}

package rollout

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet/fleettest"
)

// peerd get leaves the file and nothing else.
func TestGet(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", 3*mib, 1)
	fleettest.Start(t, r.Origin("origin", []string{source}))
	dir := t.TempDir()
	get := r.get("a.bin", "--output", dir)
	get.ends(0, "")
	holds(t, get.stdout.String(), filepath.Join(dir, "a.bin")+": 3.00 MiB in ", ", 3.00 MiB from the origin, 0 B from peers\n")
	fleettest.Same(t, filepath.Join(dir, "a.bin"), source)

	path := filepath.Join(dir, "renamed")
	if err := os.WriteFile(path, []byte("what was there"), 0o600); err != nil {
		t.Fatal(err)
	}
	get = r.get("a.bin", "-o", path, "--json", "--strategy", "direct", "--seed-for", "1ms")
	get.ends(0, "")
	var d peerapi.Download
	if err := json.Unmarshal(get.stdout.Bytes(), &d); err != nil || d.Path != path || d.State != peerapi.DownloadStateComplete || d.Strategy != peerapi.StrategyDirect {
		t.Errorf("%+v %v", d, err)
	}
	fleettest.Same(t, path, source)
	if names := list(t, dir); names != "a.bin renamed" {
		t.Error("it leaves", names)
	}
}

// An interrupted get goes on where it stopped; while it runs it is a peer like others.
func TestGetAgain(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", 4*mib, 1)
	fleettest.Start(t, r.Origin("origin", []string{source}))
	dir := t.TempDir()
	path := filepath.Join(dir, "a.bin")
	begun := time.Now()
	get := r.get("a.bin", "-o", path, "--max-download", "100kB")
	for {
		f, err := r.tracker.API().GetChunksWithResponse(r.ctx, "a.bin", nil)
		if err == nil && f.JSON200 != nil && strings.Contains(string(f.Body), `"holders":["127.0.0.1`) {
			break
		}
		if !pause(r.ctx) {
			t.Fatal(err)
		}
	}
	second := r.get("a.bin", "-o", path)
	second.ends(1, "peerd: "+path+": another peerd get is fetching it already: wait for that one, or give another --output\n")
	get.interrupt()
	get.ends(130, "peerd: interrupted: the same command goes on where this one stopped\n")
	if names := list(t, dir); names != ".a.bin.fanout" {
		t.Error("an interrupted get leaves", names)
	}
	get = r.get("a.bin", "-o", path, "--json")
	get.ends(0, "")
	var d peerapi.Download
	if err := json.Unmarshal(get.stdout.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	// Bytes and seconds are those of both runs.
	if d.BytesDone != d.Size || d.BytesFromOrigin != d.Size || d.DurationSeconds == nil || *d.DurationSeconds <= 0 || *d.DurationSeconds > time.Since(begun).Seconds() {
		t.Errorf("%s after %v", get.stdout.String(), time.Since(begun))
	}
	fleettest.Same(t, path, source)
	if names := list(t, dir); names != "a.bin" {
		t.Error("it leaves", names)
	}
}

// A link at the output stays one, a file that is right is not fetched again, and a directory
// that no get has made is left alone.
func TestGetLeavesAloneWhatItDidNotMake(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", mib, 1)
	origin := r.Origin("origin", []string{source})
	fleettest.Start(t, origin)
	dir, elsewhere := t.TempDir(), t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(elsewhere, "target"), link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(elsewhere, "target"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.get("a.bin", "-o", link).ends(0, "")
	if to, err := os.Readlink(link); err != nil || to != filepath.Join(elsewhere, "target") {
		t.Errorf("the link is now %q, %v", to, err)
	}
	fleettest.Same(t, link, source)
	again := r.get("a.bin", "-o", link)
	again.ends(0, "")
	holds(t, again.stdout.String(), "0 B from the origin, 0 B from peers\n")

	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	r.get("a.bin", "-o", dangling).ends(1, "dangling is a symbolic link to nowhere, where nothing is")

	for i, names := range [][]string{{"notes"}, {"lock", "notes"}, {"lock"}, {"finished/notes"}, {"0123456789abcdef.part/notes"}} {
		output := filepath.Join(dir, fmt.Sprint("b", i))
		mine := filepath.Join(dir, fmt.Sprintf(".b%d.fanout", i))
		for _, name := range names {
			path := filepath.Join(mine, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("mine"), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		r.get("a.bin", "-o", output).ends(1, "peerd: "+mine+" is in the way")
		for _, name := range names {
			if got, err := os.ReadFile(filepath.Join(mine, name)); string(got) != "mine" {
				t.Errorf("%s is %q, %v", name, got, err)
			}
		}
	}
}

// What somebody puts beside the part meanwhile stays.
func TestGetRemovesOnlyItsOwn(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", 3*mib, 1)
	fleettest.Start(t, r.Origin("origin", []string{source}))
	dir := t.TempDir()
	get := r.get("a.bin", "-o", dir, "--max-download", "1MB")
	own := filepath.Join(dir, ".a.bin.fanout")
	for {
		if _, err := os.Stat(filepath.Join(own, "lock")); err == nil {
			break
		}
		if !pause(r.ctx) {
			t.Fatal("nothing is begun")
		}
	}
	if err := os.WriteFile(filepath.Join(own, "notes"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	get.ends(0, "")
	if got, err := os.ReadDir(own); err != nil || len(got) != 1 || got[0].Name() != "notes" {
		t.Errorf("%v, %v", got, err)
	}
}

// A file that goes while it is served on is not called complete in the end.
func TestGetOfAFileThatIsRemoved(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", mib, 1)
	fleettest.Start(t, r.Origin("origin", []string{source}))
	dir := t.TempDir()
	get := r.prepare(r.binaries.Peerd, "get", []string{"a.bin", "-o", dir, "--seed-for", "1h"})
	said := make(chan string, 2)
	get.Stderr = lines(said)
	get.start()
	if line := <-said; !strings.Contains(line, "is complete; serving it for 1h") {
		t.Fatal(line)
	}
	if err := os.Remove(filepath.Join(dir, "a.bin")); err != nil {
		t.Fatal(err)
	}
	get.ends(1, "")
	if line := <-said; !strings.Contains(line, "a.bin was removed") {
		t.Error(line)
	}
}

func TestGetRefuses(t *testing.T) {
	r := start(t)
	source := fleettest.File(t, r.Dir(), "a.bin", mib, 1)
	fleettest.Start(t, r.Origin("origin", []string{source}))
	dir := t.TempDir()
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"b.bin", 1, `peerd: look up "b.bin": no file named "b.bin" is published; published are: a.bin` + "\n"},
		{"a.bin -o " + dir + "/no/a.bin", 1, "there is no directory " + dir + "/no: create it first\n"},
		{"a.bin -o " + dir + "/no/", 1, "there is no such directory: create it first\n"},
		{"a.bin -o /dev/null", 1, "peerd: --output /dev/null is not a regular file: give another path\n"},
		{"a.bin --sha256 abc -o " + dir, 1, `peerd: --sha256 "abc": give 64 hexadecimal digits` + "\n"},
		{"a.bin --seed-for=-1s -o " + dir, 1, "peerd: --seed-for -1s: "},
		{"a.bin -o -", 1, "peerd: --output -: give a path; a file of that name is ./-\n"},
		{"a.bin -o " + filepath.Join(dir, strings.Repeat("m", 250)), 1, "file name too long"},
		{"a.bin --sha256 " + strings.Repeat("0", 64) + " -o " + dir, 1, "peerd: a.bin: finish a.bin: "},
		{"a.bin --tracker http://127.0.0.1:1", 1, `peerd: look up "a.bin": tracker unreachable at http://127.0.0.1:1: `},
		{"", 2, `peerd: expected "<file>"`},
	} {
		t.Run(c.args, func(t *testing.T) {
			sub := *r
			sub.t = t
			sub.get(strings.Fields(c.args)...).ends(c.code, c.want)
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "a.bin")); err == nil {
		t.Error("a file with the wrong SHA-256 is there")
	}
}

func list(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

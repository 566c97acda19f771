package inproc_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"fanout/api/peerapi"
)

// However the clock was set while peerd was down, a duration is the time that it worked at
// the download, and the bytes beside it are those of that time.
func TestDurationIsTheWork(t *testing.T) {
	for name, off := range map[string]time.Duration{
		"clock set back":    3 * time.Hour, // so that the start is to come yet
		"clock set forward": -3 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.write("f", 40*chunkSize)
			o := r.originBehind(12, "f")
			begun := time.Now()
			p := r.peer("")
			_, d := p.start(`{"file":"f"}`)
			p.some(d.Id, 10)
			p.stop()
			o.Open()
			p.edit(d.Id, "started_at", time.Now().Add(off).Format(time.RFC3339Nano))
			p = r.peer(p.dir)
			d = p.finish(`{"file":"f"}`)
			complete(t, d)
			p.took(d, time.Since(begun))
			if got := d.BytesFromOrigin + d.BytesFromPeers; got < d.Size {
				t.Errorf("%d bytes beside the duration of both runs, the file has %d", got, d.Size)
			}
			first := *d.DurationSeconds
			p.stop()
			p.edit(d.Id, "started_at", time.Now().Add(2*off).Format(time.RFC3339Nano))
			p = r.peer(p.dir)
			if d = p.look(d.Id); d.DurationSeconds == nil || *d.DurationSeconds != first {
				t.Errorf("%+v after another restart, took %v before", d, first)
			}
		})
	}
}

// Pauses are no work.
func TestPausesAreNotCounted(t *testing.T) {
	r := newRig(t)
	r.write("f", 20*chunkSize)
	o := r.originBehind(3, "f")
	begun := time.Now()
	p := r.peer("")
	_, d := p.start(`{"file":"f"}`)
	p.some(d.Id, 2)
	p.do("POST", "/v1/downloads/"+d.Id+"/pause")
	paused := time.Now()
	time.Sleep(200 * time.Millisecond)
	pause := time.Since(paused)
	o.Open()
	p.do("POST", "/v1/downloads/"+d.Id+"/resume")
	d = p.state(d.Id, peerapi.DownloadStateComplete)
	p.took(d, time.Since(begun)-pause)
}

// What a file that was complete takes when it turns out to be damaged is the time of its
// repair, with the bytes of it, and not the age of the file.
func TestRepairIsCountedByItself(t *testing.T) {
	r := newRig(t)
	data := r.write("f", 10*chunkSize)
	r.origin("f")
	p := r.peer("")
	d := p.finish(`{"file":"f"}`)
	p.stop()
	p.edit(d.Id, "started_at", time.Now().Add(-3*time.Hour).Format(time.RFC3339Nano))
	bad := bytes.Clone(data)
	bad[3*chunkSize] ^= 1
	if err := os.WriteFile(d.Path, bad, 0o644); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	p = r.peer(p.dir)
	p.await("the repair", func() bool {
		if d = p.look(d.Id); d.State == peerapi.DownloadStateFailed {
			p.finish(`{"file":"f"}`)
		}
		got, err := os.ReadFile(d.Path)
		return err == nil && bytes.Equal(got, data) && d.State == peerapi.DownloadStateComplete
	})
	complete(t, d)
	p.took(d, time.Since(begun))
	if got := d.BytesFromOrigin + d.BytesFromPeers; got > d.Size {
		t.Errorf("%d bytes for the repair of a file of %d", got, d.Size)
	}
}

// took checks that a duration is there, and that neither it nor what is exported of it is
// negative or longer than can be.
func (p *peer) took(d peerapi.Download, most time.Duration) {
	p.Helper()
	if d.DurationSeconds == nil || *d.DurationSeconds <= 0 || *d.DurationSeconds > most.Seconds() {
		p.Errorf("%+v took a duration that cannot be: at most %v", d, most)
		return
	}
	text := p.get(p.http + "/metrics")
	sum := 0.0
	for _, one := range regexp.MustCompile(`fanout_transfer_duration_seconds_sum\{.*\} (\S+)`).FindAllStringSubmatch(text, -1) {
		seconds, err := strconv.ParseFloat(one[1], 64)
		if sum += seconds; err != nil || seconds < 0 {
			p.Errorf("%s (%v)", one[0], err)
		}
	}
	if sum <= 0 || sum > most.Seconds() {
		p.Errorf("the exported durations add up to %v, of one download of %v", sum, *d.DurationSeconds)
	}
}

// edit changes a text in the record of a download of a peer that is down.
func (p *peer) edit(id, field, value string) {
	p.Helper()
	path := filepath.Join(p.dir, ".fanout", id+".json")
	text, err := os.ReadFile(path)
	if err != nil {
		p.Fatal(err)
	}
	text = regexp.MustCompile(`"`+field+`":"[^"]*"`).ReplaceAll(text, []byte(`"`+field+`":"`+value+`"`))
	if err := os.WriteFile(path, text, 0o644); err != nil {
		p.Fatal(err)
	}
}

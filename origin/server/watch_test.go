package server

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// A changed file that cannot be digested is tried again, but less and less often.
func TestChangedFileIsTriedWithPauses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := newSource(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if s.info, err = os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := &Origin{cfg: Config{ChunkSize: 1, Logger: zerolog.New(&log)}} // a size that is refused
		go o.awaitChange(t.Context(), s, nil)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := bytes.Count(log.Bytes(), []byte("changed file not published")); n < 5 || n > 20 {
			t.Errorf("tried %d times in ten minutes", n)
		}
	})
}

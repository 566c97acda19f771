package node

import (
	"os"
	"path/filepath"
	"testing"

	"fanout/internal/chunks/chunkstore"
	"fanout/internal/chunks/manifest"
)

// What somebody writes while a finished file is hashed is noticed, if only at the next look:
// its stamp is that of before.
func TestWrittenWhileItIsHashed(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ledger, err := openLedger(filepath.Join(dir, ".fanout"))
	if err != nil {
		t.Fatal(err)
	}
	o := &outputs{dir: chunkstore.Dir{Root: root, Own: ".fanout"}, ledger: ledger, dataDir: dir}
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, 100<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "f"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m, err := manifest.Build(t.Context(), "f", file, 100<<10, 32<<10, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := o.find(t.Context(), "f", m, m.ID(), false)
	if err != nil || !f.Whole() {
		t.Fatalf("%+v, %v", f, err)
	}
	defer f.Close()
	if _, err := file.WriteAt([]byte("x"), 5); err != nil {
		t.Fatal(err)
	}
	if stamp, err := o.settle(f.Store, "f"); err == nil {
		if doubtful, err := o.compare("f", stamp); !doubtful && err == nil {
			t.Error("it is called right")
		}
	}
}

package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A peer ID that cannot be one stops the start with the file's name and the remedy, and is not
// overwritten; --id does without it.
func TestPeerID(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "blank": " \n", "a path": "a/b\n", "long": strings.Repeat("x", 1000), "a directory": "/"} {
		t.Run(name, func(t *testing.T) {
			r := &records{dir: t.TempDir()}
			path := filepath.Join(r.dir, "peer-id")
			write := func() error { return os.WriteFile(path, []byte(content), 0o600) }
			if content == "/" {
				write = func() error { return os.Mkdir(path, 0o700) }
			}
			if err := write(); err != nil {
				t.Fatal(err)
			}
			if id, err := r.peerID(""); err == nil || !strings.Contains(err.Error(), path) || len(err.Error()) > 500 {
				t.Errorf("%q, %v; want the file's name", id, err)
			}
			if id, err := r.peerID("given"); err != nil || id != "given" {
				t.Errorf("with --id: %q, %v", id, err)
			}
			if got, err := os.ReadFile(path); content != "/" && (err != nil || string(got) != content) {
				t.Errorf("%q, %v in the file after", got, err)
			}
		})
	}
	r := &records{dir: t.TempDir()}
	first, err := r.peerID("")
	if again, err2 := r.peerID(""); err != nil || err2 != nil || again != first || first == "" {
		t.Errorf("%q, %v, then %q, %v", first, err, again, err2)
	}
}

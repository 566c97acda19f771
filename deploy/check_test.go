package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// What the origin cannot read is refused before anything starts, and says who cannot: in a
// container, or as a service, that is not who started it.
func TestOriginNamesWhoMayNotRead(t *testing.T) {
	uid, identity := os.Getuid(), (*syscall.SysProcAttr)(nil)
	if uid == 0 { // who may read everything: be the image's user
		user, _, _ := strings.Cut(stages(t)["origin"].user, ":")
		uid, _ = strconv.Atoi(user)
		identity = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	dir, err := os.MkdirTemp("", "fanout-check-") // not t.TempDir, whose parent is for its owner only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "origin")
	data, err := os.ReadFile(programs["origin"].path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("origin", string(data), 0o755)
	good, secret := write("good.bin", "x", 0o644), write("secret.bin", "x", 0)
	closed := filepath.Join(dir, "closed")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(closed, 0); err != nil {
		t.Fatal(err)
	}
	denied := "permission denied for the user that the origin runs as, uid " + strconv.Itoa(uid) + ":"
	serve := []string{"serve", "--tracker=http://127.0.0.1:1", "--listen=127.0.0.1:0", "--http=127.0.0.1:0"}
	for _, c := range []struct {
		args []string
		want string // "" is success
	}{
		{[]string{"check", good}, ""},
		{[]string{"check", good, secret}, denied},
		{[]string{"check", filepath.Join(closed, "x")}, denied},
		{[]string{"check", dir}, "is a directory"},
		{[]string{"check", filepath.Join(dir, "gone")}, "there is no such file"},
		{append(serve, secret), denied},
		{[]string{"push", "--tracker=http://127.0.0.1:1", secret}, denied},
	} {
		cmd := exec.Command(program, c.args...)
		cmd.SysProcAttr = identity
		out, err := cmd.CombinedOutput()
		if (err == nil) != (c.want == "") || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %v, %s; want %q", c.args, err, out, c.want)
		}
	}
}

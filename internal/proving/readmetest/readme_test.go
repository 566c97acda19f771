// Package readmetest runs the transcripts of README.md as a reader would paste them, and
// compares what they print with what the page says they do.
package readmetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// run is the variable that says to run the transcripts: they take a minute, most of it the
// demo, and want the machine for themselves. See `make readme-test`.
const run = "README_TEST"

// block is one fenced `sh` block, and the `text` block that follows it, if any.
type block struct {
	line     int
	commands string
	want     string
	checked  bool
}

func TestTranscripts(t *testing.T) {
	if os.Getenv(run) == "" {
		t.Skipf("set %s=1, or run make readme-test", run)
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	blocks := parse(t, filepath.Join(root, "README.md"))
	for i, got := range paste(t, root, blocks) {
		b := blocks[i]
		switch {
		case strings.Contains(got, failed):
			t.Errorf("README.md:%d: a command failed:\n%s", b.line, got)
		case b.checked && !matches(lines(got), lines(b.want)):
			t.Errorf("README.md:%d: it prints\n%s\nand the page says\n%s", b.line, got, b.want)
		}
	}
}

// parse returns the blocks of a page.
func parse(t *testing.T, path string) (blocks []block) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fence, adjacent := "", false // the language of the fence we are in; nothing since an sh block
	for i, line := range strings.Split(string(page), "\n") {
		language, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && fence != "":
			adjacent, fence = fence == "sh", ""
		case isFence && language == "sh":
			blocks, fence = append(blocks, block{line: i + 1}), "sh"
		case isFence && language == "text" && adjacent:
			blocks[len(blocks)-1].checked, fence = true, "text"
		case isFence:
			fence = "other"
		case fence == "sh":
			blocks[len(blocks)-1].commands += line + "\n"
		case fence == "text":
			blocks[len(blocks)-1].want += line + "\n"
		case line != "":
			adjacent = false
		}
	}
	if len(blocks) < 10 {
		t.Fatalf("found %d transcripts in %s", len(blocks), path)
	}
	return blocks
}

const (
	begin  = "=== block "
	failed = "=== failed: "
)

// paste runs all blocks in one shell, and returns what each has printed.
func paste(t *testing.T, root string, blocks []block) (printed []string) {
	t.Helper()
	var script strings.Builder
	fmt.Fprintf(&script, "exec 2>&1\nset -E\ntrap 'echo \"%s$BASH_COMMAND\"' ERR\n", failed)
	for _, b := range blocks {
		fmt.Fprintf(&script, "echo '%s'\n%s", begin, b.commands)
	}
	file := filepath.Join(t.TempDir(), "transcripts.sh")
	if err := os.WriteFile(file, []byte(script.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	shell := exec.Command("bash", file)
	if alone() {
		shell = exec.Command("unshare", "-rn", "sh", "-c", `ip link set lo up && exec bash "$0"`, file)
	}
	shell.Dir = root
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MAKE") && !strings.HasPrefix(v, "FANOUT_") { // a reader has none of ours
			shell.Env = append(shell.Env, v)
		}
	}
	shell.Env = append(shell.Env, "TMPDIR="+t.TempDir()) // the last one counts
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.Cleanup(func() { syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }) // daemons that are left
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Errorf("bash: %v", err)
	}
	printed = strings.Split(string(out), begin+"\n")[1:]
	if len(printed) != len(blocks) {
		t.Fatalf("of %d blocks %d were run:\n%s", len(blocks), len(printed), out)
	}
	return printed
}

// alone says whether the transcripts can have a network of their own, in which the ports
// that they use are free.
func alone() bool {
	return exec.Command("unshare", "-rn", "ip", "link", "set", "lo", "up").Run() == nil
}

// varies is what is another one every time: digests and identities, with a version or not, numbers, spaces.
var varies = regexp.MustCompile(`([0-9]+\.)?[0-9a-f]{12,}|[0-9]+(\.[0-9]+)?|[ \t]+`)

// lines are those of a text, without what varies.
func lines(text string) (all []string) {
	for line := range strings.Lines(text) {
		all = append(all, strings.TrimSpace(varies.ReplaceAllString(line, "#")))
	}
	return all
}

// matches compares line by line; "…" stands for any number of lines.
func matches(got, want []string) bool {
	switch {
	case len(want) == 0:
		return len(got) == 0
	case want[0] == "…":
		return matches(got, want[1:]) || len(got) > 0 && matches(got[1:], want)
	}
	return len(got) > 0 && got[0] == want[0] && matches(got[1:], want[1:])
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		got, want string
		is        bool
	}{
		{"", "", true},
		{"ok\n", "ok\n", true},
		{"ok\n", "no\n", false},
		{"ok\nok\n", "ok\n", false},
		{"took 1.5 s\n", "took   22 s\n", true},
		{"peer-201ee93b62ba\n", "peer-f8710595ea1c\n", true},
		{"FANOUT 1 2.3e9f730f9c4df244498cdd90c95e0ec3\n", "FANOUT 1 2.fe12f730f9c4df244498cdd90c95e0ec\n", true},
		{"a\nb\nc\n", "a\n…\nc\n", true},
		{"a\nc\n", "a\n…\nc\n", true},
		{"a\nb\n", "a\n…\nc\n", false},
		{"a\n", "…\n", true},
	} {
		if matches(lines(c.got), lines(c.want)) != c.is {
			t.Errorf("%q against %q: not %v", c.got, c.want, c.is)
		}
	}
}

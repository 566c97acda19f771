package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"fanout/internal/daemon/cli"
)

type grammar struct {
	Serve   serve       `cmd:"" default:"withargs" help:"Serve."`
	Version cli.Version `cmd:"" help:"Print the version."`
}

type serve struct {
	DataDir string `help:"Where."`
	Fail    string `help:"How to fail."`
}

func (s serve) Run(ctx context.Context) error {
	switch s.Fail {
	case "":
		fmt.Println("data dir", s.DataDir)
		return nil
	case "interrupted":
		return fmt.Errorf("wait: %w", ctx.Err())
	case "hint":
		return fmt.Errorf("wait: %w", cli.Interrupted{Then: "run it again"})
	}
	return errors.New(s.Fail)
}

func TestRun(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		args   string
		ctx    context.Context
		code   int
		stdout string
		stderr string
	}{
		{"", t.Context(), cli.ExitOK, "", ""},
		{"serve", t.Context(), cli.ExitOK, "", ""},
		{"--fail=disk", t.Context(), cli.ExitFailure, "", "demo: disk\n"},
		{"--fail=interrupted", cancelled, cli.ExitInterrupted, "", "demo: interrupted\n"},
		{"--fail=hint", cancelled, cli.ExitInterrupted, "", "demo: interrupted: run it again\n"},
		{"--nonsense", t.Context(), cli.ExitUsage, "", "demo: unknown flag --nonsense (demo --help shows the flags)\n"},
		{"version", t.Context(), cli.ExitOK, "demo devel", ""},
		{"--help", t.Context(), cli.ExitOK, "$FANOUT_DATA_DIR", ""},
	} {
		t.Run(c.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := cli.Run(c.ctx, strings.Fields(c.args), &stdout, &stderr, "demo", "A demonstration.", &grammar{})
			if code != c.code || !strings.Contains(stdout.String(), c.stdout) || stderr.String() != c.stderr {
				t.Errorf("exit %d, stdout %q, stderr %q", code, &stdout, &stderr)
			}
		})
	}
}

func TestFlagsHaveEnvironmentTwins(t *testing.T) {
	t.Setenv("FANOUT_DATA_DIR", "/from/env")
	for args, want := range map[string]string{"": "/from/env", "serve --data-dir=/flag": "/flag"} {
		var g grammar
		if code := cli.Run(t.Context(), strings.Fields(args), &bytes.Buffer{}, &bytes.Buffer{}, "demo", "", &g); code != 0 || g.Serve.DataDir != want {
			t.Errorf("%q: exit %d, data dir %q", args, code, g.Serve.DataDir)
		}
	}
}

// Package cli is what the main functions of the binaries have in common: flags with their
// environment twins, signals, one line for an error, exit codes. It knows no daemon.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"fanout/internal/daemon/httpkit"
	"fanout/internal/daemon/oneline"
)

// Exit codes of every binary.
const (
	ExitOK          = 0
	ExitFailure     = 1
	ExitUsage       = 2
	ExitInterrupted = 130 // stopped by a signal before it was done, as shells count it
)

// EnvPrefix begins the environment twin of every flag: --data-dir is FANOUT_DATA_DIR.
const EnvPrefix = "FANOUT"

// Main parses os.Args into grammar, a pointer to a kong struct whose commands have
// `Run(ctx context.Context) error`, runs the chosen command until SIGINT, SIGTERM or SIGHUP,
// unless that is ignored as under nohup, and exits. A second signal kills at once.
func Main(name, description string, grammar any, options ...kong.Option) {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, func() { time.AfterFunc(sameSignal, stop) })
	os.Exit(Run(ctx, os.Args[1:], os.Stdout, os.Stderr, name, description, grammar, options...))
}

// sameSignal is how close a second signal is the first one again: timeout(1) sends it to the
// process, and then to its group.
const sameSignal = 500 * time.Millisecond

// exitCode is what kong's --help panics with instead of ending the process.
type exitCode int

// Run is Main without the process: it returns the exit code and prints errors to stderr as
// one line, `name: error`.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, name, description string, grammar any, options ...kong.Option) (code int) {
	defer func() {
		if v := recover(); v != nil {
			c, ok := v.(exitCode)
			if !ok {
				panic(v)
			}
			code = int(c)
		}
	}()
	command, err := Parse(args, grammar, append([]kong.Option{
		kong.Name(name), kong.Description(description),
		kong.Writers(stdout, stderr), kong.Exit(func(c int) { panic(exitCode(c)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}), kong.Help(help),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(stdout, (*io.Writer)(nil)),
	}, options...)...)
	if err != nil {
		with := name
		var parse *kong.ParseError
		if errors.As(err, &parse) && parse.Context != nil && parse.Context.Selected() != nil && parse.Context.Selected() != parse.Context.Model.DefaultCmd {
			with = parse.Context.Selected().FullPath()
		}
		fmt.Fprintf(stderr, "%s: %s (%s --help shows the flags)\n", name, oneline.Of(err.Error(), 2*oneline.Max), with)
		return ExitUsage
	}
	return report(ctx, stderr, name, command.Run())
}

// Parse reads a command line and the environment into grammar. A variable that is set to
// nothing is not set; a flag of the command line that says nothing is refused.
func Parse(args []string, grammar any, options ...kong.Option) (*kong.Context, error) {
	options = append(append([]kong.Option{kong.DefaultEnvars(EnvPrefix)}, valueOptions()...), options...)
	parser, err := kong.New(grammar, options...)
	if err != nil {
		panic(err) // the grammar is wrong, which no user can mend
	}
	if err := dropEmptyVariables(parser.Model.Node); err != nil {
		return nil, err
	}
	return parser.Parse(args)
}

// help shows the flags of the default command where none is given, since those flags may be
// given so too, and then the other commands.
func help(o kong.HelpOptions, k *kong.Context) error {
	serve := k.Model.DefaultCmd
	if k.Selected() != nil || serve == nil {
		return kong.DefaultHelpPrinter(o, k)
	}
	k.Path = append(k.Path, &kong.Path{Command: serve})
	if err := kong.DefaultHelpPrinter(o, k); err != nil {
		return err
	}
	fmt.Fprintf(k.Stdout, "\n%q may be left out. Other commands:\n", serve.Name)
	for _, c := range k.Model.Leaves(true) {
		if c != serve {
			fmt.Fprintf(k.Stdout, "  %s\n        %s\n", c.Summary(), c.Help)
		}
	}
	return nil
}

// Interrupted is the error of a command that a signal ended before it was done, and that
// has more to say than that.
type Interrupted struct {
	Then string // how it goes on, or can be made to
}

func (i Interrupted) Error() string { return "interrupted: " + i.Then }

// Unwrap makes it context.Canceled.
func (i Interrupted) Unwrap() error { return context.Canceled }

func report(ctx context.Context, stderr io.Writer, name string, err error) int {
	switch {
	case err == nil:
		return ExitOK
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		line := "interrupted"
		if i := (Interrupted{}); errors.As(err, &i) {
			line = i.Error()
		}
		fmt.Fprintf(stderr, "%s: %s\n", name, line)
		return ExitInterrupted
	}
	// It may have come from the tracker or a peer: a terminal must not obey it.
	fmt.Fprintf(stderr, "%s: %s\n", name, oneline.Of(err.Error(), 8*oneline.Max))
	return ExitFailure
}

// Revision is that of the source of what is running; "unknown" if nobody has recorded it.
func Revision() string { return httpkit.Build().Revision }

// Version is the command that prints what is running.
type Version struct{}

// Run prints one line.
func (Version) Run(app *kong.Kong, out io.Writer) error {
	b := httpkit.Build()
	_, err := fmt.Fprintf(out, "%s %s (revision %s, %s)\n", app.Model.Name, b.Version, b.Revision, b.GoVersion)
	return err
}

package cli

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// UTF8Path refuses a path that JSON cannot tell: what is answered would be another one. flag
// is what gave it.
func UTF8Path(flag, path string) error {
	if !utf8.ValidString(path) {
		return fmt.Errorf("%s %q is not UTF-8: give a path that is, for the REST interface tells it in JSON", flag, path)
	}
	return nil
}

// errEmpty is why a flag on the command line is refused that says nothing.
var errEmpty = errors.New("it is given, but empty: give a value, or leave it out")

// valueOptions make kong read values as they were given: its own mappers pass strings through
// JSON, which puts U+FFFD in place of every byte that is not UTF-8.
func valueOptions() []kong.Option {
	return []kong.Option{
		kong.KindMapper(reflect.String, kong.MapperFunc(textValue)),
		kong.KindMapper(reflect.Slice, kong.MapperFunc(listValue)),
		kong.NamedMapper("path", kong.MapperFunc(pathValue)),
	}
}

// textValue takes text, which may end up in a URL, in JSON or in a log.
func textValue(ctx *kong.DecodeContext, target reflect.Value) error {
	s, err := given(ctx)
	if err != nil {
		return err
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%q is not UTF-8", s)
	}
	target.SetString(s)
	return nil
}

// pathValue takes a path, whose bytes are kept. ~/ at its beginning is the home directory:
// no shell sees the values of --flag=~/x and of environment files.
func pathValue(ctx *kong.DecodeContext, target reflect.Value) error {
	if target.Kind() == reflect.Slice { // of positional arguments
		return each(ctx, target, pathValue)
	}
	s, err := given(ctx)
	if err != nil {
		return err
	}
	if strings.HasPrefix(s, "~/") {
		s = kong.ExpandPath(s)
	}
	target.SetString(s)
	return nil
}

// listValue takes text with commas in between, or what is left of a command line.
func listValue(ctx *kong.DecodeContext, target reflect.Value) error {
	if ctx.Value.Flag == nil {
		return each(ctx, target, textValue)
	}
	s, err := given(ctx)
	if err != nil {
		return err
	}
	return each(ctx.WithScanner(kong.ScanAsType(kong.FlagValueToken, strings.Split(s, ",")...)), target, textValue)
}

// each appends values to a slice until there are none left.
func each(ctx *kong.DecodeContext, target reflect.Value, read kong.MapperFunc) error {
	for ctx.Scan.Peek().IsValue() {
		one := reflect.New(target.Type().Elem()).Elem()
		if err := read(ctx, one); err != nil {
			return err
		}
		target.Set(reflect.Append(target, one))
	}
	return nil
}

// given is the next value, which must not be empty.
func given(ctx *kong.DecodeContext) (string, error) {
	token, err := ctx.Scan.PopValue(ctx.Value.Name)
	if err != nil {
		return "", err
	}
	s := fmt.Sprint(token.Value)
	if empty(s) {
		return "", errEmpty
	}
	return s, nil
}

func empty(s string) bool { return strings.TrimSpace(s) == "" }

// dropEmptyVariables takes variables that are set to nothing out of the environment of this
// process: compose and environment files have them for what is not to be set.
func dropEmptyVariables(node *kong.Node) error {
	for _, flag := range node.Flags {
		for _, name := range flag.Envs {
			if v, ok := os.LookupEnv(name); ok && empty(v) {
				if err := os.Unsetenv(name); err != nil {
					return err
				}
			}
		}
	}
	for _, child := range node.Children {
		if err := dropEmptyVariables(child); err != nil {
			return err
		}
	}
	return nil
}

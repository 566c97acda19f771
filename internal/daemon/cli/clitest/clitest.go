// Package clitest checks what holds for every flag of every command of a grammar, so that a
// new flag is covered without a line of its own.
package clitest

import (
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"fanout/internal/daemon/cli"
)

// Grammar checks the flags of the grammar that fresh makes anew.
func Grammar(t *testing.T, fresh func() any) {
	t.Helper()
	model, err := kong.New(fresh(), kong.DefaultEnvars(cli.EnvPrefix), kong.NamedMapper("path", nothing{}))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, command := range model.Model.Leaves(true) {
		for _, flag := range command.Flags {
			t.Run(command.Name+" --"+flag.Name, func(t *testing.T) {
				emptyVariables(t, fresh, command, flag)
				emptyFlag(t, fresh, command, flag)
			})
			checked++
		}
	}
	if checked == 0 {
		t.Error("the grammar has no flags")
	}
}

// emptyVariables: a variable that is set to nothing is the same as none.
func emptyVariables(t *testing.T, fresh func() any, command *kong.Node, flag *kong.Flag) {
	want := fresh()
	if _, err := cli.Parse(least(command, nil), want); err != nil {
		t.Fatal(err)
	}
	for _, variable := range flag.Envs {
		for _, value := range []string{"", " "} {
			t.Setenv(variable, value)
			got := fresh()
			if _, err := cli.Parse(least(command, nil), got); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s=%q: %v, %+v, want %+v", variable, value, err, got, want)
			}
		}
	}
}

// emptyFlag: a flag that is given, with nothing, is refused by name.
func emptyFlag(t *testing.T, fresh func() any, command *kong.Node, flag *kong.Flag) {
	_, err := cli.Parse(append(least(command, flag), "--"+flag.Name+"="), fresh())
	if err == nil || !strings.Contains(err.Error(), "--"+flag.Name) {
		t.Errorf("--%s '': %v, want a refusal that names it", flag.Name, err)
	}
}

// least is the shortest command line of a command, without a flag.
func least(command *kong.Node, but *kong.Flag) []string {
	line := []string{command.Name}
	for _, p := range command.Positional {
		if p.Required {
			line = append(line, "x")
		}
	}
	for _, f := range command.Flags {
		if f.Required && f != but {
			line = append(line, "--"+f.Name+"=x")
		}
	}
	return line
}

// nothing stands for a mapper where only the model is looked at.
type nothing struct{}

func (nothing) Decode(*kong.DecodeContext, reflect.Value) error { return nil }

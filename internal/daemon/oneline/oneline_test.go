package oneline_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"fanout/internal/daemon/oneline"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		what, in, want string
		most           int
	}{
		{"text", "disk full: ü 漢", "disk full: ü 漢", 80},
		{"lines", "a\nb\r\nc\td", "a b  c d", 80},
		{"escape sequence", "\x1b[31mred\x1b[0m", "\uFFFD[31mred\uFFFD[0m", 80},
		{"C1 control", "a\u009bb", "a\uFFFDb", 80},
		{"backspace and delete", "a\bb\x7f", "a\uFFFDb\uFFFD", 80},
		{"right to left override", "a\u202eb", "a\uFFFDb", 80},
		{"not UTF-8", "a\xffb", "a\uFFFDb", 80},
		{"exactly as long", "abcdef", "abcdef", 6},
		{"longer", "abcdefg", "abc…", 6},
		{"never half a character", "漢漢漢", "漢…", 8},
		{"grown by what replaces it", "\x00\x00\x00", "\uFFFD…", 6},
		{"empty", "", "", 6},
	} {
		if got := oneline.Of(c.in, c.most); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func FuzzOf(f *testing.F) {
	f.Add("a\x1b]0;title\x07\xff\u202e", 5)
	f.Fuzz(func(t *testing.T, s string, most int) {
		if most < 8 || most > 1<<16 {
			return
		}
		got := oneline.Of(s, most)
		if len(got) > most || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x1b\x00\u009b") {
			t.Errorf("%q", got)
		}
	})
}

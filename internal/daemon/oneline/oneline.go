// Package oneline makes text that somebody else wrote fit to be shown: in a terminal, a log,
// a table or an answer. It knows nothing of ours.
package oneline

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Max is how long an error text may be that is shown or stored, bytes: room for everything
// that we say, and not for a body that somebody has sent.
const Max = 1 << 10

const ellipsis = "…"

// Of is s as one line of at most so many bytes. What a terminal would obey, or what is not
// text, becomes a space or U+FFFD: control characters, escape sequences with them, and marks
// that turn the direction of writing.
func Of(s string, most int) string {
	s, cut := head(s, most)
	s = strings.Map(plain, strings.ToValidUTF8(s, "\uFFFD"))
	if !cut && len(s) <= most { // U+FFFD is longer than the byte it stands for
		return s
	}
	s, _ = head(s, max(most-len(ellipsis), 0))
	return s + ellipsis
}

// head is as much of s as fits into so many bytes without half a character.
func head(s string, most int) (string, bool) {
	if len(s) <= most {
		return s, false
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most], true
}

func plain(r rune) rune {
	switch {
	case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029':
		return ' '
	case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
		return utf8.RuneError
	}
	return r
}

package wire

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Version is the latest version of the protocol that this package speaks; it speaks those before
// it, too.
const Version = 2

// MaxLine is the greatest length of a line in bytes, its end included.
const MaxLine = 1024

// Codes of ERR.
const (
	CodeBadMessage      = "bad-message"      // a line that is none, or at the wrong time
	CodeBadLength       = "bad-length"       // a payload or bitmap of the wrong length
	CodeUnknownManifest = "unknown-manifest" // not served here
	CodeTooMany         = "too-many"         // requests, or sessions from one address
	CodeTimeout         = "timeout"          // the other side was silent for too long
	CodeBanned          = "banned"           // it sent bad data before
	CodeAuth            = "auth"             // the MAC is missing or wrong
	CodeShutdown        = "shutdown"         // this side is stopping
	CodeUnasked         = "unasked"          // DATA that is not welcome
	CodeFlood           = "flood"            // more HAVE, BITS or ROOM than makes sense
)

// Codes are all of them that this side says.
func Codes() []string {
	return []string{
		CodeBadMessage, CodeBadLength, CodeUnknownManifest, CodeTooMany, CodeTimeout, CodeBanned, CodeAuth, CodeShutdown,
		CodeUnasked, CodeFlood,
	}
}

const maxCode = 32

// Kind says what a message is. The zero Kind is none.
type Kind uint8

// The messages, in the order of the specification.
const (
	KindBits Kind = iota + 1
	KindHave
	KindGet
	KindAny
	KindData
	KindNone
	KindCancel
	KindOffer
	KindPing
	KindPong
	KindErr
	KindRoom // from here on only in sessions of version 2
	KindPass
	KindBye
)

// String is the word that begins the line.
func (k Kind) String() string {
	switch k {
	case KindBits:
		return "BITS"
	case KindHave:
		return "HAVE"
	case KindGet:
		return "GET"
	case KindAny:
		return "ANY"
	case KindData:
		return "DATA"
	case KindNone:
		return "NONE"
	case KindCancel:
		return "CANCEL"
	case KindOffer:
		return "OFFER"
	case KindPing:
		return "PING"
	case KindPong:
		return "PONG"
	case KindErr:
		return "ERR"
	case KindRoom:
		return "ROOM"
	case KindPass:
		return "PASS"
	case KindBye:
		return "BYE"
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// Since is the version of the protocol that brought the message.
func (k Kind) Since() int {
	if k >= KindRoom {
		return 2
	}
	return 1
}

// NoChunk is the Chunk of "NONE -", the answer to ANY, and of a ROOM without a hint.
const NoChunk = -1

// Message is one line. Fields that its Kind does not have are zero.
type Message struct {
	Kind  Kind
	Chunk int    // HAVE GET DATA NONE CANCEL OFFER ROOM; NoChunk only for NONE and ROOM
	More  []Run  // HAVE of version 2: what the line names beside Chunk
	Bytes int    // BITS DATA: length of the payload that follows; ROOM: what may be asked for
	Wait  int    // PASS BYE: milliseconds
	Code  string // ERR: one of the Code constants, or a newer one
	Text  string // ERR: for people, one line
}

// AppendMessage appends the line of m to dst. The payload of BITS and DATA is
// the caller's to write. The text of ERR is made fit for a line: control
// characters and invalid UTF-8 become '?', and it is cut where the line would
// get longer than MaxLine.
func AppendMessage(dst []byte, m Message) []byte {
	start := len(dst)
	dst = append(dst, m.Kind.String()...)
	switch m.Kind {
	case KindBits:
		dst = appendNumber(dst, m.Bytes)
	case KindGet, KindCancel, KindOffer:
		dst = appendNumber(dst, m.Chunk)
	case KindHave:
		dst = appendRuns(append(dst, ' '), m.Chunk, m.More)
	case KindRoom:
		dst = appendNumber(dst, m.Bytes)
		if m.Chunk != NoChunk {
			dst = appendNumber(dst, m.Chunk)
		}
	case KindPass, KindBye:
		dst = appendNumber(dst, m.Wait)
	case KindData:
		dst = appendNumber(appendNumber(dst, m.Chunk), m.Bytes)
	case KindNone:
		if m.Chunk == NoChunk {
			dst = append(dst, " -"...)
		} else {
			dst = appendNumber(dst, m.Chunk)
		}
	case KindErr:
		dst = append(append(dst, ' '), m.Code...)
		room := MaxLine - (len(dst) - start) - len(" \n")
		if text := cut(plain(m.Text), room); text != "" {
			dst = append(append(dst, ' '), text...)
		}
	}
	return append(dst, '\n')
}

func appendNumber(dst []byte, n int) []byte {
	return strconv.AppendInt(append(dst, ' '), int64(n), 10)
}

// plain is s as it may stand on one line: what a stranger sends ends up in
// logs and terminals.
func plain(s string) string {
	s = strings.ToValidUTF8(s, "?")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, s)
}

// cut is the longest beginning of s that has at most n bytes and no half
// character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n = max(n, 0)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

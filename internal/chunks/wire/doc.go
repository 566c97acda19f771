// Package wire is the chunk protocol, versions 1 and 2: what two programs say
// to each other over one TCP connection to exchange the chunks of one manifest.
// It parses and prints; it opens no connection, sets no deadline, checks no
// token and knows no manifest but its ID. This page is the specification.
//
// # Lines and payloads
//
// Everything is said in lines of text. A line is a word and its arguments,
// with one space between two, and ends with "\n" or "\r\n". It has at most
// 1024 bytes, its end included. Words are upper case. Two messages, BITS and
// DATA, are followed by a payload: exactly as many raw bytes as the line says,
// with nothing around them. The next line begins right after.
//
//	<chunk>  number of a chunk, from 0; decimal digits, below 2^31, no sign,
//	         no needless leading zero
//	<chunks> one or more of <chunk> and of runs, <chunk>-<chunk>, with "," and
//	         nothing else between two. A run is from its first to its last
//	         chunk, which is the higher one: a run of one is spelt <chunk>
//	<bytes>  number of bytes; written as <chunk> is
//	<ms>     milliseconds, at most a day of them; written the same way
//	<id>     manifest ID: 64 lower-case hex digits
//	<peer>   peer ID: 1 to 64 of A-Z a-z 0-9 . _ -
//	<nonce>  used once: 1 to 64 of the same characters; fanout sends 32 random
//	         hex digits, after what says its version
//	<mac>    64 lower-case hex digits, or - for none: kept free for a message
//	         authentication code. Both versions send - and take either
//
// # Greeting
//
// A is the side that accepted the connection, D the one that dialled.
//
//	A: FANOUT 1 <nonce>
//	D: HELLO <id> <peer> <nonce> <mac>
//	A: HELLO <id> <peer> <mac>
//
// D names the manifest it is about, and A answers with the same ID, or with
// ERR.
//
// # Version
//
// The 1 of the greeting never changes, for version 1 refuses any other. The
// nonces, of which version 1 takes any, say what else is spoken: who speaks
// version 2 begins his with "2.". In general the decimal number before the
// first dot of a nonce, if it is 2 or more, is the latest version that its
// sender speaks, as well as all before it; any other nonce is one of version 1.
// D does not say more than A has: it begins its nonce with "2." only if A's
// says version 2 or later.
//
// The version of the session is the lower one of the two that were said. So a
// later one, which begins with "3.", is spoken where both do. What a version
// does not have is never sent in its sessions, and is no message there.
//
// # Messages
//
// After the greeting both sides are equal, and either may send any of these at
// any time:
//
//	BITS <bytes>          the chunks I hold, as a bitmap of ceil(chunks/8)
//	                      bytes: chunk i is bit 7-(i mod 8) of byte i/8, bits
//	                      beyond the last chunk are 0. Adds to what was said
//	                      before: who has lost a chunk answers a GET for it
//	                      with NONE, or begins a new session. A peer says
//	                      this first, even if it holds nothing: who has said
//	                      nothing is sent nothing that it did not ask for.
//	HAVE <chunk>          I hold this one now, too.
//	GET <chunk>           Send me this chunk. Answered by DATA, or by NONE if
//	                      it will not come. If you are still fetching it from
//	                      the origin as its owner, the answer waits.
//	ANY                   Send me a chunk of your choice; I become its owner.
//	                      Answered by DATA, or by "NONE -" when every chunk has
//	                      been handed out.
//	OFFER <chunk>         I hold this chunk and shall send it to you unasked.
//	DATA <chunk> <bytes>  The chunk, whole, as payload.
//	NONE <chunk>          Your GET will not be answered with data.
//	NONE -                Your ANY will not be answered with data.
//	CANCEL <chunk>        Do not send me this chunk (any more), whether I asked
//	                      with GET or you said OFFER. It gets no answer, and
//	                      DATA may have been on its way already.
//	PING                  Answered by PONG.
//	PONG
//	ERR <code> <text>     I give up for this reason, and close the connection.
//
// Version 2 has these as well, and says HAVE of many chunks at a time:
//
//	HAVE <chunks>         I hold these now, too.
//	ROOM <bytes> [<chunk>]  I hold what you lack and can send now: ask me with
//	                      GET, for up to so many bytes. The chunk is a hint: I
//	                      would give that one. A ROOM replaces the one before,
//	                      and is void after a second. Answered by GET or PASS.
//	PASS <ms>             Thank you, but I ask for nothing. Send me no ROOM for
//	                      so long, unless you say HAVE before.
//	BYE <ms>              I need nothing of you, nor you of me, or I make room
//	                      for others; do not dial me again before so long. I
//	                      close the connection. It is the last message, and no
//	                      failure of either side.
//
// Answers come in any order. A CANCEL ends one GET, or one OFFER, of its chunk,
// and with a GET the duty to answer it with NONE.
//
// # Welcome DATA
//
// Each GET that is sent makes one DATA of its chunk welcome, until that comes, or
// NONE, or CANCEL is sent. So does each OFFER that comes. Each ANY makes one
// DATA of any chunk welcome, until that comes, or "NONE -". As a CANCEL may
// cross what it is about, DATA stays welcome after it: for 30 seconds, and
// until the PONG of a PING that was sent later than the CANCEL, if it is among
// the last 256 of the session. Other DATA is answered with ERR unasked.
//
// # Limits
//
// Of HAVE and BITS, lines and payloads, a session takes 16 bytes for each chunk
// of the manifest, one bitmap and 64 KiB: enough to say HAVE of each chunk by
// itself. A HAVE that names more chunks than it has bytes counts as so many
// bytes. Of ROOM it takes 500 a second on average, and 1000 at once. What is
// more is answered with ERR flood.
//
// The codes of ERR are lower-case words joined by "-", at most 32 bytes; see
// the Code constants. The text is for people, and may be missing.
//
// Limits that need a manifest or a clock are kept by the session, not here:
// those above, that a chunk exists, that payloads have the right length, how
// many requests may be open, how long a line may take. Whoever breaks a rule is
// told so with ERR and loses the connection.
//
// # By hand
//
//	$ nc -C 127.0.0.1 2685
//	FANOUT 1 2.2f0c4e6b9d8a7c5e1f3b2a4d6c8e0f12
//	HELLO 6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85 me 1 -
//	HELLO 6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85 peer-7 -
//	BITS 1
//	(one raw byte)
//	GET 0
//	DATA 0 32768
//	(32768 raw bytes)
//
// The nonce 1 makes it a session of version 1.
package wire

// Package wire is the chunk protocol, version 1: what two programs say to each
// other over one TCP connection to exchange the chunks of one manifest. It
// parses and prints; it opens no connection, sets no deadline, checks no token
// and knows no manifest but its ID. This page is the specification.
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
//	<bytes>  length of a payload; written the same way
//	<id>     manifest ID: 64 lower-case hex digits
//	<peer>   peer ID: 1 to 64 of A-Z a-z 0-9 . _ -
//	<nonce>  used once: 1 to 64 of the same characters; fanout sends 32 random
//	         hex digits
//	<mac>    64 lower-case hex digits, or - for none: kept free for a message
//	         authentication code. This version sends - and takes either
//
// # Greeting
//
// A is the side that accepted the connection, D the one that dialled.
//
//	A: FANOUT 1 <nonce>
//	D: HELLO <id> <peer> <nonce> <mac>
//	A: HELLO <id> <peer> <mac>
//
// The 1 is the version of the protocol. D names the manifest it is about, and
// A answers with the same ID, or with ERR.
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
//	                      with NONE, or begins a new session.
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
// Answers come in any order. A CANCEL of a GET also ends the duty to answer
// it with NONE.
//
// The codes of ERR are lower-case words joined by "-", at most 32 bytes; see
// the Code constants. The text is for people, and may be missing.
//
// Limits that need a manifest or a clock are kept by the session, not here:
// that a chunk exists, that payloads have the right length, how many requests
// may be open, how long a line may take. Whoever breaks a rule is told so with
// ERR and loses the connection.
//
// # By hand
//
//	$ nc -C 127.0.0.1 2685
//	FANOUT 1 2f0c4e6b9d8a7c5e1f3b2a4d6c8e0f12
//	HELLO 6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85 me 1 -
//	HELLO 6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85 peer-7 -
//	BITS 1
//	(one raw byte)
//	GET 0
//	DATA 0 32768
//	(32768 raw bytes)
package wire

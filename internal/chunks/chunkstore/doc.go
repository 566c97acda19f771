// Package chunkstore keeps the verified chunks of one manifest on disk.
//
// A download of PATH is two files until it is finished. They lie in a directory
// of fanout's own below the data directory, and are named after the manifest, so
// that no name that a user may choose can mean one of them:
//
//	.fanout/ID.part        the chunks in their places; sparse, of the final size
//	.fanout/ID.part.state  which chunks are thought to be in it:
//	                       "FANOUTS1", the manifest ID (32 bytes), the bitmap
//
// Where PATH is in another file system than that directory, the part lies beside
// PATH, as .fanout-ID.part, for only within one can it be renamed.
//
// Finish and Place rename the part onto PATH, so PATH only ever names a whole
// file. What else stands at PATH is replaced only if the caller allows it. A
// finished file that was damaged is never written to: Fill copies what is right
// in it into a part, which then replaces it.
//
// The store has one rule: a chunk is held once its bytes have been compared
// with the digest in the manifest, and only held chunks are read, sent or told
// of. After a restart the state file merely claims chunks; Rehash reads them
// again and keeps those that are right. That is why neither the part nor the
// state is synced on the way: what a power cut loses is found out and fetched
// again.
//
// Files of a download are reached through an os.Root, so that no symlink leads
// out of the data directory. A part is locked with flock while it is open: two
// downloads, or two daemons, cannot write the same one.
//
// The package knows no peers and no protocol but the order of bits in a
// bitmap. It sends to a TCP connection because sendfile needs both ends.
package chunkstore

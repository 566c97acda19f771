// Package chunkstore keeps the verified chunks of one manifest on disk.
//
// A download of PATH is two files until it is finished:
//
//	PATH.part        the chunks in their places; sparse, of the final size
//	PATH.part.state  which chunks are thought to be in it:
//	                 "FANOUTS1", the manifest ID (32 bytes), the bitmap
//
// Finish renames the part onto PATH, so PATH only ever names a whole file.
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

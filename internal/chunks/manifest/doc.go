// Package manifest describes a published file: its name, its size, how it is
// cut into chunks, and the BLAKE3-256 digest of every chunk. The manifest is
// what makes data from an untrusted peer usable: a chunk that matches its
// digest is the chunk the publisher cut, whoever sent it.
//
// The identity of a file is the [ID] of its manifest, the BLAKE3-256 of the
// canonical encoding. Two publishers that cut the same bytes in the same way
// under the same name have the same ID; the name alone identifies nothing.
//
// # Canonical encoding
//
// All numbers are big-endian.
//
//	bytes  field
//	8      "FANOUTM1": magic and version of the encoding
//	8      size of the file in bytes
//	8      chunk size in bytes, from 4 KiB to 64 MiB
//	2      length of the name in bytes
//	n      name, UTF-8
//	4      number of chunks, ceil(size / chunk size)
//	32 * c digests, in the order of the chunks
//
// Every field has one spelling, so a manifest has exactly one encoding.
//
// Earlier versions refuse a manifest whose chunk size is no power of two. The
// encoding of all others is theirs, and so are the IDs.
//
// The package knows nothing of disks, networks, peers or trackers, and imports
// no other package of this module.
package manifest

// Package rendezvous divides chunks among members without a word between them: each chunk has all members
// in an order of its own, so that whoever knows the same members knows whose it is, and of one that comes or
// goes only its share changes hands (D. G. Thaler and C. V. Ravishankar, Using Name-Based Mappings to
// Increase Hit Rates, IEEE/ACM Transactions on Networking 6, 1998).
//
// It is pure, and must not know what a member is.
package rendezvous

import "hash/fnv"

// Seed is what a member's weights are made of. It is the same in all processes.
func Seed(member string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(member)) // never fails
	return h.Sum64()
}

// Weight is a number by member and chunk that looks random: of the members, the one with the highest is the
// first for the chunk. It is a step of SplitMix64 (G. L. Steele, D. Lea and C. H. Flood, Fast Splittable
// Pseudorandom Number Generators, OOPSLA 2014).
func Weight(seed uint64, chunk int) uint64 {
	x := seed + (uint64(chunk)+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

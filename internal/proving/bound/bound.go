// Package bound computes how fast a file can be distributed at best: the yardstick beside
// which every measurement is shown.
//
// With F bytes for N peers, the source's uplink u_s, and the peers' uplinks u_i and downlinks
// d_i in bytes a second, no client/server system is faster than
//
//	max(N·F/u_s, F/d_min)
//
// and no system at all, the peers sending too, than
//
//	max(F/u_s, F/d_min, N·F/(u_s + Σu_i)):
//
// the source must send every byte once, the slowest receiver must receive every byte, and all
// uplinks together must carry N copies. Kumar and Ross show that the second can be reached by
// a fluid that is forwarded bit by bit. Whole chunks have to arrive before they are sent on;
// with M equal chunks and equal links the fastest possible is, by Mundinger, Weber and Weiss,
//
//	F/u · (1 + ⌊log2 N⌋/M).
//
// References: R. Kumar, K. W. Ross: Peer-Assisted File Distribution: The Minimum Distribution
// Time, IEEE HotWeb 2006. J. Mundinger, R. Weber, G. Weiss: Optimal scheduling of peer-to-peer
// file dissemination, Journal of Scheduling 11 (2008).
//
// The package is arithmetic: it must not know where the numbers come from.
package bound

import (
	"math"
	"math/bits"
	"time"
)

// Ethernet is the part of a link's rate that is left for the payload of a full TCP segment:
// 1448 of the 1514 bytes of a frame with an MTU of 1500 and timestamps, as the link shaper
// counts them.
const Ethernet = 1448.0 / 1514.0

// Link is what connects one machine, in bytes a second; 0 is unlimited.
type Link struct{ Up, Down float64 }

// ClientServer is the least time in which a source with that uplink alone can give size
// bytes to every peer.
func ClientServer(size int64, up float64, peers []Link) time.Duration {
	longest := over(float64(size)*float64(len(peers)), up)
	for _, p := range peers {
		longest = max(longest, over(float64(size), p.Down))
	}
	return duration(longest)
}

// PeerToPeer is the least time in which size bytes can be given to every peer, whatever the
// peers do.
func PeerToPeer(size int64, up float64, peers []Link) time.Duration {
	f := float64(size)
	longest := over(f, up)
	all, limited := up, up > 0
	for _, p := range peers {
		longest = max(longest, over(f, p.Down))
		all += p.Up
		limited = limited && p.Up > 0
	}
	if limited {
		longest = max(longest, over(f*float64(len(peers)), all))
	}
	return duration(longest)
}

// Chunked is the least time in which size bytes in so many equal chunks can be given to that
// many peers, where every machine has the same uplink and no other limit.
func Chunked(size int64, chunks int, up float64, peers int) time.Duration {
	if chunks < 1 || peers < 1 {
		return 0
	}
	rounds := float64(bits.Len(uint(peers)) - 1)
	return duration(over(float64(size), up) * (1 + rounds/float64(chunks)))
}

// Equal is so many peers with the same link.
func Equal(peers int, l Link) []Link {
	all := make([]Link, peers)
	for i := range all {
		all[i] = l
	}
	return all
}

// over is the seconds that bytes take; none at an unlimited rate.
func over(bytes, rate float64) float64 {
	if rate <= 0 {
		return 0
	}
	return bytes / rate
}

// duration is the longest that there is, 292 years, for what takes longer: a terabyte for each
// of fifty peers at a kilobyte a second.
func duration(seconds float64) time.Duration {
	if ns := seconds * float64(time.Second); ns < math.MaxInt64 {
		return time.Duration(ns)
	}
	return math.MaxInt64
}

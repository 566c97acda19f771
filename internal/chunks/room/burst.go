package room

const (
	// burstTime is what a burst takes of the uplink, at least, in seconds.
	burstTime = 0.001
	// burstLeast is how many bytes it has at least among even sends, as each takes processor time. Linux makes none
	// larger than burstMost.
	burstLeast = 16 << 10
	burstMost  = 64 << 10
)

// Burst is how many bytes of a send go to the network at a time, of an uplink with a capacity in bytes a second, which is
// 0 while it is not known; 0 leaves it to the kernel. Some bursts of every send wait in the queue of the
// uplink. So if they are large a chunk takes long on its way, from hop to hop: where Linux makes them of up to 64 KiB, 10 MiB to 8
// peers over links of 100 Mbit/s took 1.18 × the bound, and with bursts of 16 KiB 1.11. Where sends would get uneven
// parts of that queue, bursts are shorter.
func Burst(capacity float64, uneven bool) int {
	burst := burstLeast
	for float64(burst) < capacity*burstTime {
		burst *= 2
	}
	if uneven {
		burst = max(burst/4, burstLeast/2)
	}
	if burst >= burstMost {
		return 0
	}
	return burst
}

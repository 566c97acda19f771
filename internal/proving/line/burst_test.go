//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is lost of a burst, the rest is what the kernel would have sent of it.
func TestPartsOfABurst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v6 := rapid.Bool().Draw(t, "IPv6")
		segment := rapid.IntRange(1, 1448).Draw(t, "segment")
		length := rapid.IntRange(1, min(60000, 45*segment)).Draw(t, "payload")
		payload := make([]byte, length)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		const seq, flags = 0xfffffff0, 0x80 | 0x10 | 0x08 | 0x01
		b := cut(packet(v6, seq, flags, 0xfffe, segment, payload))
		if want := (length + segment - 1) / segment; b.segments != want {
			t.Fatalf("%d segments, want %d", b.segments, want)
		}
		first := rapid.IntRange(0, b.segments-1).Draw(t, "first")
		last := rapid.IntRange(first+1, b.segments).Draw(t, "last")
		dst := make([]byte, maxFrame)
		got := dst[:b.part(dst, first, last)]

		wantFlags, size := byte(flags), segment
		if first > 0 {
			wantFlags &^= 0x80
		}
		if last < b.segments {
			wantFlags &^= 0x09
		}
		if last-first == 1 {
			size = 0
		}
		want := packet(v6, seq+uint32(first*segment), wantFlags, 0xfffe+uint16(first), size, payload[first*segment:min(last*segment, length)])
		if !bytes.Equal(got, want) {
			t.Fatalf("segments %d to %d of %d:\n% x\nwant\n% x", first, last, b.segments, got[:min(100, len(got))], want[:min(100, len(want))])
		}
	})
}

// What is not a burst, or pretends to be one, is one frame; and nothing makes it panic.
func TestCutLeavesOtherFramesAlone(t *testing.T) {
	good := packet(false, 1, 0x10, 1, 100, make([]byte, 1000))
	change := func(at int, v byte) []byte {
		p := bytes.Clone(good)
		p[at] = v
		return p
	}
	for name, data := range map[string][]byte{
		"nothing": {}, "short": good[:30], "ARP": change(vnetHeader+13, 6), "no burst": change(1, 0), "UDP": change(1, 3),
		"no size": packet(false, 1, 0x10, 1, 0, make([]byte, 1000)), "beyond": change(7, 0xff), "no payload": good[:vnetHeader+14+20+32],
	} {
		if b := cut(data); b.segments != 1 {
			t.Errorf("%s: %d segments", name, b.segments)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		v6 := rapid.Bool().Draw(t, "IPv6")
		data := packet(v6, 1, 0x10, 1, rapid.IntRange(1, 100).Draw(t, "segment"), make([]byte, rapid.IntRange(0, 300).Draw(t, "payload")))
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			data[rapid.IntRange(0, 70).Draw(t, "at")] = rapid.Byte().Draw(t, "to")
		}
		data = data[:rapid.IntRange(0, len(data)).Draw(t, "length")]
		if b := cut(data); b.segments > 1 {
			b.part(make([]byte, maxFrame), b.segments-1, b.segments)
		}
	})
}

func TestABurstLosesSegmentsAndNotMore(t *testing.T) {
	c := newCarrier(0, 0.3, 1)
	from := &end{rng: rand.New(rand.NewPCG(1, 2))}
	from.far = from
	burst := packet(false, 0, 0x18, 1, 1000, make([]byte, 40_000))
	const bursts = 100
	arrived := 0
	for range bursts {
		n := copy(c.space(), burst)
		c.enter(from, n, 0)
		for {
			_, data, ok := c.queue.front()
			if !ok {
				break
			}
			arrived += cut(data).segments
			c.queue.pop()
		}
	}
	if c.tally.lost == 0 || arrived+int(c.tally.lost) != 40*bursts || c.tally.segments != 40*bursts || c.tally.dropped != 0 {
		t.Errorf("%d segments arrived, %d were lost of %d", arrived, c.tally.lost, 40*bursts)
	}
}

// packet is a frame as the kernel hands it over: its TCP checksum is that of the pseudo header.
func packet(v6 bool, seq uint32, flags byte, id uint16, segment int, payload []byte) []byte {
	const tcpLen = 32
	kind, ipLen, ether := byte(gsoTCP4), 20, uint16(etherIPv4)
	if v6 {
		kind, ipLen, ether = gsoTCP6, 40, etherIPv6
	}
	if segment == 0 {
		kind = 0
	}
	p := []byte{1, kind}
	for _, v := range []int{ethernet + ipLen + tcpLen, segment, ethernet + ipLen, 16} {
		p = binary.NativeEndian.AppendUint16(p, uint16(v))
	}
	p = append(p, "aaaaaabbbbbb"...)
	p = binary.BigEndian.AppendUint16(p, ether)
	length := tcpLen + len(payload)
	ip := make([]byte, ipLen)
	addresses := ip[12:]
	if v6 {
		ip[0], ip[6] = 0x60, 6
		binary.BigEndian.PutUint16(ip[4:], uint16(length))
		addresses = ip[8:]
	} else {
		ip[0], ip[8], ip[9] = 0x45, 64, 6
		binary.BigEndian.PutUint16(ip[2:], uint16(ipLen+length))
		binary.BigEndian.PutUint16(ip[4:], id)
	}
	for i := range addresses {
		addresses[i] = byte(200 + i)
	}
	if !v6 {
		binary.BigEndian.PutUint16(ip[10:], ^sum(ip))
	}
	tcp := make([]byte, tcpLen)
	binary.BigEndian.PutUint32(tcp[4:], seq)
	tcp[12], tcp[13] = tcpLen/4<<4, flags
	pseudo := binary.BigEndian.AppendUint16([]byte{0, 6}, uint16(length))
	binary.BigEndian.PutUint16(tcp[16:], sum(append(bytes.Clone(addresses), pseudo...)))
	return append(append(append(p, ip...), tcp...), payload...)
}

//go:build linux

package main

import "encoding/binary"

// burst is a frame that is still to be cut into TCP segments, all of the same size but the
// last. Its header is virtio_net_hdr, in the machine's byte order; see the virtio standard,
// 5.1.6.2, and include/uapi/linux/virtio_net.h.
type burst struct {
	data     []byte // with its vnetHeader
	tcp      int    // where the TCP header begins
	payload  int    // where the payload begins
	segment  int    // bytes of payload in a segment
	segments int
}

const (
	gsoTCP4, gsoTCP6, gsoECN = 1, 4, 0x80
	etherIPv4, etherIPv6     = 0x0800, 0x86dd
	ethernet                 = 14
)

// cut says what a frame consists of; a frame that is no burst is one segment.
func cut(data []byte) burst {
	one := burst{data: data, segments: 1}
	if len(data) < vnetHeader+ethernet+20 || data[1] == 0 {
		return one
	}
	b := burst{
		data:    data,
		tcp:     vnetHeader + int(binary.NativeEndian.Uint16(data[6:])),
		segment: int(binary.NativeEndian.Uint16(data[4:])),
	}
	kind, ether := data[1]&^gsoECN, binary.BigEndian.Uint16(data[vnetHeader+12:])
	ip := 20
	if kind == gsoTCP6 {
		ip = 40
	}
	if !(kind == gsoTCP4 && ether == etherIPv4 || kind == gsoTCP6 && ether == etherIPv6) ||
		b.segment == 0 || b.tcp < vnetHeader+ethernet+ip || b.tcp+20 > len(data) {
		return one
	}
	b.payload = b.tcp + int(data[b.tcp+12]>>4)*4
	if b.payload < b.tcp+20 || b.payload >= len(data) {
		return one
	}
	b.segments = (len(data) - b.payload + b.segment - 1) / b.segment
	return b
}

// part writes the segments from first to before last into dst, as a burst or as one frame,
// and returns its length.
func (b *burst) part(dst []byte, first, last int) int {
	const fin, psh, cwr = 0x01, 0x08, 0x80
	from := b.payload + first*b.segment
	to := min(b.payload+last*b.segment, len(b.data))
	n := copy(dst, b.data[:b.payload])
	n += copy(dst[n:], b.data[from:to])

	binary.NativeEndian.PutUint16(dst[2:], uint16(b.payload-vnetHeader))
	if last-first == 1 {
		dst[1] = 0
		binary.NativeEndian.PutUint16(dst[4:], 0)
	}
	ip, tcp := dst[vnetHeader+ethernet:b.tcp], dst[b.tcp:n]
	if binary.BigEndian.Uint16(dst[vnetHeader+12:]) == etherIPv4 {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(tcp)))
		binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(first))
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], ^sum(ip))
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-40+len(tcp)))
	}
	binary.BigEndian.PutUint32(tcp[4:], binary.BigEndian.Uint32(tcp[4:])+uint32(first*b.segment))
	if first > 0 {
		tcp[13] &^= cwr
	}
	if last < b.segments {
		tcp[13] &^= fin | psh
	}
	// The checksum that is there is that of addresses, protocol and length.
	was, is := uint16(len(b.data)-b.tcp), uint16(len(tcp))
	binary.BigEndian.PutUint16(tcp[16:], fold(uint32(binary.BigEndian.Uint16(tcp[16:]))+uint32(^was)+uint32(is)))
	return n
}

// sum is the Internet checksum, not inverted, of an even number of bytes.
func sum(data []byte) uint16 {
	var s uint32
	for ; len(data) >= 2; data = data[2:] {
		s += uint32(binary.BigEndian.Uint16(data))
	}
	return fold(s)
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

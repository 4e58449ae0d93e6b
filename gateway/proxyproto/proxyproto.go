// SPDX-License-Identifier: EUPL-1.2

// Package proxyproto reads the header by which a proxy in front of us says whose connection it passes on: PROXY
// protocol version 1 and 2, as HAProxy's specification of 2020-03-05 defines them.
//
// The call you want is [Parse]. It deliberately knows no socket, trusts nobody (who may send a header is the caller's
// to know) and reads nothing that a header says beside the source address: of the TLVs it checks only the checksum.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"

	"github.com/pvgate/pvgate/gateway/message"
)

// Max is the longest header that is read, bytes: the addresses and 4 KiB of TLVs. Version 1 ends at 107.
const Max = lengthV2 + 216 + 4<<10

const (
	maxV1    = 107 // with CR LF
	lengthV2 = 16  // signature, command, family, length
)

// ErrInvalid says that the bytes begin no header, or a wrong one. The exact cause is nobody's business but the tests':
// who sends it is either no proxy or broken.
var ErrInvalid = errors.New("proxyproto: no valid header")

// Header is what a header says.
type Header struct {
	// Source is who opened the connection to the proxy, IPv4 unmapped; the zero value if the proxy speaks for itself
	// (LOCAL, a health check) or cannot tell (UNKNOWN, a Unix socket, a protocol that is no TCP).
	Source netip.AddrPort
}

// signature begins version 2; no version of HTTP or TLS begins like it.
var signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

var prefixV1 = []byte("PROXY ")

// Parse reads the header that b begins with and returns its length. n is 0 while more bytes are needed, never with Max
// of them. It does not allocate.
func Parse(b []byte) (h Header, n int, err error) {
	switch {
	case begins(b, prefixV1):
		return parseV1(b)
	case begins(b, signature):
		return parseV2(b)
	}
	return Header{}, 0, ErrInvalid
}

// begins reports whether b may begin with prefix, as far as it goes.
func begins(b, prefix []byte) bool {
	k := min(len(b), len(prefix))
	return string(b[:k]) == string(prefix[:k])
}

// parseV1 reads "PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n": exactly one space between the words, an address in its
// family, a port without leading zeros.
func parseV1(b []byte) (Header, int, error) {
	line := b[:min(len(b), maxV1)]
	end := bytes.IndexByte(line, '\r')
	text := line
	if end >= 0 {
		text = line[:end]
	}
	switch {
	case end < 0 && len(line) == maxV1, end+1 == maxV1:
		return Header{}, 0, ErrInvalid
	case bytes.IndexByte(text, '\n') >= 0:
		return Header{}, 0, ErrInvalid
	case end < 0, end+1 == len(line):
		return Header{}, 0, nil
	case line[end+1] != '\n':
		return Header{}, 0, ErrInvalid
	}
	if end < len(prefixV1) {
		return Header{}, 0, ErrInvalid
	}
	n, rest := end+2, line[len(prefixV1):end]
	family, rest := word(rest)
	is4 := string(family) == "TCP4"
	switch {
	case string(family) == "UNKNOWN":
		return Header{}, n, nil // whatever follows is to be ignored (section 2.1)
	case !is4 && string(family) != "TCP6":
		return Header{}, 0, ErrInvalid
	}
	source, rest := word(rest)
	destination, rest := word(rest)
	sourcePort, rest := word(rest)
	addr, ok := address(source, is4)
	_, okDestination := address(destination, is4)
	from, okFrom := port(sourcePort)
	_, okTo := port(rest)
	if !ok || !okDestination || !okFrom || !okTo {
		return Header{}, 0, ErrInvalid
	}
	return Header{netip.AddrPortFrom(addr.Unmap(), from)}, n, nil
}

// word cuts at the first space.
func word(b []byte) (w, rest []byte) {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// address reads an address of one family.
func address(text []byte, is4 bool) (netip.Addr, bool) {
	a, ok := message.ParseAddr(text)
	return a, ok && a.Is4() == is4
}

func port(text []byte) (uint16, bool) {
	if len(text) == 0 || len(text) > 5 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return uint16(n), n <= 65535
}

// Version 2, section 2.2.
const (
	version2     = 0x20
	commandLocal = 0x0
	commandProxy = 0x1

	familyUnspec = 0x0
	familyInet   = 0x1
	familyInet6  = 0x2
	familyUnix   = 0x3

	transportUnspec = 0x0
	transportStream = 0x1
	transportDgram  = 0x2

	tlvCRC32C = 0x03
)

// lengths of the addresses by family.
var lengths = [...]int{familyUnspec: 0, familyInet: 12, familyInet6: 36, familyUnix: 216}

func parseV2(b []byte) (Header, int, error) {
	if len(b) < lengthV2 {
		if len(b) > 12 && b[12]&0xf0 != version2 {
			return Header{}, 0, ErrInvalid
		}
		return Header{}, 0, nil
	}
	command, family, transport := b[12]&0x0f, b[13]>>4, b[13]&0x0f
	n := lengthV2 + int(binary.BigEndian.Uint16(b[14:]))
	if b[12]&0xf0 != version2 || command > commandProxy || family > familyUnix || transport > transportDgram || n > Max {
		return Header{}, 0, ErrInvalid
	}
	if len(b) < n {
		return Header{}, 0, nil
	}
	body := b[lengthV2:n]
	size := lengths[family]
	switch {
	case command == commandLocal && len(body) < size:
		size = len(body) // the addresses of LOCAL are to be discarded whatever they are (section 2.2)
	case len(body) < size, command == commandProxy && (family == familyUnspec) != (transport == transportUnspec):
		return Header{}, 0, ErrInvalid
	}
	if family != familyUnspec && !tlvs(b[:n], lengthV2+size) {
		return Header{}, 0, ErrInvalid
	}
	var h Header
	if command == commandProxy && transport == transportStream {
		switch family {
		case familyInet:
			h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(body)), binary.BigEndian.Uint16(body[8:]))
		case familyInet6:
			h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(body)).Unmap(), binary.BigEndian.Uint16(body[32:]))
		}
	}
	return h, n, nil
}

// tlvs walks the TLVs of a header from an offset on: whole ones only, a checksum at most once, and right. The
// header stays as it was when it returns.
func tlvs(header []byte, at int) bool {
	sum := -1
	for at < len(header) {
		if len(header)-at < 3 {
			return false
		}
		kind, size := header[at], int(binary.BigEndian.Uint16(header[at+1:]))
		at += 3
		if size > len(header)-at {
			return false
		}
		if kind == tlvCRC32C {
			if size != 4 || sum >= 0 {
				return false
			}
			sum = at
		}
		at += size
	}
	return sum < 0 || crc(header, sum) == binary.BigEndian.Uint32(header[sum:])
}

var zeros = []byte{0, 0, 0, 0}

// crc is the checksum over a header whose own four bytes count as zero (section 2.2.3).
func crc(header []byte, at int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // made once, by the standard library
	c := crc32.Update(0, table, header[:at])
	c = crc32.Update(c, table, zeros)
	return crc32.Update(c, table, header[at+4:])
}

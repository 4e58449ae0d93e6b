// SPDX-License-Identifier: EUPL-1.2

package message

import "net/netip"

// maxAddress is the longest text of an IP address.
const maxAddress = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")

// ParseAddr reads an IP address without zone, as netip.ParseAddr does, but from bytes and without allocating.
func ParseAddr(b []byte) (a netip.Addr, ok bool) {
	if len(b) > maxAddress {
		return a, false
	}
	for _, c := range b {
		switch c {
		case '.':
			four, ok := parseIPv4(b)
			return netip.AddrFrom4(four), ok
		case ':':
			return parseIPv6(b)
		}
	}
	return a, false
}

// parseIPv4 reads four decimal numbers without leading zeros: some read those as octal.
func parseIPv4(b []byte) (four [4]byte, ok bool) {
	if validIPv4(b) != len(b) || len(b) == 0 {
		return four, false
	}
	part, value, digits := 0, 0, 0
	for _, c := range b {
		if c == '.' {
			four[part], value, digits = byte(value), 0, 0
			part++
			continue
		}
		if digits > 0 && value == 0 {
			return four, false
		}
		value, digits = value*10+int(c-'0'), digits+1
	}
	four[part] = byte(value)
	return four, true
}

// parseIPv6 reads RFC 4291, section 2.2.
func parseIPv6(b []byte) (a netip.Addr, ok bool) {
	if !validIPv6(b) {
		return a, false
	}
	var all [16]byte
	at, gap := 0, -1
	for len(b) > 0 {
		if b[0] == ':' {
			if len(b) > 1 && b[1] == ':' {
				gap, b = at, b[2:]
			} else {
				b = b[1:]
			}
			continue
		}
		n := Hex.Prefix(b)
		if n < len(b) && b[n] == '.' {
			four, ok := parseIPv4(b)
			if !ok {
				return a, false
			}
			at += copy(all[at:], four[:])
			break
		}
		value := 0
		for _, c := range b[:n] {
			value = value<<4 | int(unhex[c])
		}
		all[at], all[at+1] = byte(value>>8), byte(value)
		at, b = at+2, b[n:]
	}
	if gap >= 0 {
		tail := all[gap:at]
		end := len(all) - len(tail)
		copy(all[end:], tail) // an overlapping copy moves right
		clear(all[gap:end])
	}
	return netip.AddrFrom16(all), true
}

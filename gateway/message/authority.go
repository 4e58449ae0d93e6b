// SPDX-License-Identifier: EUPL-1.2

package message

import "bytes"

// ValidAuthority reports whether b is host [":" port] as the gateway accepts it
// in Host and in absolute-form targets: a registered name, an IPv4 address or a
// bracketed IPv6 address (with an RFC 6874 zone if need be), no userinfo, no comma
// (two hosts in one field to some readers), a port of at most 65535 or empty.
func ValidAuthority(b []byte) bool {
	host, port, ok := SplitAuthority(b)
	if !ok || len(host) == 0 || !validPort(port) {
		return false
	}
	if host[0] == '[' {
		host, zone, zoned := bytes.Cut(host[1:len(host)-1], []byte("%25"))
		return validIPv6(host) && (!zoned || len(zone) > 0 && Unreserved.All(zone))
	}
	return validName(host)
}

// SplitAuthority cuts host [":" port]; the brackets of an IPv6 address stay. It
// checks no more than it needs for cutting.
func SplitAuthority(b []byte) (host, port []byte, ok bool) {
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return nil, nil, false
		}
		host, b = b[:end+1], b[end+1:]
		if len(b) == 0 {
			return host, nil, true
		}
		if b[0] != ':' {
			return nil, nil, false
		}
		return host, b[1:], true
	}
	if i := bytes.IndexByte(b, ':'); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, true
}

// SameAuthority reports whether two valid authorities name the same host and
// port, where an absent or empty port means defaultPort. Host names are compared
// as ASCII without case and never otherwise folded.
func SameAuthority(a, b []byte, defaultPort int) bool {
	hostA, portA, okA := SplitAuthority(a)
	hostB, portB, okB := SplitAuthority(b)
	if !okA || !okB || !EqualFold(hostA, hostB) {
		return false
	}
	return portNumber(portA, defaultPort) == portNumber(portB, defaultPort)
}

func portNumber(port []byte, defaultPort int) int {
	if len(port) == 0 {
		return defaultPort
	}
	n := 0
	for _, c := range port {
		n = n*10 + int(c-'0')
	}
	return n
}

func validPort(port []byte) bool {
	if len(port) > 5 {
		return false
	}
	for _, c := range port {
		if c-'0' > 9 {
			return false
		}
	}
	return portNumber(port, 0) <= 65535
}

func validName(host []byte) bool {
	if !HostChar.All(host) {
		return false
	}
	for {
		i := bytes.IndexByte(host, '%')
		if i < 0 {
			return true
		}
		if i+2 >= len(host) || !Hex.Has(host[i+1]) || !Hex.Has(host[i+2]) {
			return false
		}
		host = host[i+3:]
	}
}

// validIPv6 checks the text between the brackets (RFC 4291, section 2.2).
func validIPv6(b []byte) bool {
	groups, gap := 0, false
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = true, b[2:]
	}
	for len(b) > 0 {
		n := Hex.Prefix(b)
		if n < len(b) && b[n] == '.' {
			groups += 2
			b = b[validIPv4(b):]
			return len(b) == 0 && full(groups, gap)
		}
		if n == 0 || n > 4 {
			return false
		}
		groups++
		b = b[n:]
		if len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return false
		}
		b = b[1:]
		if b[0] == ':' {
			if gap {
				return false
			}
			gap, b = true, b[1:]
		}
	}
	return full(groups, gap)
}

// validIPv4 returns len(b) if b is a dotted quad, else 0.
func validIPv4(b []byte) int {
	rest := b
	for part := range 4 {
		n, v := 0, 0
		for n < len(rest) && n < 4 && rest[n]-'0' <= 9 {
			v = v*10 + int(rest[n]-'0')
			n++
		}
		if n == 0 || n > 3 || v > 255 {
			return 0
		}
		rest = rest[n:]
		if part < 3 {
			if len(rest) == 0 || rest[0] != '.' {
				return 0
			}
			rest = rest[1:]
		}
	}
	if len(rest) > 0 {
		return 0
	}
	return len(b)
}

// full reports whether so many groups make an address; "::" stands for at least
// one more.
func full(groups int, gap bool) bool {
	if gap {
		return groups < 8
	}
	return groups == 8
}

// SPDX-License-Identifier: EUPL-1.2

package strict

import (
	"net/netip"
	"strings"
)

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// isTchar is tchar of RFC 9110 5.6.2.
func isTchar(c byte) bool {
	return isDigit(c) || isAlpha(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func tokenLength(s string) int {
	n := 0
	for n < len(s) && isTchar(s[n]) {
		n++
	}
	return n
}

func isToken(s string) bool { return s != "" && tokenLength(s) == len(s) }

// quotedLength is the length of the quoted-string at the start of s (RFC 9110 5.6.4), 0 if there is none.
func quotedLength(s string) int {
	if s == "" || s[0] != '"' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			i++
			if i == len(s) || s[i] < 0x20 && s[i] != '\t' || s[i] == 0x7f {
				return 0
			}
		case c < 0x20 && c != '\t', c == 0x7f:
			return 0
		}
	}
	return 0
}

// parseDecimal reads 1*DIGIT below 2^63.
func parseDecimal(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if !isDigit(s[i]) || n > (1<<63-1-9)/10 {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// parseHex reads 1*HEXDIG below 2^59.
func parseHex(s []byte) (int64, bool) {
	if len(s) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range s {
		if n >= 1<<55 {
			return 0, false
		}
		switch {
		case isDigit(c):
			n = n<<4 | int64(c-'0')
		default:
			n = n<<4 | int64(c|0x20-'a'+10)
		}
	}
	return n, true
}

// splitPort cuts host [ ":" port ]; a port is digits up to 65535, and may be empty (RFC 3986 3.2.3).
func splitPort(s string) (host, port string, ok bool) {
	host = s
	end := strings.LastIndexByte(s, ':')
	if bracket := strings.LastIndexByte(s, ']'); end >= 0 && end > bracket {
		host, port = s[:end], s[end+1:]
	}
	if port == "" {
		return host, port, true
	}
	n, ok := parseDecimal(port)
	return host, port, ok && n <= 65535
}

// isHost is uri-host of RFC 9110 4.2 without an empty host, without userinfo and without the comma, on which list
// readers would split it.
func isHost(s string) bool {
	if s == "" {
		return false
	}
	if s[0] == '[' {
		if s[len(s)-1] != ']' {
			return false
		}
		inner := s[1 : len(s)-1]
		if inner != "" && inner[0]|0x20 == 'v' {
			return isFuture(inner)
		}
		address, zone, zoned := strings.Cut(inner, "%25") // RFC 6874
		if zoned && (zone == "" || !isHost(zone)) {
			return false
		}
		addr, err := netip.ParseAddr(address)
		return err == nil && addr.Is6() && addr.Zone() == ""
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isDigit(c), isAlpha(c), strings.IndexByte("-._~!$&'()*+;=", c) >= 0:
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			i += 2
		default:
			return false
		}
	}
	return true
}

// isFuture is IPvFuture: "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ).
func isFuture(s string) bool {
	version, rest, ok := strings.Cut(s[1:], ".")
	if !ok || version == "" || rest == "" {
		return false
	}
	for i := range len(version) {
		if !isHex(version[i]) {
			return false
		}
	}
	for i := range len(rest) {
		if c := rest[i]; !isDigit(c) && !isAlpha(c) && strings.IndexByte("-._~!$&'()*+,;=:", c) < 0 {
			return false
		}
	}
	return true
}

// equalFold compares ASCII only: Unicode folding would make the Kelvin sign a k.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if isAlpha(x) {
			x |= 0x20
		}
		if isAlpha(y) {
			y |= 0x20
		}
		if x != y {
			return false
		}
	}
	return true
}

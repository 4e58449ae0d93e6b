// SPDX-License-Identifier: EUPL-1.2

package message

import (
	"net/netip"
	"strings"
	"testing"
)

func TestValidAuthority(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"amt.example": true, "AMT.example:8443": true, "amt.example:": true, "a_b-c.example.": true, "10.0.0.1:80": true,
		"[2001:db8::1]": true, "[::1]:8443": true, "[::ffff:192.0.2.1]": true, "[fe80::1%25en0]": true, "a%2Db": true,
		"": false, ":80": false, "a b": false, "a,b": false, "a@b": false, "a/b": false, "a?b": false, "a#b": false,
		"a\\b": false, "a:b": false, "a:-1": false, "a:65536": false, "a:123456": false, "a:1:2": false, "::1": false,
		"[::1": false, "[::1]x": false, "[::1]:x": false, "[]": false, "[v1.a]": false, "[::1%en0]": false, "[::1%25]": false,
		"a%2": false, "a%zz": false, "\x80": false, "ä.example": false, "a\x00": false, "a\x7f": false,
	} {
		if got := ValidAuthority([]byte(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestIPv6LiteralsAgreeWithNetip(t *testing.T) {
	t.Parallel()
	// All texts of up to seven pieces over a small alphabet, so that gaps, tails
	// and group counts meet in every way.
	pieces := []string{"", ":", "::", "1", "ffff", "12345", "1.2.3.4", "g"}
	var try func(text string, left int)
	try = func(text string, left int) {
		a, err := netip.ParseAddr(text)
		want := err == nil && a.Is6()
		if got := validIPv6([]byte(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
		if left > 0 {
			for _, p := range pieces[1:] {
				try(text+p, left-1)
			}
		}
	}
	try("", 5)
	for groups := range 12 {
		for _, tail := range []string{"", "::", "::1", "1.2.3.4", ":1.2.3.4"} {
			try(strings.Repeat("a:", groups)+"b"+tail, 0)
			try(strings.Repeat("a:", groups)+tail, 0)
			try("::"+strings.Repeat("a:", groups)+"b"+tail, 0)
		}
	}
}

func TestSameAuthorityNormalisesTheDefaultPortOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		port int
		want bool
	}{
		{"amt.example", "AMT.EXAMPLE", 80, true},
		{"amt.example:80", "amt.example", 80, true},
		{"amt.example:", "amt.example", 80, true},
		{"amt.example:0080", "amt.example", 80, true},
		{"amt.example:443", "amt.example", 80, false},
		{"amt.example:443", "amt.example", 443, true},
		{"[::1]:80", "[::1]", 80, true},
		{"[::1]", "[::2]", 80, false},
		{"amt.example.", "amt.example", 80, false},
		{"a\u017f", "as", 80, false},
	} {
		if got := SameAuthority([]byte(c.a), []byte(c.b), c.port); got != c.want {
			t.Errorf("%q, %q, %d: got %v, want %v", c.a, c.b, c.port, got, c.want)
		}
	}
}

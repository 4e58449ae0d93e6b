// SPDX-License-Identifier: EUPL-1.2

package message

import (
	"strings"
	"testing"
)

// The table is built from strings; the expectations here are written from the
// RFCs' ranges, so that a slip in one is seen in the other.
func TestClassesFollowTheGrammars(t *testing.T) {
	t.Parallel()
	alnum := func(b byte) bool {
		return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
	}
	for i := range 256 {
		b := byte(i)
		visible := b > 0x20 && b < 0x7f
		for _, c := range []struct {
			name  string
			class Class
			want  bool
		}{
			{"token", Token, visible && !strings.ContainsRune("\"(),/:;<=>?@[\\]{}", rune(b))},
			{"value", Value, visible || b == ' ' || b == '\t' || b >= 0x80},
			{"quoted", Quoted, (visible || b == ' ' || b == '\t' || b >= 0x80) && b != '"' && b != '\\'},
			{"unreserved", Unreserved, alnum(b) || b == '-' || b == '.' || b == '_' || b == '~'},
			{"hex", Hex, b >= '0' && b <= '9' || b >= 'A' && b <= 'F' || b >= 'a' && b <= 'f'},
			{"path", PathChar, visible && !strings.ContainsRune("\"#<>?\\^`{|}", rune(b))},
			{"query", QueryChar, visible && !strings.ContainsRune("\"#<>\\", rune(b))},
			{"host", HostChar, visible && !strings.ContainsRune("\"#,/:<>?@[\\]^`{|}", rune(b))},
		} {
			if got := c.class.Has(b); got != c.want {
				t.Errorf("%s, octet %#02x: got %v, want %v", c.name, b, got, c.want)
			}
		}
	}
}

func TestValueStopsAtTheFirstOctetThatMayNotStand(t *testing.T) {
	t.Parallel()
	for length := range 40 {
		for at := range length {
			for i := range 256 {
				b := []byte(strings.Repeat("a", length))
				b[at] = byte(i)
				if length > at+9 {
					b[at+9] = 0 // a later one must not be taken for the first
				}
				want := length
				switch {
				case !Value.Has(byte(i)):
					want = at
				case length > at+9:
					want = at + 9
				}
				if got := Value.Prefix(b); got != want {
					t.Fatalf("length %d, octet %#02x at %d: got %d, want %d", length, i, at, got, want)
				}
			}
		}
	}
}

func TestParseLength(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "7": 7, "00012": 12, "9223372036854775807": 1<<63 - 1, "000000000000000000000000000000000000001": 1,
		"": -1, "+1": -1, "-1": -1, "1 ": -1, " 1": -1, "0x1": -1, "1_0": -1, "1,1": -1, "1e3": -1, "١": -1,
		"9223372036854775808": -1, "18446744073709551621": -1, "99999999999999999999": -1,
	} {
		n, ok := ParseLength([]byte(text))
		if !ok {
			n = -1
		}
		if n != want {
			t.Errorf("%q: got %d, want %d", text, n, want)
		}
	}
}

func TestNextMemberSkipsEmptyMembersAndWhitespace(t *testing.T) {
	t.Parallel()
	var got []string
	for m, rest := NextMember([]byte(" ,\ta , ,b,c\t,")); m != nil; m, rest = NextMember(rest) {
		got = append(got, string(m))
	}
	if want := "a|b|c"; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", strings.Join(got, "|"), want)
	}
}

func TestEqualFoldKnowsASCIIOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"chunked", "ChUnKeD", true},
		{"chunked", "chun\u212aed", false}, // Kelvin sign
		{"close", "clo\u017fe", false},     // long s
		{"[", "{", false},
		{"@", "`", false},
		{"a", "ab", false},
	} {
		if got := EqualFold(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: got %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestTrimOWSTrimsSpaceAndTabOnly(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		" \ta b\t ": "a b", "\x0ba\x0c": "\x0ba\x0c", "\xa0a\x85": "\xa0a\x85", " ": "", "": "",
	} {
		if got := string(TrimOWS([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	for m := GET; m < methodCount; m++ {
		if got := ParseMethod([]byte(m.String())); got != m {
			t.Errorf("%s: got %s", m, got)
		}
	}
	for _, other := range []string{"get", "GETX", "", "PRI", "QUERY"} {
		if got := ParseMethod([]byte(other)); got != Other {
			t.Errorf("%q: got %s, want OTHER", other, got)
		}
	}
	if POST.Idempotent() || PATCH.Idempotent() || Other.Idempotent() || !PUT.Idempotent() {
		t.Error("idempotent are GET, HEAD, PUT, DELETE, OPTIONS, TRACE and no others")
	}
}

func TestEveryFaultHasAName(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for f := FaultNone; f < faultCount; f++ {
		if f.String() == "" || seen[f.String()] {
			t.Errorf("fault %d: name %q is empty or taken", f, f)
		}
		seen[f.String()] = true
	}
}

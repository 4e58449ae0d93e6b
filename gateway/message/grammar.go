// SPDX-License-Identifier: EUPL-1.2

package message

// Class is a set of octets of the HTTP and URI grammars. One table holds all of
// them, a bit each, so a parser looks at each octet once.
type Class uint8

// The octet classes.
const (
	Token      Class = iota // tchar, RFC 9110, section 5.6.2
	Value                   // field value: VCHAR, SP, HTAB, obs-text, RFC 9110, section 5.5
	PathChar                // what a request target may hold before "?"
	QueryChar               // what it may hold after "?"
	HostChar                // reg-name as used in practice; see ValidAuthority
	Unreserved              // RFC 3986, section 2.3
	Hex                     // HEXDIG of either case
	Quoted                  // inside a quoted-string without DQUOTE and backslash, RFC 9110, section 5.6.4
	plainPath               // PathChar that means itself wherever it stands: neither "." nor "%"
	hyphenated              // Token that every backend reads as it stands: neither "_" nor "."

	allClasses // how many there are
)

// Has reports whether the octet belongs to the class.
func (c Class) Has(b byte) bool { return classes[b]>>c&1 != 0 }

// All reports whether every octet belongs to the class; an empty slice does.
func (c Class) All(b []byte) bool { return c.Prefix(b) == len(b) }

var classes = makeClasses()

func makeClasses() (t [256]uint16) {
	add := func(c Class, octets string) {
		for i := range len(octets) {
			t[octets[i]] |= 1 << c
		}
	}
	const (
		alpha     = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		digit     = "0123456789"
		subDelims = "!$&'()*+,;="
		pchar     = alpha + digit + "-._~%:@" + subDelims
	)
	add(Token, alpha+digit+"!#$%&'*+-.^_`|~")
	add(Unreserved, alpha+digit+"-._~")
	add(Hex, digit+"ABCDEFabcdef")
	// Brackets are not pchar, but they are sent in paths and queries by software
	// in use and have no meaning there.
	add(PathChar, pchar+"/[]")
	// The URL standard of the browsers leaves these five unencoded in queries.
	add(QueryChar, pchar+"/?[]"+"{|}^`")
	add(HostChar, alpha+digit+"-._~!$&'()*+;=%")
	for b := range 256 {
		switch {
		case b == '\t', b >= ' ' && b != 0x7f:
			t[b] |= 1 << Value
			if b != '"' && b != '\\' {
				t[b] |= 1 << Quoted
			}
		}
		if t[b]>>PathChar&1 != 0 && b != '.' && b != '%' {
			t[b] |= 1 << plainPath
		}
		if t[b]>>Token&1 != 0 && b != '_' && b != '.' {
			t[b] |= 1 << hyphenated
		}
	}
	return t
}

// TrimOWS removes leading and trailing optional whitespace (SP, HTAB), nothing
// else: NEL, NBSP, VT and FF are content, whatever other libraries think.
func TrimOWS(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// Lower returns the ASCII lower case of an octet; all others stay.
func Lower(b byte) byte {
	if b-'A' < 26 {
		return b | 0x20
	}
	return b
}

// EqualFold compares without ASCII case. Unlike bytes.EqualFold it does not know
// that a Kelvin sign is a "k".
func EqualFold[A, B ~string | ~[]byte](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if Lower(a[i]) != Lower(b[i]) {
			return false
		}
	}
	return true
}

// NextMember cuts the first non-empty member off a comma-separated list (RFC
// 9110, section 5.6.1). member is nil when there is none left. Quoted strings
// are not honoured: no list the gateway reads this way allows them.
func NextMember(list []byte) (member, rest []byte) {
	for len(list) > 0 {
		end := 0
		for end < len(list) && list[end] != ',' {
			end++
		}
		member = TrimOWS(list[:end])
		list = list[min(end+1, len(list)):]
		if len(member) > 0 {
			return member, list
		}
	}
	return nil, nil
}

// ParseLength parses 1*DIGIT up to 2^63-1: Content-Length without sign, list or
// whitespace. Leading zeros are allowed by the grammar; whoever sends the number
// on writes it anew, so that nobody reads it as octal.
func ParseLength(b []byte) (n int64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		d := int64(c - '0')
		if c-'0' > 9 || n > (1<<63-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// SPDX-License-Identifier: EUPL-1.2

package message

// NormalisePath appends the one form of path in which it is routed and sent to
// dst and returns the extended slice. Percent-encoded unreserved characters are
// decoded, all other percent-encodings get upper-case digits; "//" and ";" stay.
// Decoding happens once: "%2561" becomes "%2561", not "a".
//
// ok is false, and out is dst, for whatever some backend would read as another
// path: a segment that is "." or ".." in any spelling, also with parameters
// behind it ("..;x"), a backslash raw or encoded, %00, an incomplete
// percent-encoding, and octets a path cannot hold. encodedSlash reports a %2F,
// which stays encoded; whoever forwards it knows that the backend wants it.
// A dot segment beside an encoded slash is refused too ("..%2Fadmin").
//
// It does not allocate if dst has room for len(path) bytes.
func NormalisePath(dst, path []byte) (out []byte, encodedSlash, ok bool) {
	if len(path) == 0 || path[0] != '/' {
		return dst, false, false
	}
	// Nearly all paths need no change: copy the run up to the first octet that
	// wants a look, then go on octet by octet.
	n := plainPath.Prefix(path)
	out = append(dst, path[:n]...)
	segment := lastSegment(out, len(dst))
	for i := n; i < len(path); i++ {
		c := path[i]
		switch pathKinds[c] {
		case plain, dot:
			out = append(out, c)
		case slash:
			if dotSegment(out[segment:]) {
				return dst, false, false
			}
			out = append(out, c)
			segment = len(out)
		case percent:
			if i+2 >= len(path) {
				return dst, false, false
			}
			hi, lo := unhex[path[i+1]], unhex[path[i+2]]
			if hi > 15 || lo > 15 {
				return dst, false, false
			}
			i += 2
			d := hi<<4 | lo
			switch {
			case d == 0, d == '\\':
				return dst, false, false
			case Unreserved.Has(d):
				out = append(out, d)
			default:
				if d == '/' {
					if dotSegment(out[segment:]) {
						return dst, false, false
					}
					encodedSlash = true
				}
				out = append(out, '%', upperHex[hi], upperHex[lo])
				if d == '/' {
					segment = len(out)
				}
			}
		default:
			return dst, false, false
		}
	}
	if dotSegment(out[segment:]) {
		return dst, false, false
	}
	return out, encodedSlash, true
}

// lastSegment returns where the segment begins that out[from:] ends with.
func lastSegment(out []byte, from int) int {
	for i := len(out); i > from; i-- {
		if out[i-1] == '/' {
			return i
		}
	}
	return from
}

// dotSegment reports whether a decoded segment is "." or "..", alone or before
// parameters. "%3B" counts as ";": one decoding more and it is one.
func dotSegment(s []byte) bool {
	if len(s) == 0 || s[0] != '.' {
		return false
	}
	s = s[1:]
	if len(s) > 0 && s[0] == '.' {
		s = s[1:]
	}
	return len(s) == 0 || s[0] == ';' || len(s) >= 3 && string(s[:3]) == "%3B"
}

type pathKind uint8

const (
	plain   pathKind = iota // copied, cannot make a segment special
	slash                   // ends a segment
	dot                     // may make a dot segment
	percent                 // begins an encoded octet
	refused                 // no octet of a path
)

var pathKinds = makePathKinds()

func makePathKinds() (t [256]pathKind) {
	for b := range 256 {
		if !PathChar.Has(byte(b)) {
			t[b] = refused
		}
	}
	t['/'], t['.'], t['%'] = slash, dot, percent
	return t
}

var unhex = makeUnhex()

func makeUnhex() (t [256]byte) {
	for b := range 256 {
		c := byte(b)
		switch {
		case c-'0' <= 9:
			t[b] = c - '0'
		case Lower(c)-'a' <= 5:
			t[b] = Lower(c) - 'a' + 10
		default:
			t[b] = 0xff
		}
	}
	return t
}

const upperHex = "0123456789ABCDEF"

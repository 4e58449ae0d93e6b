// SPDX-License-Identifier: EUPL-1.2

package wire

import (
	"github.com/pvgate/pvgate/gateway/huffman"
	"github.com/pvgate/pvgate/gateway/message"
)

// Line is one field line. Static says that the name comes from the static table: it is well-formed, and ID is its.
type Line struct {
	Name, Value []byte
	ID          message.FieldID
	Static      bool
}

// Section reads the lines of an encoded field section (RFC 9204, section 4.5). It keeps storage for what it decodes, which
// grows to less than twice the longest section; the zero value is ready for Begin. Not safe for concurrent use.
type Section struct {
	in    []byte
	store []byte
	bad   bool
}

// Begin starts with an encoded section. What Next returns is valid until the next Begin, and as long as in is.
func (s *Section) Begin(in []byte) {
	s.store = s.store[:0]
	required, k, ok := prefixed(in, 8)
	s.bad = true
	if !ok || k == 0 || required > 0 || k == len(in) || in[k]&0x80 != 0 {
		return // refers to a dynamic table, or its base to before its beginning
	}
	_, m, ok := prefixed(in[k:], 7)
	if !ok || m == 0 {
		return
	}
	s.bad = false
	s.in = in[k+m:]
}

// Next returns the next line; done says that there is none, code why, if not because the section has ended: an error of
// the connection.
func (s *Section) Next() (l Line, done bool, code Code) {
	if s.bad {
		return l, true, QPACKDecompressionFailed
	}
	if len(s.in) == 0 {
		return l, true, None
	}
	ok := false
	switch b := s.in[0]; {
	case b>>6 == 0b11: // indexed, static
		l, ok = s.indexed()
	case b>>6 == 0b01 && b&0x10 != 0: // literal with a name of the static table
		l, ok = s.named()
	case b>>5 == 0b001: // literal with a literal name
		if l.Name, ok = s.text(3); ok {
			l.Value, ok = s.text(7)
		}
	}
	if !ok { // all others refer to a dynamic table
		s.bad = true
		return Line{}, true, QPACKDecompressionFailed
	}
	return l, false, None
}

func (s *Section) indexed() (Line, bool) {
	i, k, ok := prefixed(s.in, 6)
	if !ok || k == 0 || i >= uint64(len(staticTable)) {
		return Line{}, false
	}
	s.in = s.in[k:]
	return staticTable[i], true
}

func (s *Section) named() (l Line, ok bool) {
	i, k, ok := prefixed(s.in, 4)
	if !ok || k == 0 || i >= uint64(len(staticTable)) {
		return Line{}, false
	}
	s.in = s.in[k:]
	l = staticTable[i]
	l.Value, ok = s.text(7)
	return l, ok
}

// text reads a string literal whose length has so many bits in its first octet, behind the one that says Huffman.
func (s *Section) text(bits int) ([]byte, bool) {
	if len(s.in) == 0 {
		return nil, false
	}
	coded := s.in[0]>>bits&1 == 1
	n, k, ok := prefixed(s.in, bits)
	if !ok || k == 0 || n > uint64(len(s.in)-k) {
		return nil, false
	}
	raw := s.in[k : k+int(n)]
	s.in = s.in[k+int(n):]
	if !coded {
		return raw[:len(raw):len(raw)], true
	}
	from := len(s.store)
	s.store, ok = huffman.Append(s.store, raw) // when the storage moves, what was made before stays where it is
	return s.store[from:len(s.store):len(s.store)], ok
}

// prefixed reads an integer with a prefix of so many bits (RFC 7541, section 5.1) and returns its length, 0 if in ends
// before it does. It is not ok beyond 2^56, which nothing here comes near.
func prefixed(in []byte, bits int) (v uint64, n int, ok bool) {
	if len(in) == 0 {
		return 0, 0, true
	}
	most := uint64(1)<<bits - 1
	if v = uint64(in[0]) & most; v < most {
		return v, 1, true
	}
	for i, b := range in[1:] {
		if i == 8 {
			return 0, 0, false
		}
		v += uint64(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			return v, i + 2, true
		}
	}
	return 0, 0, len(in) <= 9
}

// appendPrefixed appends an integer with a prefix of so many bits; first holds the bits in front of it.
func appendPrefixed(dst []byte, first byte, bits int, v uint64) []byte {
	most := uint64(1)<<bits - 1
	if v < most {
		return append(dst, first|byte(v))
	}
	dst = append(dst, first|byte(most))
	for v -= most; v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}

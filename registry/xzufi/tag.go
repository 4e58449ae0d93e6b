// SPDX-License-Identifier: EUPL-1.2

package xzufi

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/pvgate/pvgate/registry/source"
)

// space is what an element belongs to.
type space uint8

const (
	foreign  space = iota
	own            // XZuFi and what it is made of, whatever the version, and names without a namespace
	instance       // XML Schema's own attributes: xsi:type, xsi:nil
)

// xoev begins the names of all namespaces of XÖV standards, schemaInstance is that of xsi.
const (
	xoev           = "http://xoev.de/schemata/"
	schemaInstance = "http://www.w3.org/2001/XMLSchema-instance"
)

// binding says what a prefix means.
type binding struct {
	end   int // of its prefix in prefixes
	space space
}

// The classes of ASCII characters in tags.
const (
	nameStart = 1 << iota
	nameMore
	blank
	special // in the value of an attribute: what is not taken as it stands
)

var classes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == ':', c >= utf8.RuneSelf:
			t[c] = nameStart | nameMore
		case c >= '0' && c <= '9', c == '-', c == '.':
			t[c] = nameMore
		}
	}
	for _, c := range " \t\r\n" {
		t[c] |= blank
	}
	for _, c := range "\t\r\n\"'<&" {
		t[c] |= special
	}
	return t
}()

// startTag opens the element whose tag begins at buf[pos] and gives its local name, "" if it is not XZuFi's or nil.
// again: the tag goes on behind the window's end.
func (s *scanner) startTag() (local []byte, again bool) {
	b := s.buf
	begin := s.pos
	i := begin + 1
	for i < len(b) && classes[b[i]]&nameMore != 0 {
		i++
	}
	name := b[begin+1 : i]
	if i < len(b) && !s.checkName(name, begin+1) {
		return nil, false
	}
	i, again = s.attributes(i)
	if again || s.err != nil {
		return nil, again
	}
	if b[i] == '/' {
		s.closing = true
		i++
	}
	if b[i] != '>' {
		s.broken(i, "a tag has %q; want > or />", s.glimpse(i))
		return nil, false
	}
	if !s.push(name) {
		return nil, false
	}
	s.pos, s.tag = i+1, begin
	return s.resolve(name, begin), false
}

// attributes reads from buf[i], behind the name, to ">", "/" or "?" with another character behind it.
func (s *scanner) attributes(i int) (end int, again bool) {
	b := s.buf
	s.attrs = s.attrs[:0]
	for {
		gap := i
		for i < len(b) && classes[b[i]]&blank != 0 {
			i++
		}
		switch {
		case i == len(b):
			return i, true
		case b[i] == '>':
			return i, false
		case b[i] == '/' || b[i] == '?':
			return i, i+1 == len(b)
		case i == gap:
			s.broken(i, "a tag has %q; an attribute follows after a space, a name is made of letters, digits, '-', '.', '_'", s.glimpse(i))
			return i, false
		case len(s.attrs) == maxAttrs:
			s.refuse(source.CauseOversized, i, "an element has more than %d attributes", maxAttrs)
			return i, false
		}
		if i, again = s.attribute(i); again || s.err != nil {
			return i, again
		}
	}
}

// attribute reads one from buf[i] and gives the place behind it.
func (s *scanner) attribute(i int) (end int, again bool) {
	b := s.buf
	a := attr{plain: true}
	begin := i
	for i < len(b) && classes[b[i]]&nameMore != 0 {
		i++
	}
	a.name = b[begin:i]
	for i < len(b) && classes[b[i]]&blank != 0 {
		i++
	}
	if i < len(b) && b[i] == '=' {
		i++
	} else if i < len(b) {
		s.broken(i, "attribute %q is followed by %q; want =\"value\"", clip(a.name), s.glimpse(i))
		return i, false
	}
	for i < len(b) && classes[b[i]]&blank != 0 {
		i++
	}
	if i >= len(b) {
		return i, true
	}
	quote := b[i]
	if quote != '"' && quote != '\'' {
		s.broken(i, "the value of %q begins with %q; want a quotation mark", clip(a.name), s.glimpse(i))
		return i, false
	}
	i++
	value := i
	for ; i < len(b); i++ {
		c := b[i]
		if classes[c]&special == 0 {
			continue
		}
		if c == quote {
			a.value = b[value:i]
			s.addAttribute(a, begin)
			return i + 1, false
		}
		if c == '<' {
			s.broken(i, "the value of %q has a <; want &lt;", clip(a.name))
			return i, false
		}
		a.plain = a.plain && (c == '"' || c == '\'')
	}
	return i, true
}

func (s *scanner) addAttribute(a attr, pos int) {
	if !s.checkName(a.name, pos) {
		return
	}
	for i := range s.attrs {
		if bytes.Equal(s.attrs[i].name, a.name) {
			s.broken(pos, "an element has the attribute %q twice", clip(a.name))
			return
		}
	}
	if !a.plain {
		s.scratch = s.unescape(s.scratch[:0], a.value, pos, true) // for the references, used or not
	}
	s.attrs = append(s.attrs, a)
}

// checkName checks what the classes did not: the first character, what is not ASCII, colons, the length.
func (s *scanner) checkName(name []byte, pos int) bool {
	switch {
	case len(name) == 0 || classes[name[0]]&nameStart == 0:
		s.broken(pos, "a tag has %q where a name begins", s.glimpse(pos))
	case len(name) > maxName:
		s.refuse(source.CauseOversized, pos, "a name has more than %d bytes", maxName)
	default:
		colon := bytes.IndexByte(name, ':')
		if colon == 0 || colon == len(name)-1 || bytes.Count(name, colonByte) > 1 || colon > 0 && classes[name[colon+1]]&nameStart == 0 {
			s.broken(pos, "name %q; want a name, or a prefix and a name with one colon between them", clip(name))
			return false
		}
		if i := foreignLetter(name); i >= 0 {
			s.broken(pos+i, "name %q; it has a character that names do not have", clip(name))
			return false
		}
		return true
	}
	return false
}

var colonByte = []byte{':'}

// foreignLetter is the place of the first character beyond ASCII that XML 1.0 (2.3) has not in names, -1 if none is.
// What may not be at a name's beginning is taken for what may not be in it: nobody names elements so.
func foreignLetter(name []byte) int {
	for i := 0; i < len(name); {
		if name[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(name[i:])
		ok := r >= 0xC0 && r <= 0x2FF && r != 0xD7 && r != 0xF7 || r >= 0x370 && r <= 0x1FFF && r != 0x37E ||
			r == 0x200C || r == 0x200D || r >= 0x2070 && r <= 0x218F || r >= 0x2C00 && r <= 0x2FEF ||
			r >= 0x3001 && r <= 0xD7FF || r >= 0xF900 && r <= 0xFDCF || r >= 0xFDF0 && r <= 0xFFFD || r >= 0x10000 && r <= 0xEFFFF
		if !ok {
			return i
		}
		i += n
	}
	return -1
}

// push opens an element.
func (s *scanner) push(name []byte) bool {
	if len(s.opens) == maxDepth {
		s.refuse(source.CauseOversized, s.pos, "elements are nested more than %d deep", maxDepth)
		return false
	}
	if len(s.opens) == 1 {
		s.began, s.elements = s.base+int64(s.pos), 0
	}
	if s.elements++; s.elements > s.limits.Elements && len(s.opens) > 1 {
		s.refuse(source.CauseOversized, s.pos, "<%s> has more than %d elements", s.nameAt(1), s.limits.Elements)
		return false
	}
	s.opens = append(s.opens, open{len(s.names), len(s.prefixes), len(s.bindings)})
	s.names = append(s.names, name...)
	return true
}

// pop closes the innermost element.
func (s *scanner) pop() {
	o := s.opens[len(s.opens)-1]
	s.opens = s.opens[:len(s.opens)-1]
	s.names, s.prefixes, s.bindings = s.names[:o.name], s.prefixes[:o.prefixes], s.bindings[:o.bindings]
}

// nameAt is the name of the open element at a depth, the root's is 0.
func (s *scanner) nameAt(depth int) []byte {
	end := len(s.names)
	if depth+1 < len(s.opens) {
		end = s.opens[depth+1].name
	}
	return s.names[s.opens[depth].name:end]
}

// resolve takes the tag's namespaces into account and gives the local name, "" if it is not XZuFi's or nil.
func (s *scanner) resolve(name []byte, pos int) []byte {
	prefix, local := cutPrefix(name)
	if len(s.opens) == 1 {
		s.findRoot(prefix)
	}
	prefixed := false
	for i := range s.attrs {
		a := &s.attrs[i]
		if p, _ := cutPrefix(a.name); len(p) > 0 || len(a.name) == len("xmlns") {
			prefixed = s.bind(a, pos) || prefixed
		}
	}
	is := s.lookUp(prefix, pos)
	if prefixed && s.isNil(pos) || is != own {
		return nil
	}
	return local
}

func cutPrefix(name []byte) (prefix, local []byte) {
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return nil, name
}

// findRoot keeps the namespace of the root, before its prefixes are bound.
func (s *scanner) findRoot(prefix []byte) {
	for i := range s.attrs {
		a := &s.attrs[i]
		p, local := cutPrefix(a.name)
		if len(prefix) == 0 && string(a.name) == "xmlns" || len(prefix) > 0 && string(p) == "xmlns" && bytes.Equal(local, prefix) {
			s.root = bytes.Clone(s.unescape(nil, a.value, s.pos, true))
		}
	}
}

// bind takes an attribute that declares a prefix. True: it is another one, with a prefix.
func (s *scanner) bind(a *attr, pos int) (prefixed bool) {
	p, local := cutPrefix(a.name)
	if string(a.name) == "xmlns" {
		local = nil
	} else if string(p) != "xmlns" {
		return len(p) > 0
	}
	if len(s.bindings) == maxBindings {
		s.refuse(source.CauseOversized, pos, "more than %d prefixes are in force", maxBindings)
		return false
	}
	uri := a.value
	if !a.plain {
		uri = s.unescape(nil, uri, pos, true)
	}
	if len(local) > 0 && len(uri) == 0 || string(local) == "xmlns" {
		s.broken(pos, "prefix %q cannot be bound to %q", clip(local), clip(uri))
		return false
	}
	is := foreign
	switch {
	case len(uri) == 0, bytes.Equal(uri, s.root), bytes.HasPrefix(uri, []byte(xoev)):
		is = own
	case string(uri) == schemaInstance:
		is = instance
	}
	s.prefixes = append(s.prefixes, local...)
	s.bindings = append(s.bindings, binding{len(s.prefixes), is})
	return false
}

// lookUp says what a prefix means here.
func (s *scanner) lookUp(prefix []byte, pos int) space {
	for i, b := range slices.Backward(s.bindings) {
		begin := 0
		if i > 0 {
			begin = s.bindings[i-1].end
		}
		if string(s.prefixes[begin:b.end]) == string(prefix) {
			return b.space
		}
	}
	if len(prefix) == 0 {
		return own // no namespace, such as code
	}
	if string(prefix) != "xml" {
		s.broken(pos, "prefix %q is not declared", clip(prefix))
	}
	return foreign
}

// isNil says whether the last tag says that the element is as if it were not there; it checks the prefixes of the
// attributes.
func (s *scanner) isNil(pos int) (yes bool) {
	for i := range s.attrs {
		a := &s.attrs[i]
		p, local := cutPrefix(a.name)
		if len(p) == 0 || string(p) == "xmlns" {
			continue
		}
		if is := s.lookUp(p, pos); is == instance && string(local) == "nil" {
			v := string(s.valueOf(a))
			yes = yes || v == "true" || v == "1"
		}
	}
	return yes
}

// endTag closes the innermost element with the tag at buf[pos].
func (s *scanner) endTag() (again bool) {
	if len(s.opens) == 0 {
		s.broken(s.pos, "%q before the root element", s.glimpse(s.pos))
		return false
	}
	b := s.buf
	i := s.pos + 2
	want := s.nameAt(len(s.opens) - 1)
	if end := i + len(want); end < len(b) && b[end] == '>' && string(b[i:end]) == string(want) {
		s.pos = end + 1
		s.pop()
		return false
	}
	for i < len(b) && classes[b[i]]&nameMore != 0 {
		i++
	}
	name := b[s.pos+2 : i]
	for i < len(b) && classes[b[i]]&blank != 0 {
		i++
	}
	switch {
	case i == len(b):
		return true
	case !bytes.Equal(name, want):
		s.broken(s.pos, "</%s> where <%s> is to be closed", clip(name), want)
	case b[i] != '>':
		s.broken(i, "</%s has %q behind it; want >", want, s.glimpse(i))
	default:
		s.pos = i + 1
		s.pop()
	}
	return false
}

// attr is the value of an attribute of the element that was opened last, without white space around it; nil if it has
// none. The standard's attributes have no prefix; one with the standard's is taken for it.
func (s *scanner) attr(name string) []byte {
	var found *attr
	for i := range s.attrs {
		a := &s.attrs[i]
		if string(a.name) == name {
			found = a
			break
		}
		prefix, named := bytes.CutSuffix(a.name, []byte(name))
		if !named {
			continue
		}
		if prefix, named = bytes.CutSuffix(prefix, colonByte); named && string(prefix) != "xmlns" && s.lookUp(prefix, s.pos) == own {
			found = a
		}
	}
	if found == nil {
		return nil
	}
	return s.valueOf(found)
}

// valueOf is the value of an attribute without white space around it.
func (s *scanner) valueOf(a *attr) []byte {
	if a.plain {
		return bytes.TrimSpace(a.value)
	}
	return bytes.TrimSpace(s.unescape(nil, a.value, s.pos, true))
}

// glimpse is what stands at buf[pos], for a message.
func (s *scanner) glimpse(pos int) string {
	b := s.buf[pos:]
	return string(bytes.ToValidUTF8(b[:min(len(b), 12)], nil))
}

// clip keeps what a message has from filling a log.
func clip(text []byte) string {
	return string(bytes.ToValidUTF8(text[:min(len(text), 64)], nil))
}

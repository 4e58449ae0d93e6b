// SPDX-License-Identifier: EUPL-1.2

package xzufi

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pvgate/pvgate/registry/source"
)

// want says what becomes of the text between tags.
type want uint8

const (
	passOver want = iota // it is checked and forgotten
	noText               // white space only, else the message is broken
	keep                 // it is added to value
)

// child goes down into the next element of the present one; local is its name, "" if it is none of XZuFi's. False: the
// present one has ended and is closed, or an error.
func (s *scanner) child(text want) (local []byte, ok bool) {
	for s.err == nil {
		if s.closing {
			s.closing = false
			s.pop()
			return nil, false
		}
		if !s.chars(text) {
			return nil, false
		}
		again := false
		switch s.kind() {
		case '/':
			if again = s.endTag(); !again {
				return nil, false
			}
		case '!':
			again = s.markup(text)
		case '?':
			s.instruction()
		default:
			if local, again = s.startTag(); !again {
				return local, s.err == nil
			}
		}
		if again && !s.more() {
			s.cutOff()
		}
	}
	return nil, false
}

// skip reads to the end of the present element.
func (s *scanner) skip() {
	for depth := len(s.opens); s.err == nil && len(s.opens) >= depth; {
		s.child(passOver)
	}
}

// text reads to the end of the present element and gives its text without that of its children, and without white space
// around it. It is valid until the next call. long: it is not all.
func (s *scanner) text() (text []byte, long bool) {
	s.value, s.long = s.value[:0], false
	for {
		_, ok := s.child(keep)
		if !ok {
			return bytes.TrimSpace(s.value), s.long
		}
		s.skip()
	}
}

// kind is the character behind the < at buf[pos].
func (s *scanner) kind() byte {
	if s.pos+1 >= len(s.buf) && !s.more() {
		s.cutOff()
		return 0
	}
	return s.buf[s.pos+1]
}

// inside names the innermost element.
func (s *scanner) inside() string {
	if len(s.opens) == 0 {
		return "the file outside its root element"
	}
	return "<" + string(s.nameAt(len(s.opens)-1)) + ">"
}

// cutOff says that the file ends too early.
func (s *scanner) cutOff() {
	if len(s.opens) > 0 {
		s.refuse(source.CauseTruncated, len(s.buf), "the file ends inside %s", s.inside())
		return
	}
	s.refuse(source.CauseTruncated, len(s.buf), "the file ends before its root element")
}

// chars reads character data up to the next <. False: an error.
func (s *scanner) chars(text want) bool {
	for length := int64(0); s.err == nil; {
		run := s.buf[s.pos:]
		end := bytes.IndexByte(run, '<')
		if end >= 0 {
			run = run[:end]
		} else if !s.eof {
			run = run[:len(run)-heldBack(run)]
		} else if text != noText {
			s.cutOff()
			return false
		}
		if length += int64(len(run)); length > s.limits.Text {
			s.refuse(source.CauseOversized, s.pos, "a text has more than %d bytes", s.limits.Text)
			return false
		}
		if len(run) > 0 && !s.run(run, text) {
			return false
		}
		s.pos += len(run)
		if end >= 0 {
			return true
		}
		if !s.more() {
			s.cutOff()
		}
	}
	return false
}

// heldBack is how many bytes at the end of run mean something only with what follows.
func heldBack(run []byte) int {
	tail := run[max(0, len(run)-maxRef):]
	if i := bytes.LastIndexByte(tail, '&'); i >= 0 && bytes.IndexByte(tail[i:], ';') < 0 {
		return len(tail) - i
	}
	n := 0
	for n < 2 && n < len(run) && (run[len(run)-1-n] == ']' || run[len(run)-1-n] == '\r') {
		n++
	}
	return n
}

// run takes a piece of character data.
func (s *scanner) run(run []byte, text want) bool {
	if i := bytes.IndexByte(run, ']'); i >= 0 {
		if i = bytes.Index(run, []byte("]]>")); i >= 0 {
			s.broken(s.pos+i, "a text has ]]>; want ]]&gt;")
			return false
		}
	}
	if text == noText {
		if i := bytes.IndexFunc(run, notBlank); i >= 0 {
			s.broken(s.pos+i, "text %q in %s; there is none", s.glimpse(s.pos+i), s.inside())
			return false
		}
		return true
	}
	switch {
	case text == keep && !s.long && len(s.value)+len(run) > maxValue:
		s.long = true
		fallthrough
	case text == passOver || s.long:
		s.checkRefs(run)
	default:
		s.value = s.unescape(s.value, run, s.pos, false)
	}
	return s.err == nil
}

func notBlank(r rune) bool { return r >= utf8.RuneSelf || classes[byte(r)]&blank == 0 }

func (s *scanner) checkRefs(run []byte) {
	var scratch [utf8.UTFMax]byte
	for i := 0; s.err == nil; {
		n := bytes.IndexByte(run[i:], '&')
		if n < 0 {
			return
		}
		i += n
		_, n = s.reference(scratch[:0], run[i:], s.pos)
		i += n
	}
}

// unescape appends text as it is meant: references resolved, ends of lines as they are meant, in attributes white space as
// spaces (XML 1.0, 3.3.3). pos is for messages.
func (s *scanner) unescape(dst, text []byte, pos int, attribute bool) []byte {
	for s.err == nil {
		plain, _, found := bytes.Cut(text, ampersand)
		at := len(dst)
		if dst = appendLines(dst, plain); attribute {
			for i, c := range dst[at:] {
				if classes[c]&blank != 0 {
					dst[at+i] = ' '
				}
			}
		}
		if !found {
			return dst
		}
		text = text[len(plain):]
		var n int
		dst, n = s.reference(dst, text, pos)
		text = text[n:]
	}
	return dst
}

var ampersand = []byte{'&'}

// appendLines appends text with its ends of lines as XML 1.0 (2.11) says: each is one line feed.
func appendLines(dst, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '\r')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(append(dst, text[:i]...), '\n')
		text = bytes.TrimPrefix(text[i+1:], newline)
	}
}

// reference appends what the reference at the beginning of text means, and says how long it is.
func (s *scanner) reference(dst, text []byte, pos int) ([]byte, int) {
	end := bytes.IndexByte(text[:min(len(text), maxRef)], ';')
	if end < 0 {
		s.broken(pos, "%q is no reference; want &amp; for an ampersand", clip(text[:min(len(text), maxRef)]))
		return dst, len(text)
	}
	switch name := string(text[1:end]); name {
	case "amp":
		dst = append(dst, '&')
	case "lt":
		dst = append(dst, '<')
	case "gt":
		dst = append(dst, '>')
	case "quot":
		dst = append(dst, '"')
	case "apos":
		dst = append(dst, '\'')
	default:
		r, ok := number(name)
		if !ok {
			s.broken(pos, "reference &%s; to an unknown entity; there are &amp; &lt; &gt; &quot; &apos; and numbers of characters", name)
			return dst, len(text)
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, end + 1
}

// number reads "#65" or "#x41".
func number(name string) (rune, bool) {
	base := 10
	if len(name) < 2 || name[0] != '#' {
		return 0, false
	}
	if name = name[1:]; name[0] == 'x' {
		base, name = 16, name[1:]
	}
	n, err := strconv.ParseUint(name, base, 32)
	r := rune(n)
	ok := r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r < 0xD800 || r >= 0xE000 && r < 0xFFFE || r >= 0x10000 && r <= utf8.MaxRune
	return r, err == nil && n <= utf8.MaxRune && ok
}

// markup passes over a comment or takes a CDATA section at buf[pos].
func (s *scanner) markup(text want) (again bool) {
	b := s.buf[s.pos:]
	const comment, cdata = "<!--", "<![CDATA["
	switch {
	case bytes.HasPrefix(b, []byte(comment)):
		s.pos += len(comment)
		s.until("--", passOver)
		if s.err == nil && (s.pos < len(s.buf) || s.more()) && s.buf[s.pos] != '>' {
			s.broken(s.pos, "a comment has --; it ends with -->")
		}
		if s.pos >= len(s.buf) {
			s.cutOff()
		}
		s.pos++
	case bytes.HasPrefix(b, []byte(cdata)) && len(s.opens) > 0:
		s.pos += len(cdata)
		s.until("]]>", text)
	case len(b) < len(cdata) && (!s.eof || strings.HasPrefix(comment, string(b)) || strings.HasPrefix(cdata, string(b))):
		return true
	case bytes.HasPrefix(b, []byte("<!DOCTYPE")):
		s.broken(s.pos, "a document type declaration; a message has none")
	default:
		s.broken(s.pos, "%q; want an element, a comment or text", s.glimpse(s.pos))
	}
	return false
}

// instruction passes over a processing instruction at buf[pos].
func (s *scanner) instruction() {
	for len(s.buf)-s.pos < len("<?xml ") && s.more() {
	}
	b := s.buf[s.pos:]
	if len(b) < len("<?x?>") {
		s.cutOff()
		return
	}
	if classes[b[2]]&nameStart == 0 || len(b) > 5 && string(bytes.ToLower(b[2:5])) == "xml" && classes[b[5]]&nameMore == 0 {
		s.broken(s.pos, "%q; the XML declaration stands at the very beginning, and once", s.glimpse(s.pos))
		return
	}
	s.pos += 2
	s.until("?>", passOver)
}

// until reads up to the end mark and passes over it.
func (s *scanner) until(mark string, text want) {
	for length := int64(0); s.err == nil; {
		run := s.buf[s.pos:]
		end := bytes.Index(run, []byte(mark))
		if end >= 0 {
			run = run[:end]
		} else {
			run = run[:max(0, len(run)-len(mark)+1)]
			run = bytes.TrimSuffix(run, []byte{'\r'}) // a line may end with two characters
		}
		if length += int64(len(run)); length > s.limits.Text {
			s.refuse(source.CauseOversized, s.pos, "more than %d bytes before %s", s.limits.Text, mark)
			return
		}
		switch {
		case text == noText && len(run) > 0:
			s.broken(s.pos, "a CDATA section in %s; there is no text", s.inside())
			return
		case text == keep && len(s.value)+len(run) > maxValue:
			s.long = true
		case text == keep:
			s.value = appendLines(s.value, run)
		}
		s.pos += len(run)
		if end >= 0 {
			s.pos += len(mark)
			return
		}
		if !s.more() {
			s.cutOff()
		}
	}
}

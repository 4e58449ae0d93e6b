// SPDX-License-Identifier: EUPL-1.2

package xzufi

import (
	"bytes"
	"strings"

	"github.com/pvgate/pvgate/registry/source"
)

// declaration looks at the beginning of the file, before it is known to be text: a byte order mark, the XML declaration,
// another encoding.
func (s *scanner) declaration() {
	if len(s.buf) == 0 {
		s.refuse(source.CauseEmpty, 0, "the file is empty")
		return
	}
	for _, mark := range [...]string{"\xFE\xFF", "\xFF\xFE", "<\x00", "\x00<", "\x00\x00"} {
		if bytes.HasPrefix(s.buf, []byte(mark)) {
			s.broken(0, "the file is UTF-16 or UTF-32; a message is written in UTF-8")
			return
		}
	}
	s.pos = len(s.buf) - len(bytes.TrimPrefix(s.buf, []byte("\xEF\xBB\xBF")))
	const begin = "<?xml"
	b := s.buf[s.pos:]
	if !bytes.HasPrefix(b, []byte(begin)) || len(b) > len(begin) && classes[b[len(begin)]]&nameMore != 0 {
		return
	}
	i, again := s.attributes(s.pos + len(begin))
	if s.err != nil {
		return
	}
	if again || s.buf[i] != '?' || s.buf[i+1] != '>' {
		s.broken(s.pos, "the XML declaration has no end; want e.g. <?xml version=\"1.0\" encoding=\"UTF-8\"?>")
		return
	}
	if v := s.attr("version"); string(v) != "1.0" {
		s.broken(s.pos, "XML version %q; want 1.0", clip(v))
		return
	}
	switch e := s.attr("encoding"); strings.ToUpper(string(e)) {
	case "", "UTF-8", "UTF8", "US-ASCII", "ASCII":
	default:
		s.broken(s.pos, "encoding %q; a message is written in UTF-8", clip(e))
	}
	s.pos = i + len("?>")
}

// epilog reads what follows the root element: nothing but comments and processing instructions.
func (s *scanner) epilog() {
	for s.err == nil {
		for s.pos < len(s.buf) && classes[s.buf[s.pos]]&blank != 0 {
			s.pos++
		}
		if s.pos == len(s.buf) {
			if !s.more() {
				return
			}
			continue
		}
		again := false
		switch {
		case s.buf[s.pos] == '<' && s.kind() == '!':
			again = s.markup(noText)
		case s.buf[s.pos] == '<' && s.kind() == '?':
			s.instruction()
		default:
			s.broken(s.pos, "%q behind the root element; the file ends there", s.glimpse(s.pos))
		}
		if again && !s.more() {
			s.cutOff()
		}
	}
}

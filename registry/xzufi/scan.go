// SPDX-License-Identifier: EUPL-1.2

package xzufi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/source"
)

// scanner cuts XML 1.0 with namespaces into elements, within the memory of one window. It takes no document type, so
// there are no entities but the five of XML, and no encoding but UTF-8. encoding/xml is not used because it holds a text
// or a tag of any size, and for its speed.
//
// The caller goes down into an element with child or text, and every element it went into it leaves by reading to its
// end (child says false) or by skip. After an error all of these say that the end has come; err is looked at once, at
// the end. Names and attributes are slices of the window and valid until the next call.
type scanner struct {
	ctx    context.Context //nolint:containedctx // of one call of Read
	in     io.Reader
	origin registry.Origin
	limits Limits
	err    error // *source.Refusal, the context's or a callback's

	buf  []byte // the window
	pos  int    // what is unread is buf[pos:]
	tag  int    // where the last start tag began
	base int64  // offset of buf[0] in the file
	tail int    // bytes behind buf that are the beginning of a character
	eof  bool

	line      int64 // of buf[counted], from 1
	counted   int
	lineStart int64 // offset of that line's first byte

	opens    []open
	names    []byte // of opens, one behind the other
	closing  bool   // the innermost element was opened and closed by one tag
	attrs    []attr
	bindings []binding
	prefixes []byte // of bindings, one behind the other
	root     []byte // namespace of the root
	value    []byte // of the last text
	scratch  []byte
	long     bool // value is not all of it: it has more than maxValue bytes

	began    int64 // offset of the present child of the root
	elements int   // in it
}

// open is an element that has begun.
type open struct {
	name, prefixes int // lengths of names and prefixes before it
	bindings       int
}

// attr is an attribute as written.
type attr struct {
	name, value []byte
	plain       bool // no reference and no white space but spaces in value
}

func newScanner(ctx context.Context, in io.Reader, o *Options) *scanner {
	limits := o.Limits
	limits.setDefaults()
	size := window
	if o.window > 0 {
		size = o.window
	}
	return &scanner{
		ctx: ctx, in: in, limits: limits, line: 1, buf: make([]byte, 0, size),
		origin: registry.Origin{Source: o.Source, File: o.File},
	}
}

// at is the place of buf[pos].
func (s *scanner) at(pos int) registry.Origin {
	s.count(pos)
	o := s.origin
	o.Line, o.Col = int32(min(s.line, math.MaxInt32)), int32(min(s.base+int64(pos)-s.lineStart+1, math.MaxInt32))
	return o
}

// count advances the line number to buf[pos], which lies not before the last place that was counted.
func (s *scanner) count(pos int) {
	if pos <= s.counted {
		return
	}
	passed := s.buf[s.counted:pos]
	if n := bytes.Count(passed, newline); n > 0 {
		s.line += int64(n)
		s.lineStart = s.base + int64(s.counted+bytes.LastIndexByte(passed, '\n')+1)
	}
	s.counted = pos
}

var newline = []byte{'\n'}

// refuse ends the reading: the message is not what it should be at buf[pos].
func (s *scanner) refuse(cause source.Cause, pos int, format string, args ...any) {
	if s.err == nil {
		s.err = &source.Refusal{Cause: cause, Origin: s.at(pos), Text: fmt.Sprintf(format, args...)}
	}
}

// broken is refuse for what is no XML, or not this message's.
func (s *scanner) broken(pos int, format string, args ...any) {
	s.refuse(source.CauseSchema, pos, format, args...)
}

// more reads until the window is full or the file ends. False: there was nothing more, or an error.
func (s *scanner) more() bool {
	if s.eof || s.err != nil {
		return false
	}
	if err := s.ctx.Err(); err != nil {
		s.err = fmt.Errorf("read %s: %w", s.origin.InFile(), err)
		return false
	}
	if s.pos == 0 && len(s.buf)+s.tail == cap(s.buf) {
		s.refuse(source.CauseOversized, 0, "a tag has more than %d bytes", cap(s.buf))
		return false
	}
	if len(s.opens) > 1 && s.base+int64(s.pos)-s.began > s.limits.Object {
		s.refuse(source.CauseOversized, s.pos, "<%s> has more than %d bytes", s.nameAt(1), s.limits.Object)
		return false
	}
	s.count(s.pos)
	first := s.base == 0 && len(s.buf) == 0
	checked := len(s.buf) - s.pos
	kept := copy(s.buf[:cap(s.buf)], s.buf[s.pos:len(s.buf)+s.tail])
	s.base += int64(s.pos)
	s.buf, s.pos, s.counted, s.tail = s.buf[:kept], 0, 0, 0
	s.readFull()
	if first && s.err == nil {
		s.declaration()
	}
	return s.err == nil && s.valid(checked) && len(s.buf) > checked
}

// readFull fills the window.
func (s *scanner) readFull() {
	for idle := 0; len(s.buf) < cap(s.buf) && !s.eof; {
		n, err := s.in.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if idle++; n > 0 {
			idle = 0
		}
		if err == nil && idle >= 100 { // as many empty reads as io.ErrNoProgress is for
			err = io.ErrNoProgress
		}
		switch {
		case errors.Is(err, io.EOF):
			s.eof = true
		case err != nil:
			r := &source.Refusal{Cause: source.CauseTruncated, Origin: s.at(s.pos), Text: fmt.Sprintf("reading stopped: %v", err), Err: err}
			s.err = r
			return
		}
	}
}

// valid checks that what was read behind buf[from] is text of XML. A character that the window cuts is left for the
// next time.
func (s *scanner) valid(from int) bool {
	text := s.buf[from:]
	if !s.eof {
		s.tail = cutRune(text)
		text = text[:len(text)-s.tail]
		s.buf = s.buf[:len(s.buf)-s.tail]
	}
	if !utf8.Valid(text) {
		s.broken(from+firstInvalid(text), "these bytes are not UTF-8; a message is written in UTF-8")
		return false
	}
	if i := firstForbidden(text); i >= 0 {
		r, _ := utf8.DecodeRune(text[i:])
		s.broken(from+i, "character %U; XML allows it nowhere", r)
		return false
	}
	return true
}

// cutRune is how many bytes at the end of text are the beginning of a character.
func cutRune(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if c := text[len(text)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(text[len(text)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

func firstInvalid(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(text)
}

// firstForbidden is the place of the first character that XML 1.0 (2.2) excludes, -1 if there is none.
func firstForbidden(text []byte) int {
	for i, c := range text {
		if c < ' ' && c != '\n' && c != '\t' && c != '\r' {
			return i
		}
	}
	for i := 0; ; i += 2 {
		n := bytes.Index(text[i:], []byte("\xEF\xBF"))
		if n < 0 {
			return -1
		}
		if i += n; i+2 < len(text) && text[i+2] >= 0xBE { // U+FFFE, U+FFFF
			return i
		}
	}
}

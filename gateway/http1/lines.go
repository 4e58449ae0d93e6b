// SPDX-License-Identifier: EUPL-1.2

package http1

import (
	"bytes"

	"github.com/pvgate/pvgate/gateway/message"
)

// progress remembers how far into an unfinished head the machine has looked, so
// that a head fed octet by octet is not parsed from its start each time. It holds
// offsets only, never slices: the caller may move or overwrite its buffer.
//
// The outcome must not depend on how the input was cut. So a line is judged only
// when its line feed is there, whatever is wrong earlier in it, and everything
// that needs two lines is judged when the head is complete.
type progress struct {
	line  int // start of the first line that is not known to be well-formed
	seen  int // there is no line feed between line and here
	count int // field lines before line
}

// waiting reports that the line unfinished at the last call still is.
func (p *progress) waiting(in []byte) bool {
	if p.seen > len(in) {
		*p = progress{} // the caller took octets back; begin anew rather than panic
	}
	if p.seen == 0 || bytes.IndexByte(in[p.seen:], '\n') >= 0 {
		return false
	}
	p.seen = len(in)
	return true
}

// stop ends the parsing of the line that begins at i and could not be parsed. It
// returns causeNone if the line is only unfinished, else what is wrong with it.
func (p *progress) stop(in []byte, i int, c cause, l *Limits) cause {
	nl := bytes.IndexByte(in[i:], '\n')
	if nl < 0 {
		p.line, p.seen = i, len(in)
		return overrun(i, len(in)+1, l)
	}
	if o := overrun(i, i+nl+1, l); o != causeNone {
		return o
	}
	return c
}

// overrun checks the limits for a line from i to end; a line that is not finished
// ends one octet further at least.
func overrun(i, end int, l *Limits) cause {
	if i == 0 && end > l.Line+len("\r\n") {
		return causeLineTooLong
	}
	if end > l.Head {
		return causeHeadTooLarge
	}
	return causeNone
}

// fields parses field lines from in[i:] into h until the empty line. It returns
// the offset behind the empty line, or 0 with causeNone if the input ends before
// it, or 0 and what is wrong.
func (p *progress) fields(in []byte, i int, h *message.Head, l *Limits) (end int, c cause) {
	for {
		rest := in[i:]
		if len(rest) >= 2 && rest[0] == '\r' && rest[1] == '\n' {
			return i + 2, overrun(i, i+2, l)
		}
		if !strict && len(rest) > 0 && rest[0] == '\n' {
			return i + 1, causeNone
		}
		h.Fields = append(h.Fields, message.Field{})
		n, c := fieldLine(rest, &h.Fields[len(h.Fields)-1])
		if n == 0 {
			return 0, p.stop(in, i, c, l)
		}
		if c := overrun(i, i+n, l); c != causeNone {
			return 0, c
		}
		i += n
		if p.count++; p.count > l.Fields {
			return 0, causeTooManyFields
		}
	}
}

// fieldLine parses one field line with its CRLF into f. It returns its length, or
// 0 if b ends before the line does or the line is wrong (then c says how).
func fieldLine(b []byte, f *message.Field) (n int, c cause) {
	if !strict {
		return lenientFieldLine(b, f)
	}
	name, id := message.ScanName(b)
	if name == 0 || name == len(b) || b[name] != ':' {
		return 0, nameCause(b, name)
	}
	v := name + 1
	end := v + message.Value.Prefix(b[v:])
	if end+1 >= len(b) || b[end] != '\r' || b[end+1] != '\n' {
		return 0, valueCause(b[end:])
	}
	n = end + 2
	for v < end && (b[v] == ' ' || b[v] == '\t') {
		v++
	}
	for end > v && (b[end-1] == ' ' || b[end-1] == '\t') {
		end--
	}
	f.Name, f.Value, f.ID = b[:name], b[v:end], id
	return n, causeNone
}

// nameCause says why the first n octets of b, a token, do not begin a field line.
func nameCause(b []byte, n int) cause {
	if n == len(b) {
		return causeNone
	}
	switch {
	case n == 0 && (b[0] == ' ' || b[0] == '\t'):
		return causeObsFold
	case n == 0 && b[0] == ':':
		return causeEmptyName
	case b[n] == '\n':
		return causeNoColon
	case b[n] == '\r':
		if n+1 < len(b) && b[n+1] == '\n' {
			return causeNoColon
		}
		return causeBareCR
	case b[n] == ' ' || b[n] == '\t':
		if t := bytes.TrimLeft(b[n:], " \t"); len(t) > 0 && t[0] == ':' {
			return causeSpaceBeforeColon
		}
		return causeBadName
	default:
		return causeBadName
	}
}

// valueCause says why b does not end a field value.
func valueCause(b []byte) cause {
	switch {
	case len(b) == 0:
		return causeNone
	case b[0] == '\n':
		return causeBareLF
	case b[0] == '\r':
		return causeBareCR
	default:
		return causeBadValue
	}
}

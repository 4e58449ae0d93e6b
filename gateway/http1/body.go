// SPDX-License-Identifier: EUPL-1.2

package http1

import (
	"bytes"
	"math"

	"github.com/pvgate/pvgate/gateway/message"
)

// maxChunkLine bounds a chunk line with its extensions. Nobody has a use for
// extensions; they are read by their grammar, bounded and dropped.
const maxChunkLine = 1 << 10

// One octet of chunk data pays for this many octets of framing. A body of chunks
// with one octet each (five octets of framing) slowly runs out of credit, any
// other does not.
const earnPerOctet = 4

type phase uint8

const (
	phaseDone       phase = iota // nothing follows, or all of it has been seen
	phaseLength                  // left octets follow
	phaseUntilClose              // everything until the peer closes
	phaseChunkLine               // a chunk-size line follows
	phaseChunkData               // left octets of a chunk follow
	phaseChunkEnd                // the CRLF behind chunk data follows
	phaseTrailer                 // trailer lines follow
)

// body decodes the body of one message. The zero value is a body without octets.
type body struct {
	left     int64 // octets still to come of the body or the open chunk
	total    int64 // octets of all chunks opened so far
	excess   int   // framing octets the data has not paid for
	seen     int   // no line feed in that much of the unfinished line
	trailers int   // trailer lines so far
	grace    int   // framing octets each chunk is forgiven
	phase    phase
}

// open prepares for the body h announces; without one it is done.
func (b *body) open(h *message.Head, grace int) {
	*b = body{grace: grace}
	switch {
	case h.Chunked:
		b.phase = phaseChunkLine
	case h.ContentLength > 0:
		b.phase, b.left = phaseLength, h.ContentLength
	}
}

// feed works like Server.Feed; Failed comes with its cause. End may be told more
// than once.
func (b *body) feed(in []byte, l *Limits) (n int, ev Event, data []byte, c cause) {
	for {
		rest := in[n:]
		switch b.phase {
		case phaseDone:
			return n, End, nil, causeNone
		case phaseUntilClose:
			if len(rest) == 0 {
				return n, More, nil, causeNone
			}
			return len(in), Data, rest, causeNone
		case phaseLength, phaseChunkData:
			if len(rest) == 0 {
				return n, More, nil, causeNone
			}
			take := int(min(b.left, int64(len(rest))))
			if b.left -= int64(take); b.left == 0 {
				b.phase = after(b.phase)
			}
			return n + take, Data, rest[:take], causeNone
		case phaseChunkEnd:
			k, c := lineEnd(rest)
			if k == 0 {
				return n, eventFor(c), nil, c
			}
			n += k
			b.phase = phaseChunkLine
		case phaseChunkLine:
			k, c := b.chunkLine(rest, l)
			if k == 0 {
				return n, eventFor(c), nil, c
			}
			n += k
		case phaseTrailer:
			k, c := b.trailerLine(rest, l)
			if k == 0 {
				return n, eventFor(c), nil, c
			}
			n += k
		}
	}
}

// raw returns how many octets follow that are the body's as they stand.
func (b *body) raw() int64 {
	switch b.phase {
	case phaseLength:
		return b.left
	case phaseUntilClose:
		return math.MaxInt64
	default:
		return 0
	}
}

// skip notes that n octets of raw were seen elsewhere.
func (b *body) skip(n int64) {
	if b.phase != phaseLength {
		return
	}
	if b.left -= n; b.left == 0 {
		b.phase = phaseDone
	}
}

// after returns what follows data whose last octet has been seen.
func after(p phase) phase {
	if p == phaseChunkData {
		return phaseChunkEnd
	}
	return phaseDone
}

func eventFor(c cause) Event {
	if c == causeNone {
		return More
	}
	return Failed
}

// lineEnd expects the CRLF behind chunk data. Anything else means the sender and
// we disagree about the chunk's size.
func lineEnd(b []byte) (n int, c cause) {
	switch {
	case len(b) == 0:
		return 0, causeNone
	case !strict && b[0] == '\n':
		return 1, causeNone
	case b[0] != '\r':
		return 0, causeChunkEnd
	case len(b) == 1:
		return 0, causeNone
	case b[1] != '\n':
		return 0, causeChunkEnd
	default:
		return 2, causeNone
	}
}

// chunkLine reads a chunk-size line and opens the chunk or the trailer section.
func (b *body) chunkLine(in []byte, l *Limits) (n int, c cause) {
	if b.waiting(in) {
		return 0, tooLong(len(in)+1, maxChunkLine, causeChunkLineTooLong)
	}
	n, size, c := parseChunkLine(in)
	if n == 0 {
		return 0, b.stop(in, c, maxChunkLine, causeChunkLineTooLong)
	}
	if n > maxChunkLine {
		return 0, causeChunkLineTooLong
	}
	b.seen = 0
	b.excess += n + len("\r\n") - b.grace
	b.excess = max(b.excess-int(min(size, 1<<30))*earnPerOctet, 0)
	if b.excess > l.ChunkOverhead {
		return 0, causeChunkOverhead
	}
	if size == 0 {
		b.phase = phaseTrailer
		return n, causeNone
	}
	if size > 1<<63-1-b.total {
		return 0, causeChunkSize
	}
	b.total += size
	if l.Body > 0 && b.total > l.Body {
		return 0, causeBodyTooLarge
	}
	b.phase, b.left = phaseChunkData, size
	return n, causeNone
}

// parseChunkLine parses chunk-size [chunk-ext] CRLF (RFC 9112, section 7.1). The
// size is followed by CRLF or ";" at once, and nothing but CRLF ends the line,
// also inside an extension: TERM.EXT, EXT.TERM and the SPILLs live on who skips
// what.
func parseChunkLine(b []byte) (n int, size int64, c cause) {
	for n < len(b) && message.Hex.Has(b[n]) {
		if n == 16 || size>>59 != 0 {
			return 0, 0, causeChunkSize
		}
		size = size<<4 | int64(hexValue(b[n]))
		n++
	}
	if n == 0 {
		return 0, 0, causeChunkSize
	}
	if n < len(b) && b[n] == ';' {
		k, c := extensions(b[n:])
		if k == 0 {
			return 0, 0, c
		}
		n += k
	}
	switch {
	case n+1 < len(b) && b[n] == '\r' && b[n+1] == '\n':
		return n + 2, size, causeNone
	case n < len(b) && b[n] == '\n':
		if !strict {
			return n + 1, size, causeNone
		}
		return 0, 0, causeBareLF
	case n < len(b) && b[n] == '\r':
		return 0, 0, causeBareCR
	default:
		return 0, 0, causeChunkSize
	}
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return message.Lower(c) - 'a' + 10
}

// extensions returns the length of *( ";" BWS token [ BWS "=" BWS ( token /
// quoted-string ) ] ).
func extensions(b []byte) (n int, c cause) {
	for n < len(b) && b[n] == ';' {
		n = skipBWS(b, n+1)
		k := message.Token.Prefix(b[n:])
		if k == 0 {
			return 0, causeChunkExtension
		}
		n += k
		equals := skipBWS(b, n)
		if equals == len(b) || b[equals] != '=' {
			continue
		}
		n = skipBWS(b, equals+1)
		if n < len(b) && b[n] == '"' {
			k = quotedString(b[n:])
		} else {
			k = message.Token.Prefix(b[n:])
		}
		if k == 0 {
			return 0, causeChunkExtension
		}
		n += k
	}
	if n < len(b) && b[n] != '\r' && b[n] != '\n' {
		return 0, causeChunkExtension
	}
	return n, causeNone
}

// skipBWS skips bad whitespace, which senders must not and do produce.
func skipBWS(b []byte, n int) int {
	for n < len(b) && (b[n] == ' ' || b[n] == '\t') {
		n++
	}
	return n
}

// quotedString returns the length of the quoted-string b begins with, or 0.
func quotedString(b []byte) int {
	for n := 1; n < len(b); n++ {
		switch {
		case b[n] == '"':
			return n + 1
		case b[n] == '\\':
			n++
			if n == len(b) || !message.Value.Has(b[n]) {
				return 0
			}
		case !message.Quoted.Has(b[n]):
			return 0
		}
	}
	return 0
}

// trailerLine reads one trailer field, which is dropped, or the end of the body.
func (b *body) trailerLine(in []byte, l *Limits) (n int, c cause) {
	credit := l.ChunkOverhead - b.excess
	if b.waiting(in) {
		return 0, tooLong(len(in)+1, credit, causeChunkOverhead)
	}
	if len(in) >= 2 && in[0] == '\r' && in[1] == '\n' {
		b.phase = phaseDone
		return 2, causeNone
	}
	var dropped message.Field
	n, c = fieldLine(in, &dropped)
	if n == 0 {
		return 0, b.stop(in, c, credit, causeChunkOverhead)
	}
	if n > credit {
		return 0, causeChunkOverhead
	}
	b.seen = 0
	b.excess += n
	if b.trailers++; b.trailers > l.Fields {
		return 0, causeTooManyFields
	}
	return n, causeNone
}

// waiting and stop do for the lines of a body what progress does for a head.
func (b *body) waiting(in []byte) bool {
	if b.seen > len(in) {
		b.seen = 0
	}
	if b.seen == 0 || bytes.IndexByte(in[b.seen:], '\n') >= 0 {
		return false
	}
	b.seen = len(in)
	return true
}

func (b *body) stop(in []byte, c cause, limit int, over cause) cause {
	nl := bytes.IndexByte(in, '\n')
	if nl < 0 {
		b.seen = len(in)
		return tooLong(len(in)+1, limit, over)
	}
	if o := tooLong(nl+1, limit, over); o != causeNone {
		return o
	}
	return c
}

func tooLong(n, limit int, over cause) cause {
	if n > limit {
		return over
	}
	return causeNone
}

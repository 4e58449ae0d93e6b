// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	"bytes"
	"encoding/binary"

	"github.com/pvgate/pvgate/gateway/message"
)

// A traceparent (W3C Trace Context, section 3.2) is version-trace-parent-flags, "00-", 32, 16 and 2 lower-case hex
// digits. These are the places of its parts.
const (
	traceparentLen = 55
	traceFrom      = 3
	traceTo        = 35
	spanFrom       = 36
	spanTo         = 52
	flagsFrom      = 53
)

// nameParent writes the traceparent of a trace and a span of ours.
func nameParent(dst *[traceparentLen]byte, id *[24]byte) {
	const trace = (traceTo - traceFrom) / 2
	copy(dst[:], "00-")
	for i := range trace / 4 {
		binary.BigEndian.PutUint64(dst[traceFrom+8*i:], digits(binary.BigEndian.Uint32(id[4*i:])))
	}
	dst[traceTo] = '-'
	for i := range (len(id) - trace) / 4 {
		binary.BigEndian.PutUint64(dst[spanFrom+8*i:], digits(binary.BigEndian.Uint32(id[trace+4*i:])))
	}
	copy(dst[spanTo:], "-00") // we record no span: whether theirs are is for those behind us to say (W3C Trace Context, section 3.2.2.5.1)
}

// digits returns the eight lower-case hexadecimal digits of n, the first one on top.
func digits(n uint32) uint64 {
	const ones = 0x0101010101010101
	d := uint64(n)
	d = (d | d<<16) & 0x0000ffff0000ffff
	d = (d | d<<8) & 0x00ff00ff00ff00ff
	d = (d | d<<4) & (0x0f * ones)
	letters := (d + 6*ones) >> 4 & ones // 1 where a digit is above 9
	return d + '0'*ones + letters*('a'-'0'-10)
}

// maxStates is how many members a tracestate may have (W3C Trace Context, section 3.3.1.1); maxState how long one's key,
// and one's value, may be.
const (
	maxStates = 32
	maxState  = 256
)

// Adopt lets the exchange go under the trace that the peer has named in traceparent, if it is well-formed: the resolver
// calls it once it knows that the peer is a known sender (of anybody else no trace is taken over). Trace holds the
// adopted one from then on. The parent is passed on as it came, for the gateway reports no span of its own. Without a
// valid traceparent a tracestate means nothing and is dropped, and so is one that is not valid itself (W3C Trace Context,
// section 4.3).
func (r *Request) Adopt() {
	var given []byte
	times := 0
	fields := r.Head.Fields
	for i := range fields {
		if fields[i].ID == message.Traceparent {
			given = fields[i].Value
			times++
		}
	}
	if times == 1 && adoptTraceparent(&r.parent, given) {
		copy(r.Trace, r.parent[traceFrom:traceTo])
		if validTracestate(fields) {
			return
		}
	}
	for i := range fields {
		if fields[i].ID == message.Tracestate {
			fields[i].ID = message.Traceparent // which is ours to say, so this one is removed
		}
	}
}

// adopted reports that Adopt has found a valid traceparent.
func (r *Request) adopted() bool { return r.parent[0] != 0 }

// adoptTraceparent writes a valid traceparent to dst in the form of version 00, and reports whether it was one. Of a
// later version what version 00 knows is taken (W3C Trace Context, section 4.3, "Versioning").
func adoptTraceparent(dst *[traceparentLen]byte, v []byte) bool {
	if len(v) < traceparentLen || !lowerHex(v[:2]) || v[2] != '-' || v[traceTo] != '-' || v[spanTo] != '-' ||
		!lowerHex(v[traceFrom:traceTo]) || !lowerHex(v[spanFrom:spanTo]) || !lowerHex(v[flagsFrom:traceparentLen]) ||
		allZero(v[traceFrom:traceTo]) || allZero(v[spanFrom:spanTo]) {
		return false
	}
	switch version := string(v[:2]); { // compiled to comparisons, no conversion
	case version == "00":
		if len(v) > traceparentLen {
			return false
		}
		copy(dst[:], v)
	case version == "ff" || len(v) > traceparentLen && v[traceparentLen] != '-':
		return false
	default:
		copy(dst[:], v)
		dst[0], dst[1] = '0', '0'
		dst[flagsFrom], dst[flagsFrom+1] = '0', '0'+sampled(v[flagsFrom+1])
	}
	return true
}

// sampled is the lowest bit of a hex digit.
func sampled(digit byte) byte {
	if digit >= 'a' {
		digit -= 'a' - 10
	}
	return digit & 1
}

func lowerHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != '0' {
			return false
		}
	}
	return true
}

// validTracestate checks the list that all tracestate fields make together (W3C Trace Context, section 3.3.1). None is
// valid; members may be empty.
func validTracestate(fields []message.Field) bool {
	var keys [maxStates][]byte
	n := 0
	for i := range fields {
		if fields[i].ID != message.Tracestate {
			continue
		}
		for rest, more := fields[i].Value, true; more; {
			var member []byte
			member, rest, more = bytes.Cut(rest, comma)
			if member = message.TrimOWS(member); len(member) == 0 {
				continue
			}
			key, value, ok := bytes.Cut(member, equals)
			if !ok || n == maxStates || !stateKey(key) || !stateValue(value) {
				return false
			}
			for _, k := range keys[:n] {
				if bytes.Equal(k, key) {
					return false
				}
			}
			keys[n] = key
			n++
		}
	}
	return true
}

func stateKey(key []byte) bool {
	if len(key) == 0 || len(key) > maxState {
		return false
	}
	for i, c := range key {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case i > 0 && (c == '_' || c == '-' || c == '*' || c == '/' || c == '@'):
		default:
			return false
		}
	}
	return true
}

// stateValue: the spaces behind a value are the list's, so it never ends in one.
func stateValue(value []byte) bool {
	if len(value) == 0 || len(value) > maxState {
		return false
	}
	for _, c := range value {
		if c < ' ' || c > '~' || c == '=' {
			return false
		}
	}
	return true
}

var (
	comma  = []byte(",")
	equals = []byte("=")
)

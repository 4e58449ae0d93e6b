// SPDX-License-Identifier: EUPL-1.2

package accesslog

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
)

// lineBytes is more than any line has.
const lineBytes = 1 << 10

// clock renders times; most lines are of the same second as the one before.
type clock struct {
	second int64
	text   []byte // "2026-11-22T03:29:13."
}

func (c *clock) append(dst []byte, ns int64) []byte {
	second, rest := ns/1e9, ns%1e9
	if second != c.second || len(c.text) == 0 {
		c.second = second
		c.text = time.Unix(second, 0).UTC().AppendFormat(c.text[:0], "2006-01-02T15:04:05.")
	}
	dst = append(dst, c.text...)
	return append(appendThree(dst, uint64(rest/1e6)), 'Z')
}

// append renders the line: the fields of the contract, in its order, all of them always.
func (e *entry) append(b []byte, l *Log, backends []string) []byte {
	b = l.clock.append(append(b, `{"time":"`...), e.time)
	b = appendWord(append(b, `","trace_id":"`...), e.trace[:])
	b = append(append(b, `","proto":"h1","method":"`...), e.method.String()...)
	b = appendUint(append(b, `","status":`...), uint64(e.status))
	b = append(append(b, `,"reason":"`...), e.reason.String()...)
	b = append(append(b, `","note":"`...), l.notes[e.note]...)
	b = append(append(b, `","fault":"`...), e.reason.Fault().String()...)
	b = appendWord(append(b, `","sender":"`...), e.sender[:e.sendLen])
	b = appendLand(append(b, `","land":"`...), e.land)
	b = append(b, `","kreis":"`...)
	if e.kreis > 0 {
		b = appendDigits(b, uint64(e.kreis), 5)
	}
	b = append(b, `","leistung":"`...)
	if e.leistung > 0 {
		b = appendDigits(b, e.leistung-1, 14)
	}
	b = append(b, `","backend":"`...)
	switch i := int(e.backend); {
	case i == exchange.BackendOther:
		b = append(b, "other"...)
	case i >= 0 && i < len(backends):
		b = appendWord(b, backends[i])
	}
	b = e.appendEndpoint(append(b, `","endpoint":"`...))
	b = append(append(b, `","mode":"`...), modes[e.mode]...)
	b = appendUint(append(b, `","bytes_in":`...), uint64(max(e.bytesIn, 0)))
	b = appendUint(append(b, `,"bytes_out":`...), uint64(max(e.bytesOut, 0)))
	b = appendMillis(append(b, `,"ms_total":`...), e.total)
	b = appendMillis(append(b, `,"ms_backend":`...), e.upstream)
	b = append(b, `,"ms_queue":0,"attempt":`...) // nothing queues yet
	b = appendUint(b, uint64(e.attempt))
	b = appendWord(append(b, `,"snapshot":"`...), e.snapshot[:])
	b = e.appendPrefix(append(b, `","ip_prefix":"`...))
	b = append(append(b, `","ua_class":"`...), e.agent.String()...)
	return append(b, '"', '}', '\n')
}

var modes = [...]string{modeNone: "none", modeRedirect: "redirect", modeProxy: "proxy"}

// appendWord appends a name of the configuration, or hex digits, up to the first zero octet. They have been checked where
// they came in; here all the same whatever is no letter, digit, or one of - _ . becomes a _, and what is longer than a name
// is cut, so that no mistake there makes a line of two or an endless one.
func appendWord[S ~string | ~[]byte](dst []byte, word S) []byte {
	at := len(dst)
	dst = append(dst, word[:min(len(word), maxName)]...)
	for i, c := range dst[at:] {
		if !wordOctets[c] {
			if c == 0 {
				return dst[:at+i]
			}
			dst[at+i] = '_'
		}
	}
	return dst
}

var wordOctets = func() (t [256]bool) {
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_." {
		t[c] = true
	}
	return t
}()

// appendUint is strconv.AppendUint with a short way for the numbers that a line mostly has.
func appendUint(dst []byte, n uint64) []byte {
	switch {
	case n < 10:
		return append(dst, byte('0'+n))
	case n < 100:
		return append(dst, byte('0'+n/10), byte('0'+n%10))
	case n < 1000:
		return appendThree(dst, n)
	}
	return strconv.AppendUint(dst, n, 10)
}

func appendLand(dst []byte, land uint8) []byte {
	if land >= exchange.LandNone {
		return append(dst, "none"...)
	}
	return append(dst, '0'+land/10, '0'+land%10)
}

// appendDigits appends n with leading zeros.
func appendDigits(dst []byte, n uint64, digits int) []byte {
	at := len(dst)
	dst = append(dst, "00000000000000000000"[:digits]...)
	for i := len(dst) - 1; i >= at; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

func appendThree(dst []byte, n uint64) []byte {
	return append(dst, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
}

// appendMillis appends a duration as milliseconds with three decimals.
func appendMillis(dst []byte, ns int64) []byte {
	us := uint64(max(ns, 0)) / 1000
	dst = appendUint(dst, us/1000)
	return appendThree(append(dst, '.'), us%1000)
}

func (e *entry) appendPrefix(dst []byte) []byte {
	switch p := &e.prefix; e.peer {
	case ipv4:
		dst = appendV4(dst, p[0], p[1], p[2], 0)
		return append(dst, "/24"...)
	case ipv6:
		var a [16]byte
		copy(a[:], p[:])
		return append(netip.AddrFrom16(a).AppendTo(dst), "/48"...)
	}
	return dst
}

func (e *entry) appendEndpoint(dst []byte) []byte {
	switch a := &e.endpoint; e.family {
	case ipv4:
		dst = append(appendV4(dst, a[0], a[1], a[2], a[3]), ':')
		return appendUint(dst, uint64(e.port))
	case ipv6:
		return netip.AddrPortFrom(netip.AddrFrom16(*a), e.port).AppendTo(dst)
	}
	return dst
}

func appendV4(dst []byte, a, b, c, d byte) []byte {
	dst = append(appendUint(dst, uint64(a)), '.')
	dst = append(appendUint(dst, uint64(b)), '.')
	dst = append(appendUint(dst, uint64(c)), '.')
	return appendUint(dst, uint64(d))
}

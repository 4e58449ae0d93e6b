// SPDX-License-Identifier: EUPL-1.2

package accesslog

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
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

// append renders the line: the fields of the contract, in its order, all of them always. Words of closed lists come from
// tables, together with the names around them: a line is made for every request, and mostly of constants.
func (e *entry) append(b []byte, l *Log, backends []string) []byte {
	w := &words
	b = l.clock.append(append(b, `{"time":"`...), e.time)
	b = appendWord(append(b, `","trace_id":"`...), e.trace[:])
	b = append(b, w.protocols[e.protocol]...)
	b = append(b, w.methods[e.method]...)
	b = appendUint(b, uint64(e.status))
	b = append(b, w.reasons[e.reason]...)
	b = append(b, l.notes[e.note]...)
	b = append(b, w.faults[e.reason]...)
	b = appendWord(b, e.sender[:e.sendLen])
	b = append(b, w.lands[e.land]...)
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
	b = append(b, `","endpoint":"`...)
	if e.family == unixSocket {
		b = append(b, l.sockets.text(e.port)...)
	}
	b = l.places.append(b, e)
	b = append(b, w.modes[e.mode]...)
	b = appendUint(b, uint64(max(e.bytesIn, 0)))
	b = appendUint(append(b, `,"bytes_out":`...), uint64(max(e.bytesOut, 0)))
	b = appendMillis(append(b, `,"ms_total":`...), e.total)
	b = appendMillis(append(b, `,"ms_backend":`...), e.upstream)
	b = appendMillis(append(b, `,"ms_queue":`...), e.queued)
	b = appendUint(append(b, `,"attempt":`...), uint64(e.attempt))
	b = appendWord(append(b, `,"snapshot":"`...), e.snapshot[:])
	b = e.appendPrefix(append(b, `","ip_prefix":"`...))
	return append(b, w.agents[e.agent]...)
}

// words are the closed lists as they stand in a line, by number; what is in no list reads as its type says it.
var words = makeWords()

type wordTables struct{ protocols, methods, reasons, faults, lands, modes, agents [256]string }

func makeWords() (w wordTables) {
	modes := [256]string{modeRedirect: "redirect", modeProxy: "proxy", modeNone: "none"}
	for i := range 256 {
		w.protocols[i] = `","proto":"` + exchange.Protocol(i).String()
		w.methods[i] = `","method":"` + message.Method(i).String() + `","status":`
		w.reasons[i] = `,"reason":"` + reason.Code(i).String() + `","note":"`
		w.faults[i] = `","fault":"` + reason.Code(i).Fault().String() + `","sender":"`
		w.lands[i] = `","land":"none","kreis":"`
		if i < exchange.LandNone {
			w.lands[i] = fmt.Sprintf(`","land":"%02d","kreis":"`, i)
		}
		w.modes[i] = `","mode":"` + modes[i] + `","bytes_in":`
		w.agents[i] = `","ua_class":"` + exchange.Agent(i).String() + "\"}\n"
	}
	return w
}

// appendWord appends a name of the configuration, or hex digits, up to the first zero octet. They have been checked where
// they came in; here all the same whatever is no letter, digit, or one of - _ . becomes a _, and what is longer than a name
// is cut, so that no mistake there makes a line of two or an endless one.
func appendWord[S ~string | ~[]byte](dst []byte, word S) []byte {
	at := len(dst)
	dst = append(dst, word[:min(len(word), maxName)]...)
	odd := byte(0)
	for _, c := range dst[at:] {
		odd |= oddOctets[c]
	}
	if odd == 0 {
		return dst
	}
	for i, c := range dst[at:] {
		if c == 0 {
			return dst[:at+i]
		}
		if oddOctets[c] != 0 {
			dst[at+i] = '_'
		}
	}
	return dst
}

// oddOctets are not 0 for what stands in no word.
var oddOctets = func() (t [256]byte) {
	for i := range t {
		t[i] = 1
	}
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_." {
		t[c] = 0
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

// octets are the decimal forms of an octet with a full stop behind.
var octets = func() (t [256]struct {
	text [4]byte
	n    uint8
},
) {
	for i := range t {
		t[i].n = uint8(copy(t[i].text[:], strconv.Itoa(i)+"."))
	}
	return t
}()

func (e *entry) appendPrefix(dst []byte) []byte {
	switch p := &e.prefix; e.peer {
	case ipv4:
		for _, octet := range p[:3] {
			o := &octets[octet]
			dst = append(dst, o.text[:]...)
			dst = dst[:len(dst)-4+int(o.n)]
		}
		return append(dst, "0/24"...)
	case ipv6:
		var a [16]byte
		copy(a[:], p[:])
		return append(netip.AddrFrom16(a).AppendTo(dst), "/48"...)
	}
	return dst
}

// places renders endpoints. There are few of them, and each stands in many lines.
type places [64]struct {
	to   netip.AddrPort
	text []byte
}

func (p *places) append(dst []byte, e *entry) []byte {
	var a netip.Addr
	switch e.family {
	case ipv4:
		a = netip.AddrFrom4([4]byte(e.endpoint[:4]))
	case ipv6:
		a = netip.AddrFrom16(e.endpoint)
	default:
		return dst
	}
	to := netip.AddrPortFrom(a, e.port)
	slot := &p[(e.port^uint16(e.endpoint[3])^uint16(e.endpoint[15]))%uint16(len(p))]
	if slot.to != to {
		slot.to, slot.text = to, to.AppendTo(slot.text[:0])
	}
	return append(dst, slot.text...)
}

// SPDX-License-Identifier: EUPL-1.2

// Package forwarded reads what proxies say about a client: Forwarded (RFC 7239) with its whole grammar, and the
// X-Forwarded-… fields that came before it.
//
// The calls you want: [Read] or [ReadX] to find the client behind proxies that are trusted, and [Valid] and [ValidX]
// for a list that is passed on. It is pure, does not allocate, and deliberately does not know who is trusted or which
// of the two families a proxy speaks: it is told.
package forwarded

import (
	"bytes"
	"net/netip"

	"github.com/pvgate/pvgate/gateway/message"
)

// Networks are those of the proxies that are trusted.
type Networks []netip.Prefix

// Contains reports whether an address lies in one of them.
func (n Networks) Contains(a netip.Addr) bool {
	for i := range n {
		if n[i].Contains(a) {
			return true
		}
	}
	return false
}

// Client is the hop nearest to us that is no trusted proxy, as the trusted proxies describe it. Slices point into what
// was read.
type Client struct {
	// Addr is its address, IPv4 unmapped; the zero value if there is no such hop or its proxy does not tell ("unknown",
	// an obfuscated name, no address at all).
	Addr netip.Addr
	// Host and Proto are what it asked its proxy for and how, as written (Host may be a quoted-string); nil if the
	// proxy does not tell.
	Host, Proto []byte
	// Before is what the client itself says about hops behind it: the list without the client's own element and
	// without everything after it. Only somebody who is known may be believed that much.
	Before []byte
}

// Read finds the client in a Forwarded list (all lines joined by commas) whose last element was written by a trusted
// proxy: the right-most hop that is not trusted itself, else the first of all. ok is false if the list is not by the
// grammar; nothing in it can then be told apart from what the client wrote.
func Read(list []byte, trusted Networks) (c Client, ok bool) {
	rest := list
	for first := true; ; first = false {
		start := len(list) - len(rest)
		e, more, ok := next(rest)
		if !ok {
			return Client{}, false
		}
		if more == nil {
			return c, true
		}
		addr, known := node(e.node)
		if first || !known || !trusted.Contains(addr) {
			c = Client{Addr: addr, Host: e.host, Proto: e.proto, Before: trimList(list[:start])}
		}
		rest = more
	}
}

// Valid reports whether a list is by the grammar of Forwarded (RFC 7239, section 4), so that an element appended to it
// is understood as one. Whether its nodes name anything is not looked at.
func Valid(list []byte) bool {
	for {
		_, more, ok := next(list)
		if !ok || more == nil {
			return ok
		}
		list = more
	}
}

// element is one forwarded-element; values as written.
type element struct{ node, host, proto []byte }

// next reads the element that list begins with, after empty members. more is what follows it, nil when there was none.
// Blanks around ";" are taken, though the grammar has none there: everybody writes them.
func next(list []byte) (e element, more []byte, ok bool) {
	for len(list) > 0 && (list[0] == ' ' || list[0] == '\t' || list[0] == ',') {
		list = list[1:]
	}
	if len(list) == 0 {
		return e, nil, true
	}
	by := false
	for {
		list = trimLeft(list)
		if n := message.Token.Prefix(list); n > 0 {
			name := list[:n]
			value, rest, ok := cutValue(list[n:])
			if !ok {
				return e, nil, false
			}
			list = trimLeft(rest)
			switch { // each at most once (section 4)
			case message.EqualFold(name, "for"):
				ok = set(&e.node, value)
			case message.EqualFold(name, "host"):
				ok = set(&e.host, value)
			case message.EqualFold(name, "proto"):
				ok = set(&e.proto, value)
			case message.EqualFold(name, "by"):
				by, ok = true, !by
			}
			if !ok {
				return e, nil, false
			}
		}
		switch {
		case len(list) == 0:
			return e, []byte{}, true
		case list[0] == ',':
			return e, list[1:], true
		case list[0] != ';':
			return e, nil, false
		}
		list = list[1:]
	}
}

func set(to *[]byte, value []byte) bool {
	if *to != nil {
		return false
	}
	*to = value
	return true
}

// cutValue reads "=" and a token or a quoted-string.
func cutValue(b []byte) (value, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != '=' {
		return nil, nil, false
	}
	b = b[1:]
	var n int
	if b[0] == '"' {
		n = quotedString(b)
	} else {
		n = message.Token.Prefix(b)
	}
	return b[:n], b[n:], n > 0
}

// quotedString returns the length of the quoted-string that b begins with, 0 if it does not end (RFC 9110, section
// 5.6.4).
func quotedString(b []byte) int {
	for n := 1; n < len(b); n++ {
		switch c := b[n]; {
		case c == '"':
			return n + 1
		case c == '\\':
			if n++; n == len(b) || !message.Value.Has(b[n]) {
				return 0
			}
		case !message.Quoted.Has(c):
			return 0
		}
	}
	return 0
}

// AppendText appends what a value means: a quoted-string without quotes and backslashes, a token as it is.
func AppendText(dst, value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return append(dst, value...)
	}
	for i := 1; i < len(value)-1; i++ {
		if value[i] == '\\' {
			i++
		}
		dst = append(dst, value[i])
	}
	return dst
}

// maxNode is longer than a node with an address and a port.
const maxNode = 64

// node reads the address of a node (section 6), if it is one.
func node(value []byte) (netip.Addr, bool) {
	var buf [maxNode]byte
	if len(value) > len(buf) {
		return netip.Addr{}, false
	}
	text := AppendText(buf[:0], value)
	if bytes.Count(text, colon) > 1 && text[0] != '[' {
		return netip.Addr{}, false // an IPv6 address is bracketed here
	}
	return hop(text)
}

var colon = []byte(":")

// hop reads an address with a port perhaps, or an obfuscated one: 192.0.2.7, 192.0.2.7:4711, 2001:db8::7,
// [2001:db8::7], [2001:db8::7]:_x.
func hop(text []byte) (netip.Addr, bool) {
	port, bracketed := []byte(nil), len(text) > 0 && text[0] == '['
	switch {
	case bracketed:
		end := bytes.IndexByte(text, ']')
		if end < 0 {
			return netip.Addr{}, false
		}
		text, port = text[1:end], text[end+1:]
	case bytes.Count(text, colon) == 1:
		end := bytes.IndexByte(text, ':')
		text, port = text[:end], text[end:]
	}
	a, ok := message.ParseAddr(text)
	if !ok || bracketed && !a.Is6() || !validPort(port) {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// validPort checks ":" 1*5DIGIT or ":" obfport, or nothing.
func validPort(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if len(b) < 2 || b[0] != ':' {
		return false
	}
	if b = b[1:]; b[0] == '_' {
		return len(b) > 1 && message.Token.All(b)
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) <= 5
}

// ReadX is Read for X-Forwarded-For with X-Forwarded-Host and X-Forwarded-Proto, each with all its lines joined. Host
// and Proto count if there is one for each hop, or one only: any other number cannot be assigned to hops.
func ReadX(hops, host, proto []byte, trusted Networks) (c Client) {
	at, n := 0, 0
	for rest := hops; ; n++ {
		start := len(hops) - len(rest)
		var text []byte
		if text, rest = message.NextMember(rest); text == nil {
			break
		}
		addr, ok := hop(text)
		if n == 0 || !ok || !trusted.Contains(addr) {
			c.Addr, c.Before, at = addr, trimList(hops[:start]), n
		}
	}
	c.Host, c.Proto = member(host, at, n), member(proto, at, n)
	return c
}

// member returns the member of a list that belongs to the hop number at of n.
func member(list []byte, at, n int) (found []byte) {
	count := 0
	for {
		m, more := message.NextMember(list)
		if m == nil {
			break
		}
		if count == at || count == 0 {
			found = m
		}
		count, list = count+1, more
	}
	if count != 1 && count != n {
		return nil
	}
	return found
}

// ValidX checks an X-Forwarded-For value that is passed on: addresses, with ports or brackets perhaps, and nothing else
// that a backend might log or print.
func ValidX(list []byte) bool {
	for _, c := range list {
		if !message.Hex.Has(c) && c != '.' && c != ':' && c != '[' && c != ']' && c != ',' && c != ' ' {
			return false
		}
	}
	return true
}

func trimLeft(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

// trimList drops what would be an empty member at the end.
func trimList(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t' || b[len(b)-1] == ',') {
		b = b[:len(b)-1]
	}
	return b
}

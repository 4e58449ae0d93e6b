// SPDX-License-Identifier: EUPL-1.2

// Package handover is the signed context that travels with a citizen from an
// entry address to the portal's own: which Leistung was asked for, in which
// area, by which sender, and which backend it is for. It names no person: all
// who ask the same through the same sender carry the same cookie, bit for bit.
//
// The calls you want: [NewKeys], then [Keys.Seal] on the way out and
// [Keys.Open] on the way in. A context has two kinds, a link that is good for a
// minute and a cookie; one is never taken for the other. It is pure, and Open
// does not allocate.
//
// It deliberately knows nothing of addresses, fields and cookies' attributes
// (surface), reads no file and no clock.
//
// The text is base64url, without padding, of
//
//	version 1 · kind 1 · expiry 4 · Leistung · area · sender · backend · MAC 16
//
// where the four in the middle are one octet of length and as many octets, and
// the numbers before are big-endian octets. Expiry is in seconds since 1970, 0
// in a cookie. The area is empty if none was asked for, "00" for the Bund. The
// MAC is HMAC-SHA-256 over all before it, cut to 128 bits (RFC 2104, section 5).
package handover

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"

	"github.com/pvgate/pvgate/registry"
)

// Valid is how long a link is good, seconds.
const Valid = 60

// skew is how far the clocks of a fleet's nodes may differ, seconds: a link that
// ends later than that behind Valid was made by a clock gone wrong.
const skew = 30

// MaxName is the longest name of a sender or a backend, bytes.
const MaxName = 63

// MaxText is the longest text of a context, bytes.
const MaxText = (maxRaw*4 + 2) / 3

const (
	version  = 1
	headSize = 1 + 1 + 4
	macSize  = 16
	maxRaw   = headSize + (1 + 14) + (1 + 12) + 2*(1+MaxName) + macSize
)

// Kind is where a context travels.
type Kind uint8

// The kinds.
const (
	Link   Kind = 1 // in an address, good for [Valid] seconds
	Cookie Kind = 2 // in a cookie, good as long as its key
)

// Context is what is known of a request after it was handed over. The zero value
// is empty; a copy is independent.
type Context struct {
	Leistung registry.Leistung
	Area     registry.ARS
	HaveArea bool
	sender   name
	backend  name
}

// name is a short text without a pointer, so that a Context needs no buffer.
type name struct {
	text [MaxName]byte
	n    uint8
}

func (n *name) bytes() []byte { return n.text[:n.n] }

func (n *name) set(b []byte) bool {
	if len(b) > MaxName {
		return false
	}
	n.n = uint8(copy(n.text[:], b))
	return true
}

// Sender returns the sender's name; it points into c.
func (c *Context) Sender() []byte { return c.sender.bytes() }

// Backend returns the backend's name; it points into c.
func (c *Context) Backend() []byte { return c.backend.bytes() }

// SetNames sets sender and backend, and reports false if one is longer than
// [MaxName].
func (c *Context) SetNames(sender, backend []byte) bool {
	return c.sender.set(sender) && c.backend.set(backend)
}

// Fault says what is wrong with a text that was given as a context.
type Fault uint8

// The faults.
const (
	None    Fault = iota
	Forged        // not made with a key of ours, or of another kind
	Expired       // a link that was good once
)

// Seal appends the text of a context, signed with the first key. now is the wall
// clock in seconds since 1970.
func (k *Keys) Seal(dst []byte, kind Kind, c *Context, now int64) []byte {
	var buf [maxRaw]byte
	raw := append(buf[:0], version, byte(kind))
	expiry := uint32(0)
	if kind == Link {
		expiry = uint32(now + Valid)
	}
	raw = binary.BigEndian.AppendUint32(raw, expiry)
	raw = c.append(raw)
	own := sum(&k.keys[0], raw)
	return encoding.AppendEncode(dst, append(raw, own[:]...))
}

// append appends the four texts.
func (c *Context) append(raw []byte) []byte {
	at := len(raw)
	raw = append(raw, 0)
	if !c.Leistung.IsZero() {
		raw = c.Leistung.Append(raw)
	}
	raw[at] = byte(len(raw) - at - 1)
	at = len(raw)
	raw = append(raw, 0)
	switch {
	case !c.HaveArea:
	case c.Area.IsBund():
		raw = append(raw, "00"...)
	default:
		raw = c.Area.Append(raw)
	}
	raw[at] = byte(len(raw) - at - 1)
	raw = append(append(raw, c.sender.n), c.sender.bytes()...)
	return append(append(raw, c.backend.n), c.backend.bytes()...)
}

// Open reads a text of this kind into c, which it leaves empty at a fault. now is
// the wall clock in seconds since 1970.
func (k *Keys) Open(kind Kind, text []byte, c *Context, now int64) Fault {
	*c = Context{}
	if len(text) > MaxText || bytes.ContainsAny(text, "\r\n") { // which the decoder would pass over
		return Forged
	}
	var buf [maxRaw + 2]byte
	n, err := encoding.Decode(buf[:], text)
	if err != nil || n < headSize+macSize {
		return Forged
	}
	raw, given := buf[:n-macSize], buf[n-macSize:n]
	if !k.signed(raw, given) || raw[0] != version || raw[1] != byte(kind) || !c.read(raw[headSize:]) {
		*c = Context{}
		return Forged
	}
	if kind != Link {
		return None
	}
	if left := int64(binary.BigEndian.Uint32(raw[2:])) - now; left <= 0 || left > Valid+skew {
		*c = Context{}
		return Expired
	}
	return None
}

// signed reports whether one of the keys made the MAC.
func (k *Keys) signed(raw, given []byte) bool {
	for i := range k.keys {
		own := sum(&k.keys[i], raw)
		if subtle.ConstantTimeCompare(own[:], given) == 1 {
			return true
		}
	}
	return false
}

// read reads the four texts; nothing may follow them.
func (c *Context) read(raw []byte) bool {
	leistung, raw, ok1 := take(raw)
	area, raw, ok2 := take(raw)
	sender, raw, ok3 := take(raw)
	backend, raw, ok4 := take(raw)
	if !ok1 || !ok2 || !ok3 || !ok4 || len(raw) > 0 || !c.SetNames(sender, backend) {
		return false
	}
	var err error
	if len(leistung) > 0 {
		if c.Leistung, err = registry.ParseLeistung(leistung); err != nil {
			return false
		}
	}
	if c.HaveArea = len(area) > 0; c.HaveArea {
		if c.Area, err = registry.ParseARS(area); err != nil {
			return false
		}
	}
	return true
}

func take(raw []byte) (text, rest []byte, ok bool) {
	if len(raw) == 0 || len(raw) < 1+int(raw[0]) {
		return nil, nil, false
	}
	n := 1 + int(raw[0])
	return raw[1:n], raw[n:], true
}

// encoding is base64url as cookies and queries take it; its last bits must be
// zero, so that a context has one spelling.
var encoding = base64.RawURLEncoding.Strict()

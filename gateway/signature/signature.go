// SPDX-License-Identifier: EUPL-1.2

// Package signature verifies requests that a sender has signed with a key it shares with the gateway: HMAC-SHA-256 over
// what the request asks for, in the field PV-Signature.
//
//	PV-Signature: t=1763800000,key=bund,mac=<64 lower-case hex digits>
//
// t is the time of signing in seconds since 1970, key the sender's name: which of its keys it is, is tried. The mac is
// over the nine parts of [Message], each as a netstring (its length in decimal, a colon, its bytes, a comma), so that no part can be
// moved into its neighbour:
//
//	pvgate-1  t  key  method  authority  path-and-query  PV-Leistung  PV-ARS  PV-Language
//
// The calls you want are [NewKeys] and [Keys.Verify]. It deliberately does not cover the body, which is
// not there yet when a request is led somewhere, and keeps no list of what it has seen: within the window a signature
// can be used again by who can read it. TLS sees to that.
package signature

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/gateway/mac"
)

// Window is how far the time of signing may lie from ours, in either direction.
const Window = 60 * time.Second

// MaxKeys is how many keys a sender may have: the one it signs with and the one before or after it. Each is tried.
const MaxKeys = 2

// minKey is the least size of a key in bytes.
const minKey = 32

// maxName bounds the name of a sender.
const maxName = 64

// Sender is who may sign.
type Sender struct {
	Name   string
	Number int // what Verify returns for it; not 0
	Keys   [][]byte
}

// Keys are the keys of all senders. Immutable and safe for concurrent use.
type Keys struct{ byName map[string]*sender }

type sender struct {
	number int
	keys   []mac.Key
}

// NewKeys prepares the keys of all senders that have some; nil if none has.
func NewKeys(senders []Sender) (*Keys, error) {
	k := &Keys{byName: map[string]*sender{}}
	for _, from := range senders {
		switch {
		case len(from.Keys) == 0:
			continue
		case len(from.Keys) > MaxKeys:
			return nil, fmt.Errorf("sender %q has %d keys; keep the newest %d", from.Name, len(from.Keys), MaxKeys)
		case k.byName[from.Name] != nil || from.Name == "" || len(from.Name) > maxName || strings.Contains(from.Name, ","):
			return nil, fmt.Errorf("sender %q cannot be told from others by its name", from.Name)
		}
		s := &sender{number: from.Number}
		for _, key := range from.Keys {
			if len(key) < minKey {
				return nil, fmt.Errorf("sender %q has a key of %d bytes; it needs %d", from.Name, len(key), minKey)
			}
			s.keys = append(s.keys, mac.NewKey(key))
		}
		k.byName[from.Name] = s
	}
	if len(k.byName) == 0 {
		return nil, nil
	}
	return k, nil
}

// Message is what is signed. Slices are those of the request.
type Message struct {
	Method    []byte
	Authority []byte // the Host as the sender wrote it
	Path      []byte // as received
	Query     []byte // without "?"
	HasQuery  bool

	Leistung, ARS, Language []byte // PV- fields; an absent one is empty
}

// Outcome is what Verify finds.
type Outcome uint8

// The outcomes of a verification.
const (
	Valid     Outcome = iota
	Malformed         // not of the form of PV-Signature
	Untimely          // signed too long ago, or in the future
	Wrong             // no such sender, or another mac: which one is not told
)

// Verify checks the value of a PV-Signature field and returns the sender whose key made it. now is the wall clock. What
// is hashed is assembled in scratch, which is returned for the next use.
func (k *Keys) Verify(field []byte, m *Message, now time.Time, scratch []byte) (sender int, o Outcome, _ []byte) {
	stamp, name, given, ok := split(field)
	if !ok {
		return 0, Malformed, scratch
	}
	t := int64(0)
	for _, c := range stamp {
		t = t*10 + int64(c-'0')
	}
	if d := now.Unix() - t; d > int64(Window/time.Second) || -d > int64(Window/time.Second) {
		return 0, Untimely, scratch
	}
	s, ok := k.byName[string(name)] // no conversion takes place
	if !ok {
		return 0, Wrong, scratch
	}
	from := len(scratch)
	scratch = m.Append(scratch, stamp, name)
	end, right := len(scratch), 0
	for i := range s.keys {
		var sum [sha256.Size]byte
		sum, scratch = s.keys[i].Sum(scratch[from:end], scratch)
		right |= subtle.ConstantTimeCompare(sum[:], given[:])
	}
	if right != 1 {
		return 0, Wrong, scratch[:from]
	}
	return s.number, Valid, scratch[:from]
}

var version = []byte("pvgate-1")

// Append appends the bytes that are signed.
func (m *Message) Append(dst, stamp, name []byte) []byte {
	dst = appendPart(dst, version)
	dst = appendPart(dst, stamp)
	dst = appendPart(dst, name)
	dst = appendPart(dst, m.Method)
	dst = appendPart(dst, m.Authority)
	if m.HasQuery {
		dst = strconv.AppendInt(dst, int64(len(m.Path)+1+len(m.Query)), 10)
		dst = append(append(append(dst, ':'), m.Path...), '?')
		dst = append(append(dst, m.Query...), ',')
	} else {
		dst = appendPart(dst, m.Path)
	}
	dst = appendPart(dst, m.Leistung)
	dst = appendPart(dst, m.ARS)
	return appendPart(dst, m.Language)
}

// appendPart appends a netstring.
func appendPart(dst, part []byte) []byte {
	dst = strconv.AppendInt(dst, int64(len(part)), 10)
	dst = append(append(dst, ':'), part...)
	return append(dst, ',')
}

// maxStamp is the number of digits that lasts until the year 5138.
const maxStamp = 11

// split reads t=DIGITS,key=NAME,mac=HEX: in this order, without blanks.
func split(field []byte) (stamp, name []byte, given [sha256.Size]byte, ok bool) {
	field, ok = cutPrefix(field, "t=")
	n := 0
	for n < len(field) && field[n]-'0' <= 9 {
		n++
	}
	if !ok || n == 0 || n > maxStamp {
		return nil, nil, given, false
	}
	stamp = field[:n]
	if field, ok = cutPrefix(field[n:], ",key="); !ok {
		return nil, nil, given, false
	}
	n = 0
	for n < len(field) && field[n] != ',' {
		n++
	}
	name = field[:n]
	field, ok = cutPrefix(field[n:], ",mac=")
	if !ok || len(name) == 0 || len(name) > maxName || len(field) != 2*len(given) {
		return nil, nil, given, false
	}
	for i := range given {
		high, low := digit(field[2*i]), digit(field[2*i+1])
		if high > 15 || low > 15 {
			return nil, nil, given, false
		}
		given[i] = high<<4 | low
	}
	return stamp, name, given, true
}

func cutPrefix(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return b, false
	}
	return b[len(prefix):], true
}

// digit is the value of a lower-case hexadecimal digit, 0xff if it is none.
func digit(c byte) byte {
	switch {
	case c-'0' <= 9:
		return c - '0'
	case c-'a' <= 5:
		return c - 'a' + 10
	default:
		return 0xff
	}
}

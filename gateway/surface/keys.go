// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"bytes"
	"errors"
	"slices"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/registry"
)

// maxKey is the longest text that is read as a key; the grammar allows dots and
// spaces between digits, so it is more than a key needs.
const maxKey = 128

// keys is what a request names: path, query (not beside an area in the path)
// and, from senders we know, header fields. The same thing named twice must
// mean the same.
type keys struct {
	leistung registry.Leistung
	area     registry.AreaID

	haveLeistung, haveArea bool

	rest []byte // of the path, behind the area; "" or "/…"
	cut  bool   // our parameters are to be cut out of the query

	langGiven bool // as a parameter
	lang      reason.Lang

	// What is wrong, if anything is.
	fault reason.Code
	value []byte // as given
	where string
	err   error // of the area
}

// Where a key was named, for conflicting_keys.
const (
	wherePath   = "path"
	whereQuery  = "query"
	whereHeader = "header"
)

const prefix = "/leistung"

// isEntry reports whether a path is of the form /leistung….
func isEntry(path []byte) bool {
	return len(path) >= len(prefix) && string(path[:len(prefix)]) == prefix &&
		(len(path) == len(prefix) || path[len(prefix)] == '/')
}

// read fills k from a request whose path isEntry. It stops at the first fault.
func (k *keys) read(c *call) {
	first, second, area := k.split(c.r.Path[len(prefix):])
	if len(first) > 0 && !k.takeLeistung(first, wherePath, inPath) {
		return
	}
	switch {
	case !area:
		k.cut = true
		if !k.readQuery(c) {
			return
		}
	case string(second) == "-":
		k.readLang(c.r.Head.Query)
	case !k.takeArea(c, second, wherePath, inPath):
		return
	default:
		k.readLang(c.r.Head.Query)
	}
	if c.sender > 0 && !k.readHeader(c) {
		return
	}
	if !k.haveLeistung {
		k.fault = reason.InvalidLeistung
	}
}

// split cuts "/{leistung}/{area}{rest}". area says whether there is an area
// segment; a path that ends in a slash has none.
func (k *keys) split(path []byte) (leistung, area []byte, haveArea bool) {
	if len(path) == 0 {
		return nil, nil, false
	}
	path = path[1:]
	i := bytes.IndexByte(path, '/')
	if i < 0 {
		return path, nil, false
	}
	leistung, path = path[:i], path[i+1:]
	if len(path) == 0 {
		return leistung, nil, false
	}
	i = bytes.IndexByte(path, '/')
	if i < 0 {
		return leistung, path, true
	}
	k.rest = path[i:]
	return leistung, path[:i], true
}

// coding is how a value is written where it stands.
type coding uint8

const (
	inPath   coding = iota // percent-encoded
	inQuery                // percent-encoded, + is a space
	inHeader               // as it is
)

func (k *keys) fail(code reason.Code, value []byte) bool {
	k.fault, k.value = code, value
	return false
}

func (k *keys) conflict(where string) bool {
	k.fault, k.where = reason.ConflictingKeys, where
	return false
}

func (k *keys) takeLeistung(raw []byte, where string, as coding) bool {
	var buf [maxKey]byte
	text, ok := decode(buf[:0], raw, as)
	if !ok {
		return k.fail(reason.InvalidLeistung, raw)
	}
	l, err := registry.ParseLeistung(text)
	if err != nil {
		return k.fail(reason.InvalidLeistung, raw)
	}
	if k.haveLeistung && l != k.leistung {
		return k.conflict("leistung: " + where)
	}
	k.leistung, k.haveLeistung = l, true
	return true
}

func (k *keys) takeArea(c *call, raw []byte, where string, as coding) bool {
	// Not on the stack: what Locate is given may end in its error.
	if cap(c.p.Scratch)-len(c.p.Scratch) < maxKey {
		c.p.Scratch = slices.Grow(c.p.Scratch, maxKey)
	}
	text, ok := decode(c.p.Scratch[len(c.p.Scratch):], raw, as)
	if !ok {
		return k.fail(reason.InvalidArea, raw)
	}
	if c.table == nil {
		return true // nothing to look it up in; the answer will be registry_unavailable
	}
	place, err := c.table.Areas().LocateBytes(text, c.r.Now, registry.LocateOptions{Direct: c.sender == 0})
	if err != nil {
		k.err = err
		return k.fail(areaFault(err), raw)
	}
	if k.haveArea && place.ID != k.area {
		return k.conflict("area: " + where)
	}
	k.area, k.haveArea = place.ID, true
	return true
}

func areaFault(err error) reason.Code {
	var split *registry.SplitArea
	var unknown *registry.UnknownArea
	switch {
	case errors.As(err, &split):
		return reason.AreaRequired
	case errors.As(err, &unknown):
		return reason.UnknownArea
	default:
		return reason.InvalidArea
	}
}

// readQuery reads our parameters, each of which may stand once.
func (k *keys) readQuery(c *call) bool {
	var seen [parameters]bool
	for query := c.r.Head.Query; len(query) > 0; {
		var segment []byte
		segment, query = cutSegment(query)
		p, value := ours(segment)
		if p == notOurs {
			continue
		}
		if seen[p] {
			return k.conflict(parameterNames[p] + ": " + whereQuery)
		}
		seen[p] = true
		ok := true
		switch p {
		case paramLeistung:
			ok = k.takeLeistung(value, whereQuery, inQuery)
		case paramARS, paramAGS:
			if seen[paramARS] && seen[paramAGS] {
				return k.conflict("ars, ags: " + whereQuery)
			}
			ok = k.takeArea(c, value, whereQuery, inQuery)
		case paramLang:
			k.takeLang(value)
		}
		if !ok {
			return false
		}
	}
	return true
}

// readLang reads lang where the query is not ours otherwise: the first one.
func (k *keys) readLang(query []byte) {
	for len(query) > 0 && !k.langGiven {
		var segment []byte
		segment, query = cutSegment(query)
		if p, value := ours(segment); p == paramLang {
			k.takeLang(value)
		}
	}
}

func (k *keys) takeLang(raw []byte) {
	var buf [maxKey]byte
	text, ok := decode(buf[:0], raw, inQuery)
	if !ok {
		return
	}
	if lang, ok := pages.Language(text); ok {
		k.lang, k.langGiven = lang, true
	}
}

// readHeader reads the fields of a sender we know.
func (k *keys) readHeader(c *call) bool {
	fields := c.r.Head.Fields
	for i := range fields {
		f := &fields[i]
		switch f.ID {
		case message.PVLeistung:
			c.byPV = true
			if !k.takeLeistung(f.Value, whereHeader, inHeader) {
				return false
			}
		case message.PVARS:
			c.byPV = true
			if !k.takeArea(c, f.Value, whereHeader, inHeader) {
				return false
			}
		}
	}
	return true
}

// parameter is one of ours in a query form.
type parameter uint8

const (
	notOurs parameter = iota
	paramLeistung
	paramARS
	paramAGS
	paramLang
	parameters
)

var parameterNames = [parameters]string{"", "leistung", "ars", "ags", "lang"}

// cutSegment cuts the first parameter off a raw query.
func cutSegment(query []byte) (segment, rest []byte) {
	if i := bytes.IndexByte(query, '&'); i >= 0 {
		return query[:i], query[i+1:]
	}
	return query, nil
}

// ours tells which of our parameters a raw segment is. The name is read as a
// form decoder at the backend would: what it could take for one of ours is
// ours, so that nothing can be said twice in two spellings.
func ours(segment []byte) (p parameter, value []byte) {
	name := segment
	if i := bytes.IndexByte(segment, '='); i >= 0 {
		name, value = segment[:i], segment[i+1:]
	}
	const longest = len("leistung")
	if len(name) > 3*longest {
		return notOurs, nil
	}
	var buf [3 * longest]byte
	text, ok := decode(buf[:0], name, inQuery)
	if !ok {
		return notOurs, nil
	}
	for p := paramLeistung; p < parameters; p++ {
		if string(text) == parameterNames[p] {
			return p, value
		}
	}
	return notOurs, nil
}

// appendQuery appends what is forwarded of a raw query, byte for byte: all of
// it, or what is not ours. have says whether there is a query left.
func (k *keys) appendQuery(dst []byte, h *message.Head) (out []byte, have bool) {
	if !k.cut {
		return append(dst, h.Query...), h.HasQuery
	}
	rest, more := h.Query, h.HasQuery
	for more {
		segment := rest
		if i := bytes.IndexByte(rest, '&'); i >= 0 {
			segment, rest = rest[:i], rest[i+1:]
		} else {
			more = false
		}
		if p, _ := ours(segment); p != notOurs {
			continue
		}
		if have {
			dst = append(dst, '&')
		}
		dst, have = append(dst, segment...), true
	}
	return dst, have
}

// decode undoes the coding once. It fails on an incomplete percent-encoding and
// on more than maxKey bytes.
func decode(dst, raw []byte, as coding) (text []byte, ok bool) {
	if len(raw) > 3*maxKey {
		return nil, false
	}
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case as == inHeader:
		case c == '+' && as == inQuery:
			c = ' '
		case c == '%':
			if i+2 >= len(raw) {
				return nil, false
			}
			high, okHigh := unhex(raw[i+1])
			low, okLow := unhex(raw[i+2])
			if !okHigh || !okLow {
				return nil, false
			}
			c = high<<4 | low
			i += 2
		}
		if len(dst) == maxKey {
			return nil, false
		}
		dst = append(dst, c)
	}
	return dst, true
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	default:
		return 0, false
	}
}

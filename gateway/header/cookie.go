// SPDX-License-Identifier: EUPL-1.2

package header

import (
	"bytes"

	"github.com/pvgate/pvgate/gateway/message"
)

// Cookies calls found with the value of each cookie of this name in the Cookie
// fields of a request (RFC 6265, section 5.4), and reports whether there was one.
func Cookies(fields []message.Field, name string, found func(value []byte)) (any bool) {
	for i := range fields {
		if fields[i].ID != message.Cookie {
			continue
		}
		for pair, rest := cutSemicolon(fields[i].Value); pair != nil; pair, rest = cutSemicolon(rest) {
			if value, ok := named(pair, name); ok {
				found(value)
				any = true
			}
		}
	}
	return any
}

// CutCookie takes the cookies of this name out of the Cookie fields and leaves
// all others as they are, byte for byte. What it writes is appended to scratch.
func CutCookie(fields []message.Field, name string, scratch []byte) []byte {
	for i := range fields {
		f := &fields[i]
		if f.ID != message.Cookie {
			continue
		}
		at, cut := len(scratch), false
		for pair, rest := cutSemicolon(f.Value); pair != nil; pair, rest = cutSemicolon(rest) {
			if _, ours := named(pair, name); ours {
				cut = true
				continue
			}
			if len(scratch) > at {
				scratch = append(scratch, ';')
			} else {
				pair = bytes.TrimLeft(pair, " \t") // what it stood behind may be gone
			}
			scratch = append(scratch, pair...)
		}
		switch {
		case !cut:
			scratch = scratch[:at]
		case len(scratch) == at:
			f.ID = message.KeepAlive // ends here
		default:
			f.Value = scratch[at:len(scratch):len(scratch)]
		}
	}
	return scratch
}

// DropCookies marks the Cookie fields of a request as ending here.
func DropCookies(fields []message.Field) {
	for i := range fields {
		if fields[i].ID == message.Cookie {
			fields[i].ID = message.KeepAlive
		}
	}
}

// named returns the value of a cookie pair if it has this name, which holds
// neither spaces nor "=". Names compare with case.
func named(pair []byte, name string) (value []byte, ok bool) {
	pair = message.TrimOWS(pair)
	if len(pair) <= len(name) || string(pair[:len(name)]) != name {
		return nil, false
	}
	pair = message.TrimOWS(pair[len(name):])
	if len(pair) == 0 || pair[0] != '=' {
		return nil, false
	}
	return message.TrimOWS(pair[1:]), true
}

var equals = []byte("=")

// cutSemicolon cuts the first segment off a list; it is nil at the end. Quotes do
// not protect a semicolon (RFC 6265, section 5.2): whoever thinks they do sees
// fewer segments than are looked at here, never others.
func cutSemicolon(list []byte) (segment, rest []byte) {
	if list == nil {
		return nil, nil
	}
	if i := bytes.IndexByte(list, ';'); i >= 0 {
		return list[:i], list[i+1:]
	}
	return list, nil
}

// hostPrefix begins the names of cookies that browsers accept for a whole host
// only. They compare it without case.
const hostPrefix = "__host-"

// cookie decides about a Set-Cookie field and takes out of it what would bring
// the cookie to another backend: Domain always, and below a prefix its Path gets
// that prefix. All else stays as the backend wrote it.
func (r *Response) cookie(f *message.Field) (keep bool) {
	pair, attributes := cutSemicolon(f.Value)
	if r.refused(pair) {
		return false
	}
	if attributes == nil && len(r.Prefix) == 0 {
		return true
	}
	from, cut := len(r.Scratch), false
	s := append(r.Scratch, pair...)
	var path []byte
	for a, rest := cutSemicolon(attributes); a != nil; a, rest = cutSemicolon(rest) {
		switch name, value, _ := bytes.Cut(a, equals); {
		case isAttribute(name, "domain"):
			cut = true
		case len(r.Prefix) > 0 && isAttribute(name, "path"):
			path = message.TrimOWS(value) // the last one counts
		default:
			s = append(append(s, ';'), a...)
		}
	}
	if len(r.Prefix) > 0 {
		if len(path) == 0 || path[0] != '/' {
			path = defaultPath(r.Target)
		}
		s = append(append(append(s, "; Path="...), r.Prefix...), path...)
		cut = true
	}
	if cut {
		r.Scratch = s
		f.Value = s[from:len(s):len(s)]
	}
	return true
}

// refused reports a cookie that would pass for the gateway's own, or claims a
// host that is not the backend's alone. A browser sends a cookie without a name
// as its value only, in which the next reader finds a name.
func (r *Response) refused(pair []byte) bool {
	name, value, found := bytes.Cut(pair, equals)
	for found && len(message.TrimOWS(name)) == 0 {
		name, value, found = bytes.Cut(value, equals)
	}
	name = message.TrimOWS(name)
	if len(r.OwnCookie) > 0 && string(name) == r.OwnCookie || len(r.StayCookie) > 0 && string(name) == r.StayCookie {
		return true
	}
	return len(r.Prefix) > 0 && len(name) >= len(hostPrefix) && message.EqualFold(name[:len(hostPrefix)], hostPrefix)
}

// isAttribute compares an attribute's name without case. What is no letter
// around it is passed over: some clients trim more than spaces.
func isAttribute(text []byte, name string) bool {
	for len(text) > 0 && !isLetter(text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && !isLetter(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return message.EqualFold(text, name)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// defaultPath is the path of a cookie that names none (RFC 6265, section 5.1.4).
func defaultPath(target []byte) []byte {
	path, _, _ := bytes.Cut(target, question)
	if len(path) == 0 || path[0] != '/' {
		return slash
	}
	if i := bytes.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return slash
}

var (
	question = []byte("?")
	slash    = []byte("/")
)

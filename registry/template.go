// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"errors"
	"fmt"
	"strings"
)

// ErrEmptyValue says that a placeholder in a path or fragment has no value: target_refused.
var ErrEmptyValue = errors.New("a placeholder in the path or fragment has no value")

// ErrDotSegment says that the value of a placeholder in a path is "." or "..", which readers of URLs resolve away:
// target_refused.
var ErrDotSegment = errors.New(`a placeholder in the path has the value "." or ".."`)

// Values fill a [Template].
type Values struct {
	Leistung    Leistung
	ARS         ARS    // zero = Bund
	Lang        string // "de" or "en"; "" = de
	OE, LB, OD  string // opaque ids, e.g. "L100012.OE.9029660"
	Destination string
}

// placeholders are all there are, in the order in which messages list them.
const placeholders = "leistung ars ars:N ags land lang locale oe_id oe lb_id lb od_id od destination_id"

// Template is a URL or path of ours with {placeholders} (CONTRACT 13). The zero value is the empty text. Immutable,
// safe for concurrent use.
//
// Values in a path or fragment are written as RFC 3986 segments, values in a query so that a form reader gets them back
// too. A query parameter whose value is left empty goes, with its name; in a path or fragment an empty value is an
// error. Text between placeholders is sent as it was written.
type Template struct {
	text  string
	parts []part
}

// part is a stretch of literal text and the placeholder behind it.
type part struct {
	literal string
	value   value
	where   where
	width   uint8 // N of {ars:N}
	begins  bool  // the stretch begins a query parameter that has placeholders
	ends    bool  // the placeholder is the last of its parameter and tail is the text up to the next parameter
	tail    string
}

type where uint8

const (
	inPath where = iota
	inQuery
	inFragment
)

type value uint8

const (
	valNone value = iota // literal text only
	valLeistung
	valARS
	valAGS
	valLand
	valLang
	valLocale
	valOEID
	valOE
	valLBID
	valLB
	valODID
	valOD
	valDestination
)

// valueNames by value.
var valueNames = [...]string{
	valLeistung: "leistung", valARS: "ars", valAGS: "ags", valLand: "land", valLang: "lang", valLocale: "locale",
	valOEID: "oe_id", valOE: "oe", valLBID: "lb_id", valLB: "lb", valODID: "od_id", valOD: "od",
	valDestination: "destination_id",
}

// ParseTemplate reads a template: an absolute URL, or a path that begins with "/". Placeholders may stand in the path,
// in the values of query parameters and in the fragment, not in scheme or host. The error for an unknown placeholder
// lists those that exist.
func ParseTemplate(text string) (Template, error) {
	t := Template{text: text}
	rest := text
	head, ok := authorityEnd(text)
	if !ok {
		return Template{}, errors.New("want an absolute URL or a path that begins with /")
	}
	if i := strings.IndexAny(text[:head], "{}"); i >= 0 {
		return Template{}, errors.New("a placeholder in scheme or host is not possible; name the host")
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f {
			return Template{}, fmt.Errorf("byte %#02x at %d is not allowed in a URL; write it as %%%02X", c, i, c)
		}
	}
	var path, query, fragment string
	rest, fragment, hasFragment := strings.Cut(rest, "#")
	path, query, hasQuery := strings.Cut(rest, "?")
	if err := t.addStretch(path, inPath); err != nil {
		return Template{}, err
	}
	if hasQuery {
		if err := t.addQuery(query); err != nil {
			return Template{}, err
		}
	}
	if hasFragment {
		if err := t.addStretch("#"+fragment, inFragment); err != nil {
			return Template{}, err
		}
	}
	return t, nil
}

// authorityEnd is where the path begins, 0 for a path alone.
func authorityEnd(text string) (int, bool) {
	if strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") {
		return 0, true
	}
	scheme := strings.Index(text, "://")
	if scheme <= 0 {
		return 0, false
	}
	end := scheme + len("://")
	if i := strings.IndexAny(text[end:], "/?#"); i >= 0 {
		return end + i, true
	}
	return len(text), true
}

// addStretch cuts path or fragment at its placeholders.
func (t *Template) addStretch(text string, w where) error {
	for {
		p, rest, err := cutPlaceholder(text)
		if err != nil {
			return err
		}
		p.where = w
		if p.literal != "" || p.value != valNone {
			t.parts = append(t.parts, p)
		}
		if p.value == valNone {
			return nil
		}
		text = rest
	}
}

// addQuery cuts a query into parameters. Those without placeholders join the literal before them; of the others the
// parts from begins to ends belong together, so that Append can take them back.
func (t *Template) addQuery(query string) error {
	// The separator is not part of the parameter: which one is needed, "?" or "&", is known only when it is written.
	for _, param := range strings.Split(query, "&") {
		name, _, named := strings.Cut(param, "=")
		if named && strings.ContainsAny(name, "{}") {
			return fmt.Errorf("a placeholder in the name of a query parameter (%s) is not possible", param)
		}
		first := len(t.parts)
		text := param
		for {
			p, rest, err := cutPlaceholder(text)
			if err != nil {
				return err
			}
			p.where = inQuery
			if p.value == valNone && len(t.parts) > first {
				t.parts[len(t.parts)-1].tail = p.literal
				break
			}
			t.parts = append(t.parts, p)
			if p.value == valNone {
				break
			}
			text = rest
		}
		t.parts[first].begins = true
		t.parts[len(t.parts)-1].ends = true
	}
	return nil
}

// cutPlaceholder gives the text up to the first placeholder and that; without one, all of it.
func cutPlaceholder(text string) (p part, rest string, err error) {
	i := strings.IndexAny(text, "{}")
	if i < 0 {
		return part{literal: text}, "", nil
	}
	j := strings.IndexAny(text[i+1:], "{}")
	if text[i] == '}' || j < 0 || text[i+1+j] == '{' {
		return part{}, "", fmt.Errorf("a single %q; placeholders are {name}, other braces are written %%7B and %%7D", text[i])
	}
	name := text[i+1 : i+1+j]
	p = part{literal: text[:i]}
	p.value, p.width = lookUpValue(name)
	if p.value == valNone {
		return part{}, "", fmt.Errorf("unknown placeholder {%s}; known: %s", clip(name), placeholders)
	}
	return p, text[i+j+2:], nil
}

func lookUpValue(name string) (value, uint8) {
	for v, n := range valueNames {
		if n == name && n != "" {
			return value(v), arsDigits
		}
	}
	width, ok := strings.CutPrefix(name, "ars:")
	switch {
	case !ok:
	case len(width) == 1 && width[0] >= '1' && width[0] <= '9':
		return valARS, width[0] - '0'
	case len(width) == 2 && width[0] == '1' && width[1] >= '0' && width[1] <= '2':
		return valARS, 10 + width[1] - '0'
	}
	return valNone, 0
}

// Append appends the filled template. It does not allocate if dst has room. [ErrEmptyValue] and [ErrDotSegment] are the
// only errors, and dst is then returned as it was.
func (t Template) Append(dst []byte, v *Values) ([]byte, error) {
	start := len(dst)
	var (
		param     int         // where the present query parameter began in dst
		filled    bool        // one of its placeholders has a value, or it has none
		separator = byte('?') // before the next parameter
	)
	for i := range t.parts {
		p := &t.parts[i]
		if p.begins {
			param, filled = len(dst), p.value == valNone
			dst = append(dst, separator)
		}
		dst = append(dst, p.literal...)
		before := len(dst)
		dst = p.append(dst, v)
		switch {
		case p.where == inQuery:
			// Text of ours beside an empty placeholder is a value too: "p=a{oe}" stays "p=a".
			filled = filled || len(dst) > before || p.tail != "" || !p.begins && p.literal != "" || hasValueText(p)
		case p.value == valNone:
		case len(dst) == before:
			return dst[:start], ErrEmptyValue
		case p.where == inPath && (string(dst[before:]) == "." || string(dst[before:]) == ".."):
			return dst[:start], ErrDotSegment
		}
		dst = append(dst, p.tail...)
		if p.ends {
			if filled {
				separator = '&'
			} else {
				dst = dst[:param]
			}
		}
	}
	return dst, nil
}

// hasValueText says whether the literal that begins a parameter has more than its name: "p=a" of "p=a{oe}".
func hasValueText(p *part) bool {
	if !p.begins {
		return false
	}
	i := strings.IndexByte(p.literal, '=')
	return i < 0 && p.literal != "" || i >= 0 && i < len(p.literal)-1
}

// append writes the value of the placeholder, encoded for its place.
func (p *part) append(dst []byte, v *Values) []byte {
	switch p.value {
	case valNone:
		return dst
	case valLeistung:
		return v.Leistung.Append(dst)
	case valARS:
		start := len(dst)
		return v.ARS.AppendPadded(dst)[:start+int(p.width)]
	case valAGS:
		return v.ARS.AppendAGS(dst)
	case valLand:
		start := len(dst)
		return v.ARS.AppendPadded(dst)[:start+2]
	default:
		return appendEscaped(dst, p.value.text(v), p.where)
	}
}

func (x value) text(v *Values) string {
	switch x {
	case valLang:
		if v.Lang == "" {
			return "de"
		}
		return v.Lang
	case valLocale:
		if v.Lang == "en" {
			return "en_GB"
		}
		return "de_DE"
	case valOEID:
		return v.OE
	case valOE:
		return localPart(v.OE, ".OE.")
	case valLBID:
		return v.LB
	case valLB:
		return localPart(v.LB, ".LB.")
	case valODID:
		return v.OD
	case valOD:
		return localPart(v.OD, ".OD.")
	case valDestination:
		return v.Destination
	default: // the keys, which append writes itself
		return ""
	}
}

// localPart is what follows the Redaktion in "L100012.OE.9029660"; an id without a Redaktion is local already.
func localPart(id, mark string) string {
	if i := strings.Index(id, mark); i >= 0 {
		return id[i+len(mark):]
	}
	return id
}

// appendEscaped encodes for path and fragment as a segment (RFC 3986 section 3.3), for a query so that "&", "=", "+"
// and the like are data.
func appendEscaped(dst []byte, s string, w where) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if isUnreserved(c) || w != inQuery && isSegment(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// isSegment says whether c may stand in a path segment besides the unreserved characters.
func isSegment(c byte) bool { return strings.IndexByte("!$&'()*+,;=:@", c) >= 0 }

// String is the text as it was written.
func (t Template) String() string { return t.text }

// IsZero says whether the template is empty.
func (t Template) IsZero() bool { return t.text == "" }

// Uses says whether the template has the placeholder, e.g. "oe_id" or "ars".
func (t Template) Uses(placeholder string) bool {
	for i := range t.parts {
		if v := t.parts[i].value; v != valNone && valueNames[v] == placeholder {
			return true
		}
	}
	return false
}

// Static says whether the template has no placeholder at all, so that it always gives its own text.
func (t Template) Static() bool {
	for i := range t.parts {
		if t.parts[i].value != valNone {
			return false
		}
	}
	return true
}

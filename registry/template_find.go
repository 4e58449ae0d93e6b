// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"net/url"
	"regexp"
	"strings"
)

// Finder reads a value back out of addresses like those that a [Template] makes.
type Finder struct {
	where where
	name  string         // of the query parameter
	form  *regexp.Regexp // of its value, of the path or of the fragment; its group is the value
}

// Finder of a placeholder, such as "oe_id"; false if the template has none such.
func (t Template) Finder(placeholder string) (Finder, bool) {
	at := -1
	for i := range t.parts {
		if v := t.parts[i].value; v != valNone && valueNames[v] == placeholder {
			at = i
			break
		}
	}
	if at < 0 {
		return Finder{}, false
	}
	f := Finder{where: t.parts[at].where}
	first, end := t.stretch(at)
	var form strings.Builder
	form.WriteString("^")
	for i := first; i < end; i++ {
		p := &t.parts[i]
		literal := p.literal
		if i == first {
			f.name, literal = f.strip(literal)
		}
		form.WriteString(regexp.QuoteMeta(literal))
		switch {
		case i == at:
			form.WriteString("([^/]+)")
		case p.value != valNone:
			form.WriteString("[^/]*?")
		}
		form.WriteString(regexp.QuoteMeta(p.tail))
	}
	form.WriteString("$")
	f.form = regexp.MustCompile(form.String())
	return f, true
}

// stretch is the range of the parts that belong together with one: a query parameter, the path, or the fragment.
func (t Template) stretch(at int) (first, end int) {
	where := t.parts[at].where
	for first = at; first > 0 && t.parts[first-1].where == where && !(where == inQuery && t.parts[first].begins); {
		first--
	}
	for end = at + 1; end < len(t.parts) && t.parts[end].where == where && !(where == inQuery && t.parts[end].begins); {
		end++
	}
	return first, end
}

// strip takes from the literal that begins a stretch what is not compared: a parameter's name, the authority of an
// absolute URL, the # of a fragment.
func (f *Finder) strip(literal string) (name, rest string) {
	switch f.where {
	case inQuery:
		if name, rest, ok := strings.Cut(literal, "="); ok {
			return name, rest
		}
		return "", literal
	case inFragment:
		return "", strings.TrimPrefix(literal, "#")
	default:
		return "", path(literal)
	}
}

// path is an address without scheme and authority.
func path(address string) string {
	end, _ := authorityEnd(address)
	return address[end:]
}

// Find reads the value in an address, whose authority and further parameters do not matter; false if it has none.
func (f *Finder) Find(address string) (string, bool) {
	address, fragment, _ := strings.Cut(address, "#")
	address, query, _ := strings.Cut(address, "?")
	switch f.where {
	case inFragment:
		return f.match(fragment, url.PathUnescape)
	case inPath:
		return f.match(path(address), url.PathUnescape)
	}
	for _, param := range strings.Split(query, "&") {
		value := param
		if f.name != "" {
			name, rest, _ := strings.Cut(param, "=")
			if name != f.name {
				continue
			}
			value = rest
		}
		if found, ok := f.match(value, url.QueryUnescape); ok {
			return found, true
		}
	}
	return "", false
}

func (f *Finder) match(text string, unescape func(string) (string, error)) (string, bool) {
	m := f.form.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	value, err := unescape(m[1])
	return value, err == nil
}

// SPDX-License-Identifier: EUPL-1.2

package registry

import (
	"net/url"
	"strings"
)

// Finder reads a value back out of addresses like those that a [Template] makes.
type Finder struct {
	where where
	name  string // of the query parameter
	// before and after are what stands around the value: in the parameter's value, the path or the fragment.
	before, after form
}

// form is literals and, between them, gaps: the values of other placeholders, any text without a slash. A gap is "".
type form []string

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
	to := &f.before
	for i := first; i < end; i++ {
		p := &t.parts[i]
		literal := p.literal
		if i == first {
			f.name, literal = f.strip(literal)
		}
		to.literal(literal)
		switch {
		case i == at:
			to = &f.after
		case p.value != valNone:
			*to = append(*to, "")
		}
		to.literal(p.tail)
	}
	return f, true
}

func (f *form) literal(s string) {
	if s != "" {
		*f = append(*f, s)
	}
}

// ends are the places of a text up to which the form fits from its beginning.
func (f form) ends(text string) []bool {
	at := make([]bool, len(text)+1)
	at[0] = true
	for _, literal := range f {
		next := make([]bool, len(at))
		for i := range at {
			if literal == "" {
				next[i] = at[i] || i > 0 && next[i-1] && text[i-1] != '/'
			} else if at[i] && strings.HasPrefix(text[i:], literal) {
				next[i+len(literal)] = true
			}
		}
		at = next
	}
	return at
}

// starts are the places of a text from which the form fits to its end.
func (f form) starts(text string) []bool {
	at := make([]bool, len(text)+1)
	at[len(text)] = true
	for n := len(f) - 1; n >= 0; n-- {
		next := make([]bool, len(at))
		for i := len(text); i >= 0; i-- {
			if literal := f[n]; literal == "" {
				next[i] = at[i] || i < len(text) && next[i+1] && text[i] != '/'
			} else if strings.HasPrefix(text[i:], literal) {
				next[i] = at[i+len(literal)]
			}
		}
		at = next
	}
	return at
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

// match takes the longest value that begins as early as it can.
func (f *Finder) match(text string, unescape func(string) (string, error)) (string, bool) {
	ends, starts := f.before.ends(text), f.after.starts(text)
	for from := range ends {
		if !ends[from] {
			continue
		}
		to := from
		for n := from + 1; n <= len(text) && text[n-1] != '/'; n++ {
			if starts[n] {
				to = n
			}
		}
		if to > from {
			value, err := unescape(text[from:to])
			return value, err == nil
		}
	}
	return "", false
}

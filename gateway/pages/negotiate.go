// SPDX-License-Identifier: EUPL-1.2

package pages

import (
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

// PrefersHTML reports whether a request is to be answered with a page: if its
// Accept fields (RFC 9110, section 12.5.1) give text/html a strictly higher
// weight than JSON, or name HTML and do not name JSON. Everything else, no
// Accept included, gets JSON: people send browsers, and browsers name HTML.
func PrefersHTML(h *message.Head) bool {
	html, json := weights(h)
	if html.weight == 0 {
		return false
	}
	return html.weight > json.weight || html.named() && !json.named()
}

// NamesJSON reports whether a request asks for JSON by name and rather than
// for HTML: for what is a page first.
func NamesJSON(h *message.Head) bool {
	html, json := weights(h)
	return json.named() && json.weight > 0 && json.weight > html.weight
}

func weights(h *message.Head) (html, json preference) {
	for i := range h.Fields {
		if h.Fields[i].ID != message.Accept {
			continue
		}
		for list := h.Fields[i].Value; len(list) > 0; {
			var item []byte
			item, list = segment(list, ',')
			name, weight, ok := weighted(item)
			if !ok {
				continue
			}
			switch {
			case message.EqualFold(name, "text/html"):
				html.take(exactly, weight)
			case message.EqualFold(name, "application/problem+json"), message.EqualFold(name, "application/json"):
				json.take(exactly, weight)
			case message.EqualFold(name, "text/*"):
				html.take(byType, weight)
			case message.EqualFold(name, "application/*"):
				json.take(byType, weight)
			case message.EqualFold(name, "*/*"):
				html.take(byWildcard, weight)
				json.take(byWildcard, weight)
			}
		}
	}
	return html, json
}

// The precision with which a range names a type; the most precise one counts.
const (
	byWildcard = 1 + iota
	byType
	exactly
)

type preference struct{ precision, weight int }

func (p *preference) take(precision, weight int) {
	switch {
	case precision > p.precision:
		*p = preference{precision, weight}
	case precision == p.precision:
		p.weight = max(p.weight, weight)
	}
}

func (p preference) named() bool { return p.precision == exactly }

// AcceptLanguage looks up German or English in the Accept-Language fields
// (RFC 4647, section 3.4). ok is false if they ask for neither.
func AcceptLanguage(h *message.Head) (lang reason.Lang, ok bool) {
	best := 0
	for i := range h.Fields {
		if h.Fields[i].ID != message.AcceptLanguage {
			continue
		}
		for list := h.Fields[i].Value; len(list) > 0; {
			var item []byte
			item, list = segment(list, ',')
			name, weight, valid := weighted(item)
			// Strictly greater: of two with equal weight the first counts.
			if !valid || weight <= best {
				continue
			}
			if l, found := Language(name); found {
				if lang, ok, best = l, true, weight; best == heaviest {
					return lang, true
				}
			}
		}
	}
	return lang, ok
}

// Language looks up one language range, which may say more than we can tell
// apart: "en-GB" is English, "de-x-ls" (Leichte Sprache) is German.
func Language[S ~string | ~[]byte](tag S) (lang reason.Lang, ok bool) {
	if len(tag) < 2 || len(tag) > 2 && tag[2] != '-' {
		return reason.German, false
	}
	switch [2]byte{message.Lower(tag[0]), message.Lower(tag[1])} {
	case [2]byte{'d', 'e'}:
		return reason.German, true
	case [2]byte{'e', 'n'}:
		return reason.English, true
	default:
		return reason.German, false
	}
}

// segment cuts the first element off a list. A separator inside a quoted string separates nothing.
func segment(list []byte, separator byte) (element, rest []byte) {
	for i := 0; i < len(list); i++ {
		switch list[i] {
		case separator:
			return list[:i], list[i+1:]
		case '"':
			for i++; i < len(list) && list[i] != '"'; i++ {
				if list[i] == '\\' {
					i++
				}
			}
		}
	}
	return list, nil
}

// heaviest is the weight of what has none, in thousandths.
const heaviest = 1000

// weighted splits an element into its name and its weight in thousandths
// (RFC 9110, section 12.4.2). An element with a weight that is none says
// nothing we could use.
func weighted(item []byte) (name []byte, weight int, ok bool) {
	weight = heaviest
	first := true
	for len(item) > 0 {
		var part []byte
		part, item = segment(item, ';')
		part = message.TrimOWS(part)
		if first {
			name, first = part, false
			continue
		}
		if len(part) >= 2 && message.Lower(part[0]) == 'q' && part[1] == '=' {
			if weight, ok = thousandths(part[2:]); !ok {
				return nil, 0, false
			}
		}
	}
	return name, weight, len(name) > 0
}

// thousandths reads a qvalue: "0", "0.8", "1.000".
func thousandths(text []byte) (int, bool) {
	if len(text) == 0 || len(text) > 5 || text[0] != '0' && text[0] != '1' || len(text) > 1 && text[1] != '.' {
		return 0, false
	}
	value := int(text[0]-'0') * 1000
	scale := 100
	for _, c := range text[min(2, len(text)):] {
		if c < '0' || c > '9' {
			return 0, false
		}
		value += int(c-'0') * scale
		scale /= 10
	}
	return value, value <= 1000
}

// SPDX-License-Identifier: EUPL-1.2

package xzufi

import (
	"bytes"
	"hash/maphash"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pvgate/pvgate/registry"
)

// texts keeps one copy of texts that come again soon: a table in which a text takes the place of another one.
type texts struct {
	seed  maphash.Seed
	table []string
}

const textPlaces = 1 << 12 // × MaxID bytes at most

func (t *texts) of(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > MaxID {
		return string(b)
	}
	if t.table == nil {
		t.seed, t.table = maphash.MakeSeed(), make([]string, textPlaces)
	}
	place := &t.table[maphash.Bytes(t.seed, b)%textPlaces]
	if *place != string(b) {
		*place = string(b)
	}
	return *place
}

// times keeps what was read last: deliveries write the same few dates a million times.
type times struct {
	last [8]struct {
		text string
		end  bool
		time time.Time
	}
	next int
}

func (t *times) parse(text []byte, end bool) (time.Time, error) {
	for i := range t.last {
		if l := &t.last[i]; l.end == end && l.text == string(text) {
			return l.time, nil
		}
	}
	at, err := parseTime(string(text), end)
	if err == nil {
		l := &t.last[t.next]
		l.text, l.end, l.time = string(text), end, at
		t.next = (t.next + 1) % len(t.last)
	}
	return at, err
}

// parseTime reads what the registry reads (R7), and the forms of XML Schema beyond it: a date with an offset and 24:00.
func parseTime(text string, end bool) (time.Time, error) {
	parse := registry.ParseTime
	if end {
		parse = registry.ParseEnd
	}
	const date = len(time.DateOnly)
	if len(text) <= date {
		return parse(text)
	}
	day, rest := text[:date], text[date:]
	if rest[0] == 'Z' || rest[0] == '+' || rest[0] == '-' { // a date with an offset: 00:00 there
		t, err := parse(day + "T00:00:00" + rest)
		if err == nil && end && !t.IsZero() {
			t = t.AddDate(0, 0, 1)
		}
		return t, err
	}
	if midnight, ok := strings.CutPrefix(rest, "T24:00:00"); ok { // the end of the day
		t, err := parse(day + "T00:00:00" + midnight)
		if err == nil && !t.IsZero() {
			t = t.AddDate(0, 0, 1)
		}
		return t, err
	}
	return parse(text)
}

// word reads the text of the present element that is a code or a name for machines.
func (d *decoder) word() string {
	text, long := d.text()
	return d.checked(text, long)
}

func (d *decoder) checked(text []byte, long bool) string {
	if long || len(text) > MaxID {
		d.wrong(text, "%q… has more than %d bytes", clip(text), MaxID)
		return ""
	}
	if hasControl(text) {
		d.wrong(text, "%q has a control character", clip(text))
		return ""
	}
	return d.texts.of(text)
}

func hasControl(text []byte) bool {
	for i, c := range text {
		if c < ' ' || c == 0x7F {
			return true
		}
		if c >= utf8.RuneSelf {
			return bytes.IndexFunc(text[i:], unicode.IsControl) >= 0
		}
	}
	return false
}

// code reads a code: the text of the child code, or of the element itself.
func (d *decoder) code() string {
	d.value, d.long = d.value[:0], false
	inner, found := "", false
	for {
		name, ok := d.child(keep)
		switch {
		case !ok && found:
			return inner
		case !ok:
			return d.checked(bytes.TrimSpace(d.value), d.long)
		case string(name) == "code":
			inner, found = d.word(), true
		default:
			d.skip()
		}
	}
}

// id reads an Identifikator into an empty one.
func (d *decoder) id(id *ID, what string) {
	second := !id.IsZero()
	var read ID
	read.AgencyID = d.checked(d.attr("schemeAgencyID"), false)
	read.SchemeID = d.checked(d.attr("schemeID"), false)
	read.Text = d.word()
	switch {
	case d.err != nil:
	case second:
		d.wrong([]byte(read.Text), "a second %s: %s", what, read)
	case read.Text == "":
		d.wrong(nil, "%s has no text", what)
	default:
		*id = read
	}
}

// key reads a reference to a Leistungsschlüssel.
func (d *decoder) key(keys []registry.Leistung) []registry.Leistung {
	text := d.code()
	if text == "" || d.err != nil {
		return keys // whoever has no key writes the element without one
	}
	l, err := registry.ParseLeistung(text)
	if err != nil {
		d.wrong([]byte(text), "%v", err)
		return keys
	}
	if !d.room(len(keys), maxTexts, "keys") {
		return keys
	}
	return append(keys, l)
}

// Schemes of a gebietID, beside those of the Statistisches Bundesamt.
var areaSchemes = [...]string{"", "ARS", "RS", "AGS"}

const destatis = "urn:de:bund:destatis:bevoelkerungsstatistik:schluessel:"

// area reads a gebietID. A postcode is none, though it looks like a Kreis.
func (d *decoder) area(areas []Area) []Area {
	scheme := d.checked(d.attr("schemeID"), false)
	text := d.word()
	if d.err != nil || d.reason != "" {
		return areas
	}
	known := strings.HasPrefix(scheme, destatis)
	for _, s := range areaSchemes {
		known = known || strings.EqualFold(scheme, s)
	}
	if !known {
		d.wrong([]byte(scheme), "area %q is of scheme %q; want %srs", text, scheme, destatis)
		return areas
	}
	if !isArea(text) {
		d.wrong([]byte(text), "%v", &registry.KeyError{What: "area", Value: text})
		return areas
	}
	if !d.room(len(areas), maxAreas, "areas") {
		return areas
	}
	return append(areas, Area(text))
}

// room says whether a list takes one more.
func (d *decoder) room(have, limit int, what string) bool {
	if have >= limit {
		d.wrong(nil, "it has more than %d %s", limit, what)
		return false
	}
	return true
}

// period reads a gueltigkeit.
func (d *decoder) period(periods []Period) []Period {
	var p Period
	for name, ok := d.child(passOver); ok; name, ok = d.child(passOver) {
		switch string(name) {
		case "beginn":
			p.Begin = d.time("beginn", false)
		case "ende":
			p.End = d.time("ende", true)
		default:
			d.skip()
		}
	}
	if !p.Begin.IsZero() && !p.End.IsZero() && !p.Begin.Before(p.End) {
		d.wrong(nil, "beginn %s is not before ende %s", p.Begin.Format(time.RFC3339), p.End.Format(time.RFC3339))
	}
	if !d.room(len(periods), maxTexts, "periods") {
		return periods
	}
	return append(periods, p)
}

func (d *decoder) time(what string, end bool) time.Time {
	text, _ := d.text()
	if len(text) == 0 || d.err != nil || d.reason != "" { // what is broken already need not be understood
		return time.Time{}
	}
	t, err := d.times.parse(text, end)
	if err != nil {
		d.wrong(text, "%s: %v", what, err)
	}
	return t
}

// lang reads the language of the present element.
func (d *decoder) lang() string {
	switch l := string(d.attr("languageCode")); l {
	case "":
		return ""
	case "de":
		return "de"
	case "en":
		return "en"
	default:
		d.wrong([]byte(l), "languageCode %q; want de or en", clip([]byte(l)))
		return ""
	}
}

// line reads the text of the present element that is for people, on one line.
func (d *decoder) line() string {
	text, long := d.text()
	if long {
		d.wrong(text, "a text has more than %d bytes", maxValue)
		return ""
	}
	return oneLine(text)
}

// oneLine makes every run of white space one space, and drops control characters.
func oneLine(text []byte) string {
	if !hasControl(text) && !bytes.Contains(text, []byte("  ")) {
		return string(text)
	}
	s := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, string(text))
	return strings.Join(strings.Fields(s), " ")
}

// name reads a text with its language. One without letters is none.
func (d *decoder) name(names []Text) []Text {
	n := Text{Lang: d.lang()}
	if n.Text = d.line(); n.Text == "" || !d.room(len(names), maxTexts, "names") {
		return names
	}
	return append(names, n)
}

// link reads a link or a modulUrsprungsportal. One without an address is none.
func (d *decoder) link(links []Link) []Link {
	links, l := next(links)
	*l = Link{Lang: d.lang(), Parameters: l.Parameters[:0], Validity: l.Validity[:0]}
	for name, ok := d.child(passOver); ok; name, ok = d.child(passOver) {
		switch string(name) {
		case "typ":
			l.Type = d.code()
		case "link", "uri", "url":
			text, long := d.text()
			if long {
				d.wrong(text, "an address has more than %d bytes", maxValue)
			}
			l.URL = string(text)
		case "titel":
			l.Title = d.line()
		case "dynamischeParameter", "dynamischerParameter":
			l.Parameters = d.parameter(l.Parameters)
		case "gueltigkeit":
			l.Validity = d.period(l.Validity)
		default:
			d.skip()
		}
	}
	if l.URL == "" || !d.room(len(links)-1, maxTexts, "links") {
		return links[:len(links)-1]
	}
	return links
}

func (d *decoder) parameter(parameters []Parameter) []Parameter {
	var p Parameter
	for name, ok := d.child(passOver); ok; name, ok = d.child(passOver) {
		switch string(name) {
		case "typ":
			p.Type = d.code()
		case "parameterName":
			p.Name = d.word()
		default:
			d.skip()
		}
	}
	if !d.room(len(parameters), maxTexts, "parameters") {
		return parameters
	}
	return append(parameters, p)
}

// next makes a list longer by one and gives the new one, with what its place held.
func next[T any](list []T) ([]T, *T) {
	if len(list) < cap(list) {
		list = list[:len(list)+1]
	} else {
		var zero T
		list = append(list, zero)
	}
	return list, &list[len(list)-1]
}

func isArea(key string) bool {
	switch len(key) {
	case 2, 3, 5, 8, 9, 12:
		return strings.Trim(key, "0123456789") == ""
	default:
		return false
	}
}

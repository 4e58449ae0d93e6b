// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"bytes"
	"strings"

	"github.com/pvgate/pvgate/registry"
)

// An address is a number: a template with isTemplate set, else a literal text. Literal texts are absolute URLs, or for
// proxied backends also paths that begin with "/".
const isTemplate = 1 << 31

// AppendURL appends the address of a Handover decision: a registry URL byte for byte, a template filled in (R16). For
// a proxied backend whose entry names only a path it appends that path. It does not allocate if dst has room. The
// error is registry.ErrEmptyValue, which Resolve has ruled out for its own decisions.
func (t *Table) AppendURL(dst []byte, q *Query, d *Decision) ([]byte, error) {
	url, _ := t.address(q.Lang, d)
	return t.appendAddress(dst, url, q, d)
}

// AppendTarget appends what a proxied backend is asked for before the request's own rest and query: path and query of
// the address without scheme and host, "/" if the address has no path.
func (t *Table) AppendTarget(dst []byte, q *Query, d *Decision) ([]byte, error) {
	at := len(dst)
	dst, err := t.AppendURL(dst, q, d)
	if err != nil {
		return dst, err
	}
	url := dst[at:]
	if i := bytes.IndexByte(url, '#'); i >= 0 {
		url = url[:i]
	}
	if i := bytes.Index(url, schemeEnd); i >= 0 && url[0] != '/' {
		rest := url[i+len(schemeEnd):]
		if i = bytes.IndexAny(rest, "/?"); i < 0 {
			return append(dst[:at], '/'), nil
		}
		if rest[i] == '?' { // a query without a path asks for "/"
			url = append(url[:copy(url, "/")], rest[i:]...)
		} else {
			url = rest[i:]
		}
	}
	return append(dst[:at], url...), nil
}

var schemeEnd = []byte("://")

// URLLang is the language of the address that AppendURL writes for the query (Content-Language; S76), "" if unknown.
func (t *Table) URLLang(q *Query, d *Decision) string {
	_, lang := t.address(q.Lang, d)
	return lang
}

// address picks among the addresses of one target by language: asked, de, first (R16).
func (t *Table) address(lang string, d *Decision) (url uint32, have string) {
	if d.Row == NoRow {
		return d.url, ""
	}
	if url = t.urlOf(d); t.index.traitsOf(uint32(d.Row)).flags&flagOthers == 0 {
		return url, "de"
	}
	x := &t.extra[t.cold[d.Row].extra]
	if lang == "" {
		lang = "de"
	}
	have = t.langOf(x.lang)
	if have == lang {
		return url, have
	}
	for _, o := range t.others[x.othersAt : x.othersAt+x.othersN] {
		switch l := t.langOf(o.lang); {
		case l == lang:
			return o.url, l
		case l == "de" && have != "de":
			url, have = o.url, l
		}
	}
	return url, have
}

// urlOf is the address that a decision has before languages are looked at.
func (t *Table) urlOf(d *Decision) uint32 {
	if d.url == 0 && d.Row != NoRow {
		return t.hot[d.Row].url
	}
	return d.url
}

func (t *Table) langOf(n uint32) string {
	if n == 0 {
		return "de"
	}
	return t.strings.at(n)
}

func (t *Table) appendAddress(dst []byte, url uint32, q *Query, d *Decision) ([]byte, error) {
	if url&isTemplate == 0 {
		return append(dst, t.strings.at(url)...), nil
	}
	v := t.values(q, d)
	return t.templates[url&^isTemplate].t.Append(dst, &v)
}

// values are what a template is filled with: R11's context, the key and the area that were decided on.
func (t *Table) values(q *Query, d *Decision) registry.Values {
	return registry.Values{
		Leistung: d.Key,
		ARS:      t.areas.ARS(q.Area),
		Lang:     q.Lang,
		OE:       t.strings.at(d.oe),
		LB:       t.strings.at(d.lb),
		OD:       t.strings.at(d.od),
	}
}

// fillable says whether the decision's address can be written (CONTRACT 13: an empty path value is target_refused).
func (t *Table) fillable(q *Query, d *Decision) bool {
	url, _ := t.address(q.Lang, d)
	if url&isTemplate == 0 || !t.templates[url&^isTemplate].strict {
		return true
	}
	var buf [1024]byte // on the stack; longer addresses cost an allocation
	_, err := t.appendAddress(buf[:0], url, q, d)
	return err == nil
}

// addressText is the address as written, for people.
func (t *Table) addressText(url uint32) (text string, isTempl bool) {
	if url&isTemplate != 0 {
		return t.templates[url&^isTemplate].t.String(), true
	}
	return t.strings.at(url), false
}

// Context is R11's: the ids of the winning target, "" where it has none or several.
func (t *Table) Context(d *Decision) (oe, lb, od string) {
	return t.strings.at(d.oe), t.strings.at(d.lb), t.strings.at(d.od)
}

// hostOf is the host of an absolute URL without port in lower case, "" for a path. For messages and titles.
func hostOf(url string) string {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return ""
	}
	host := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"))]
	return strings.ToLower(host)
}

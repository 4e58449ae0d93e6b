// SPDX-License-Identifier: EUPL-1.2

package routing

import (
	"bytes"
	"strings"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/index"
)

// address is where a target is. That of a policy's row or an override is a number: a template with isTemplate set, else
// a literal string. Literal texts are absolute URLs, or for proxied backends also paths that begin with "/". That of an
// index's row is a text of the index at the row's place. The zero value is no address.
type address struct {
	n       uint32
	indexed bool
	at      index.At // if indexed
}

const isTemplate = 1 << 31

func (a address) isTemplate() bool { return !a.indexed && a.n&isTemplate != 0 }

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
func (t *Table) address(lang string, d *Decision) (url address, have string) {
	url = t.urlOf(d)
	if d.Row == NoRow {
		return url, ""
	}
	row := uint32(d.Row)
	if t.traitsOf(row).flags&flagOthers == 0 {
		return url, "de"
	}
	if lang == "" {
		lang = "de"
	}
	r := t.own(row)
	if r == nil {
		return t.otherIndexed(lang, url)
	}
	x := t.extraOf(r)
	have = t.langOf(x.lang)
	for _, o := range t.othersOf(x) {
		if better(t.langOf(o.lang), lang, &have) {
			url = address{n: o.url}
		}
	}
	return url, have
}

// otherIndexed is address of a row of the index with other languages.
func (t *Table) otherIndexed(lang string, url address) (address, string) {
	have := t.langOf(t.index.Extra(url.at.Row).Lang)
	for _, o := range t.index.Others(url.at.Row) {
		if better(t.langOf(o.Lang), lang, &have) {
			url.n = o.URL
		}
	}
	return url, have
}

// better says whether a language is nearer to the wanted one than what there is, and puts it there.
func better(l, wanted string, have *string) bool {
	if *have == wanted || l != wanted && (l != "de" || *have == "de") {
		return false
	}
	*have = l
	return true
}

// urlOf is the address that a decision has before languages are looked at.
func (t *Table) urlOf(d *Decision) address {
	if d.url == 0 && d.Row != NoRow {
		return t.rowAddress(index.At{Row: uint32(d.Row), Leistung: d.Key, Area: d.native})
	}
	return address{n: d.url}
}

// rowAddress is the address of a row.
func (t *Table) rowAddress(at index.At) address {
	if r := t.own(at.Row); r != nil {
		return address{n: r.url}
	}
	return address{n: t.index.Record(at.Row).URL, indexed: true, at: at}
}

func (t *Table) langOf(n uint32) string {
	if n == 0 {
		return "de"
	}
	return t.id(n)
}

func (t *Table) appendAddress(dst []byte, url address, q *Query, d *Decision) ([]byte, error) {
	if url.isTemplate() {
		v := t.values(q, d)
		return t.templates[url.n&^isTemplate].t.Append(dst, &v)
	}
	return t.appendLiteral(dst, url), nil
}

func (t *Table) appendLiteral(dst []byte, url address) []byte {
	if url.indexed {
		return t.index.AppendText(dst, url.n, url.at.Leistung, url.at.Area)
	}
	return append(dst, t.text(url.n)...)
}

// values are what a template is filled with: R11's context, the key and the area that were decided on.
func (t *Table) values(q *Query, d *Decision) registry.Values {
	return registry.Values{
		Leistung: d.Key,
		ARS:      t.areas.ARS(q.Area),
		Lang:     q.Lang,
		OE:       t.id(d.oe),
		LB:       t.id(d.lb),
		OD:       t.id(d.od),

		Destination: q.Destination,
	}
}

// WantsDestination says whether the decision's target is one for which Query.Destination is to be looked up (R15: it adds to a
// route and is none), also where it is refused for want of it. The same question is asked again then.
func (t *Table) WantsDestination(q *Query, d *Decision) bool {
	if q.Destination != "" || d.Verdict != Handover && d.Verdict != TargetRefused {
		return false
	}
	url, _ := t.address(q.Lang, d)
	return url.isTemplate() && t.templates[url.n&^isTemplate].destination
}

// fillable says whether the decision's address can be written (CONTRACT 13: an empty path value is target_refused).
func (t *Table) fillable(q *Query, d *Decision) bool {
	url, _ := t.address(q.Lang, d)
	if !url.isTemplate() || !t.templates[url.n&^isTemplate].strict {
		return true
	}
	var buf [1024]byte // on the stack; longer addresses cost an allocation
	_, err := t.appendAddress(buf[:0], url, q, d)
	return err == nil
}

// addressText is the address as written, for people.
func (t *Table) addressText(url address) (text string, isTempl bool) {
	if url.isTemplate() {
		return t.templates[url.n&^isTemplate].t.String(), true
	}
	return string(t.appendLiteral(nil, url)), false
}

// Context is R11's: the ids of the winning target, "" where it has none or several.
func (t *Table) Context(d *Decision) (oe, lb, od string) {
	return t.id(d.oe), t.id(d.lb), t.id(d.od)
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

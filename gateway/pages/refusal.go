// SPDX-License-Identifier: EUPL-1.2

package pages

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

// Refusal is an answer that leads nowhere: it says why, and of what. Of these there are most when there is least time for them: all
// that does not change from one to the next has been rendered by New and [NewPortal], in every language and form, and
// [Renderer.Refuse] puts the rest in between. It says, octet for octet, what Answer would.
type Refusal struct {
	Reason reason.Code // for which [Refuses] holds
	HTML   bool
	Lang   reason.Lang
	Trace  []byte // 32 hex digits
	Base   []byte // as Ask.Base

	Leistung []byte  // 14 digits; empty: not known
	Title    string  // of the Leistung
	ARS      []byte  // of the area
	AreaName string  // empty: there is none
	Level    int     // of the area
	Portal   *Portal // nil: none is concerned
	Limit    *Limit  // that was passed; nil: none is told

	RetryAfter int // seconds; at least 1 is sent where one is due
	Since      time.Time
	Source     string // of the registry; "": none is concerned
}

// Refuses reports whether a reason can be that of a Refusal: those that caches may keep are told with more, and one has a field of its
// own.
func Refuses(code reason.Code) bool {
	status := code.Status()
	return status >= 400 && status != 499 && !code.Cacheable() && code != reason.MethodRefused
}

// Portal is a backend as it stands in refusals. Immutable.
type Portal told

// Limit is a limit as it stands in refusals. Immutable.
type Limit told

// told is a member of a document, and the facts of a page that say the same.
type told struct {
	member []byte
	facts  [2][]byte // by reason.Lang
}

// NewPortal renders what refusals say of a backend.
func NewPortal(b *Backend) *Portal {
	text, err := json.Marshal(b)
	if err != nil {
		panic("pages: " + err.Error()) // strings only: cannot fail
	}
	return (*Portal)(newTold(append([]byte(`,"backend":`), text...), &Answer{Backend: b}))
}

// NewLimit renders what refusals say of a limit; nil for "".
func NewLimit(limit string) *Limit {
	if limit = clean(limit, maxTitle); limit == "" {
		return nil
	}
	return (*Limit)(newTold(append(appendText([]byte(`,"limit":"`), limit, appendJSON), '"'), &Answer{Limit: limit}))
}

func newTold(member []byte, a *Answer) *told {
	t := &told{member: member}
	for lang := range t.facts {
		for _, f := range facts(&vocabulary[lang], a) {
			t.facts[lang] = appendFact(t.facts[lang], f.Name, f.Value)
		}
	}
	return t
}

// hole is what a piece of a prepared text is followed by.
type hole uint8

const (
	holeEnd hole = iota
	holeBase
	holeTrace
	holeTold // members of a document, facts of a page
)

type piece struct {
	text []byte
	then hole
}

// Stand-ins, for what no reason's text and no word of a page holds, in a text that is about to be cut.
const (
	baseStandIn  = "https://base.invalid"
	traceStandIn = "trace.invalid"
	toldStandIn  = "told.invalid"
)

// prepared are the texts of one reason by language.
type prepared struct{ document, page [2][]piece }

// prepare renders a refusal with stand-ins and cuts it where they stand.
func (r *Renderer) prepare(code reason.Code) (p prepared) {
	for _, lang := range []reason.Lang{reason.German, reason.English} {
		ask, a := &Ask{Lang: lang, Trace: []byte(traceStandIn), Base: baseStandIn}, &Answer{Reason: code, Leistung: toldStandIn}
		p.document[lang] = cut(problem(ask, a, code.Status()), `,"leistung":"`+toldStandIn+`"`)
		shown := answerPage(ask, a)
		shown.Facts = []fact{{Name: toldStandIn}}
		p.page[lang] = cut(r.html(shown), factsBegin+string(appendFact(nil, toldStandIn, ""))+factsEnd)
	}
	return p
}

func cut(text []byte, told string) (pieces []piece) {
	standIns := [...]string{holeBase: baseStandIn, holeTrace: traceStandIn, holeTold: told}
	for {
		at, which := len(text), holeEnd
		for h := holeBase; h <= holeTold; h++ {
			if i := bytes.Index(text, []byte(standIns[h])); i >= 0 && i < at {
				at, which = i, h
			}
		}
		pieces = append(pieces, piece{text[:at:at], which})
		if which == holeEnd {
			return pieces
		}
		text = text[at+len(standIns[which]):]
	}
}

// Refuse renders a refusal. It appends to fields, body and scratch, and does not allocate if they have room.
func (r *Renderer) Refuse(q *Refusal, fields []message.Field, body, scratch []byte) (Page, []byte) {
	retry := 0
	if q.Reason.RetryLater() {
		retry = max(1, q.RetryAfter)
	}
	pieces := r.prepared[q.Reason].document[q.Lang]
	if q.HTML {
		pieces = r.prepared[q.Reason].page[q.Lang]
	}
	for i := range pieces {
		body = append(body, pieces[i].text...)
		switch {
		case pieces[i].then == holeBase:
			body = append(body, q.Base...)
		case pieces[i].then == holeTrace:
			body = append(body, q.Trace...)
		case pieces[i].then == holeTold && q.HTML:
			body = q.appendFacts(body, retry)
		case pieces[i].then == holeTold:
			body = q.appendMembers(body, retry)
		}
	}
	fields = r.appendFields(fields, q.Reason, q.HTML, q.Lang, q.Trace, cacheNever)
	if retry > 0 {
		at := len(scratch)
		scratch = strconv.AppendInt(scratch, int64(retry), 10)
		fields = append(fields, message.Field{Name: nameRetryAfter, Value: scratch[at:len(scratch):len(scratch)], ID: message.RetryAfter})
	}
	return Page{Status: q.Reason.Status(), Fields: fields, Body: body}, scratch
}

// appendMembers appends members of a document, in the order of type document.
func (q *Refusal) appendMembers(dst []byte, retry int) []byte {
	if len(q.Leistung) > 0 {
		dst = append(append(append(dst, `,"leistung":"`...), q.Leistung...), '"')
	}
	if q.AreaName != "" {
		dst = append(append(append(dst, `,"area":{"ars":"`...), q.ARS...), `","name":"`...)
		dst = appendText(dst, q.AreaName, appendJSON)
		dst = append(strconv.AppendInt(append(dst, `","level":`...), int64(q.Level), 10), '}')
	}
	if q.Portal != nil {
		dst = append(dst, q.Portal.member...)
	}
	if retry > 0 {
		dst = strconv.AppendInt(append(dst, `,"retry_after":`...), int64(retry), 10)
	}
	if !q.Since.IsZero() {
		dst = append(q.Since.AppendFormat(append(dst, `,"since":"`...), time.RFC3339), '"')
	}
	if q.Source != "" {
		dst = append(appendText(append(dst, `,"source":"`...), q.Source, appendJSON), '"')
	}
	if q.Limit != nil {
		dst = append(dst, q.Limit.member...)
	}
	return dst
}

// appendFacts appends facts of a page, in the order of the function facts.
func (q *Refusal) appendFacts(dst []byte, retry int) []byte {
	t := &vocabulary[q.Lang]
	at := len(dst)
	dst = append(dst, factsBegin...)
	if len(q.Leistung) > 0 {
		dst = beginFact(dst, t.Service)
		if q.Title != "" {
			dst = append(appendText(dst, q.Title, appendHTML), ' ')
		}
		dst = append(append(dst, q.Leistung...), factEnd...)
	}
	if q.AreaName != "" {
		dst = appendText(beginFact(dst, t.Place), q.AreaName, appendHTML)
		if len(q.ARS) > 0 {
			dst = append(append(dst, ' '), q.ARS...)
		}
		dst = append(dst, factEnd...)
	}
	if q.Portal != nil {
		dst = append(dst, q.Portal.facts[q.Lang]...)
	}
	if q.Limit != nil {
		dst = append(dst, q.Limit.facts[q.Lang]...)
	}
	if q.Source != "" {
		dst = append(appendText(beginFact(dst, t.Source), q.Source, appendHTML), factEnd...)
	}
	if !q.Since.IsZero() {
		dst = append(q.Since.AppendFormat(beginFact(dst, t.Since), minuteForm), factEnd...)
	}
	if retry > 0 {
		dst = strconv.AppendInt(beginFact(dst, t.RetryAfter), int64(retry), 10)
		dst = append(append(append(dst, ' '), t.RetrySeconds...), factEnd...)
	}
	if len(dst) == at+len(factsBegin) {
		return dst[:at]
	}
	return append(dst, factsEnd...)
}

// Facts as the layout writes them.
const (
	factsBegin, factsEnd            = "\n<dl>", "\n</dl>"
	factBegin, factBetween, factEnd = "\n<dt>", "</dt><dd>", "</dd>"
)

func beginFact(dst []byte, name string) []byte {
	return append(append(append(dst, factBegin...), name...), factBetween...)
}

func appendFact(dst []byte, name, value string) []byte {
	dst = beginFact(dst, name)
	for _, r := range value {
		dst = appendHTML(dst, r)
	}
	return append(dst, factEnd...)
}

// appendText appends a text that somebody else has written, as clean would show it.
func appendText(dst []byte, s string, write func(dst []byte, r rune) []byte) []byte {
	n := 0
	for _, r := range s {
		if n++; n > maxTitle {
			break
		}
		if !harmless(r) {
			r = utf8.RuneError
		}
		dst = write(dst, r)
	}
	return dst
}

// harmless reports whether a character shows itself and nothing else: control and format characters reorder lines, forge
// log entries and drive terminals.
func harmless(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r != 0x7F
	}
	return !unicode.IsControl(r) && !unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)
}

// appendHTML appends a character of a text as html/template writes it between tags.
func appendHTML(dst []byte, r rune) []byte {
	switch r {
	case '"':
		return append(dst, "&#34;"...)
	case '&':
		return append(dst, "&amp;"...)
	case '\'':
		return append(dst, "&#39;"...)
	case '+':
		return append(dst, "&#43;"...)
	case '<':
		return append(dst, "&lt;"...)
	case '>':
		return append(dst, "&gt;"...)
	}
	return utf8.AppendRune(dst, r)
}

const digits = "0123456789abcdef"

// appendJSON appends a harmless character of a string as encoding/json writes it.
func appendJSON(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '<', '>', '&':
		return append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
	}
	return utf8.AppendRune(dst, r)
}

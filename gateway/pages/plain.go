// SPDX-License-Identifier: EUPL-1.2

package pages

import (
	"encoding/json"
	"strconv"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

// Home renders the page at "/", which says what this is.
func (r *Renderer) Home(ask *Ask, fields []message.Field) Page {
	t := &vocabulary[ask.Lang]
	p := &page{
		Lang: ask.Lang.String(), T: t, Home: "/", Heading: t.HomeTitle,
		Paragraphs: []string{t.HomeText, t.HomeUse, t.HomeReasons},
		Footer: []item{
			{Title: t.Reasons, URL: "/_pv/reasons/?lang=" + ask.Lang.String()},
			{Title: t.Other, URL: "/?lang=" + t.OtherLang, Lang: t.OtherLang},
		},
	}
	return r.show(ask, p, fields)
}

// Reason renders the explanation of one reason: the problem type's page, or
// the same as JSON.
func (r *Renderer) Reason(ask *Ask, code reason.Code, fields []message.Field) Page {
	t, text := &vocabulary[ask.Lang], code.Text(ask.Lang)
	if !ask.HTML {
		body, err := json.Marshal(struct {
			Code   string   `json:"code"`
			Status int      `json:"status"`
			Fault  string   `json:"fault"`
			Title  string   `json:"title"`
			Text   string   `json:"text"`
			Error  string   `json:"proxy_status_error,omitempty"`
			Tells  []string `json:"tells,omitempty"`
		}{code.String(), code.Status(), code.Fault().String(), text.Title, text.Paragraph, code.ProxyStatusError(), code.Tells()})
		if err != nil {
			panic("pages: " + err.Error()) // strings and numbers only: cannot fail
		}
		return r.plain(ask, contentJSON, append(body, '\n'), fields)
	}
	status := "–"
	if s := code.Status(); s > 0 {
		status = strconv.Itoa(s)
	}
	p := &page{
		Lang: ask.Lang.String(), T: t, Home: "/", Heading: text.Title,
		Paragraphs: []string{text.Paragraph},
		Facts:      []fact{{t.Code, code.String()}, {t.Status, status}, {t.Fault, t.Faults[code.Fault()]}},
		Footer: []item{
			{Title: t.Reasons, URL: "/_pv/reasons/?lang=" + ask.Lang.String()},
			{Title: t.Other, URL: "/_pv/reasons/" + code.String() + "?lang=" + t.OtherLang, Lang: t.OtherLang},
		},
	}
	return r.show(ask, p, fields)
}

// Reasons renders the list of all reasons.
func (r *Renderer) Reasons(ask *Ask, fields []message.Field) Page {
	t := &vocabulary[ask.Lang]
	p := &page{
		Lang: ask.Lang.String(), T: t, Home: "/", Heading: t.Reasons, Paragraphs: []string{t.HomeReasons},
		Footer: []item{{Title: t.Other, URL: "/_pv/reasons/?lang=" + t.OtherLang, Lang: t.OtherLang}},
	}
	all := reason.All()
	items := make([]item, len(all))
	for i, code := range all {
		items[i] = item{Title: code.Title(ask.Lang), Note: code.String(), URL: "/_pv/reasons/" + code.String() + "?lang=" + p.Lang}
	}
	p.add(t.Reasons, items)
	return r.show(ask, p, fields)
}

// Robots is /robots.txt: nothing here is for crawlers.
func (r *Renderer) Robots(ask *Ask, fields []message.Field) Page {
	return r.plain(ask, contentText, []byte("User-agent: *\nDisallow: /\n"), fields)
}

// Text renders a text as it is: the operator's, or what a CA wants to read and nothing else (RFC 8555, section 8.3).
func (r *Renderer) Text(ask *Ask, text []byte, fields []message.Field) Page {
	return r.plain(ask, contentText, text, fields)
}

// Health is /_pv/health for load balancers.
func (r *Renderer) Health(ask *Ask, fields []message.Field) Page {
	return r.plain(ask, contentText, []byte("ok\n"), fields)
}

// Style is /_pv/static/pv.css.
func (r *Renderer) Style(ask *Ask, fields []message.Field) Page {
	return r.plain(ask, contentCSS, []byte(Stylesheet), fields)
}

// JSON renders a value that encoding/json can always write.
func (r *Renderer) JSON(ask *Ask, value any, fields []message.Field) Page {
	body, err := json.Marshal(value)
	if err != nil {
		panic("pages: " + err.Error()) // our own types of strings and numbers: cannot fail
	}
	return r.plain(ask, contentJSON, append(body, '\n'), fields)
}

// show is plain for a page, which is in a language.
func (r *Renderer) show(ask *Ask, p *page, fields []message.Field) Page {
	return r.plain(ask, contentHTML, r.html(p), append(fields, fieldLanguage(ask.Lang)))
}

func (r *Renderer) plain(ask *Ask, content message.Field, body []byte, fields []message.Field) Page {
	fields = append(fields, content, cacheNever)
	fields = r.AppendStatus(fields, reason.None, ask.Trace)
	return Page{Status: 200, Fields: AppendSafety(fields), Body: body}
}

// Options renders 204 with the methods an address knows.
func (r *Renderer) Options(ask *Ask, allow string, fields []message.Field) Page {
	fields = append(fields, message.Field{Name: nameAllow, Value: []byte(allow)}, cacheNever)
	fields = r.AppendStatus(fields, reason.None, ask.Trace)
	return Page{Status: 204, Fields: AppendSafety(fields)}
}

// Names and values of the fields of our own answers; never written to.
var (
	nameAllow       = []byte("Allow")
	nameLanguage    = []byte("Content-Language")
	nameProxyStatus = []byte("Proxy-Status")
	nameReason      = []byte("PV-Reason")
	nameRetryAfter  = []byte("Retry-After")
	nameTrace       = []byte("PV-Trace")

	contentHTML    = contentType("text/html; charset=utf-8")
	contentProblem = contentType("application/problem+json")
	contentJSON    = contentType("application/json")
	contentText    = contentType("text/plain; charset=utf-8")
	contentCSS     = contentType("text/css; charset=utf-8")

	cacheNever  = message.Field{Name: []byte("Cache-Control"), Value: []byte("no-store"), ID: message.CacheControl}
	cacheMinute = message.Field{Name: []byte("Cache-Control"), Value: []byte("public, max-age=60"), ID: message.CacheControl}

	fieldVary     = message.Field{Name: []byte("Vary"), Value: []byte("Accept, Accept-Language")}
	fieldNosniff  = message.Field{Name: []byte("X-Content-Type-Options"), Value: []byte("nosniff")}
	fieldReferrer = message.Field{Name: []byte("Referrer-Policy"), Value: []byte("no-referrer")}
	fieldPolicy   = message.Field{
		Name:  []byte("Content-Security-Policy"),
		Value: []byte("default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
	}

	languages = [2][]byte{[]byte("de"), []byte("en")} // by reason.Lang
)

func contentType(value string) message.Field {
	return message.Field{Name: []byte("Content-Type"), Value: []byte(value), ID: message.ContentType}
}

func fieldLanguage(l reason.Lang) message.Field {
	return message.Field{Name: nameLanguage, Value: languages[l]}
}

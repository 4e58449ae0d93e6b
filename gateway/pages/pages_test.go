// SPDX-License-Identifier: EUPL-1.2

package pages

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

const trace = "0123456789abcdef0123456789abcdef"

func renderer(t testing.TB) *Renderer {
	t.Helper()
	r, err := New("pvgate-gw.example.de")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func field(p Page, name string) string {
	for _, f := range p.Fields {
		if string(f.Name) == name {
			return string(f.Value)
		}
	}
	return ""
}

func full() *Answer {
	joined := 2
	return &Answer{
		Leistung: "99050012104000", Title: "Gewerbe anmelden",
		Area:       &Area{ARS: "065340014014", Name: "Marburg, Universitätsstadt", Level: 12},
		Backend:    &Backend{ID: "marburg", Name: "Stadt Marburg", Contact: &Contact{Name: "Rechenzentrum", Mail: "rz@example.de"}},
		RetryAfter: 30,
		Help:       []Link{{Title: "Portal", URL: "https://verwaltungsportal.hessen.de"}, {Title: "115", URL: "tel:115"}},
		Candidates: []Candidate{{Title: "A", URL: "https://a.example/x#/y", Backend: "a"}, {Title: "B", URL: "https://b.example/", Backend: "b"}},
		Choices:    []Choice{{ARS: "06534", Name: "Marburg-Biedenkopf", URL: "/leistung/99050012104000/06534"}},
		Near:       []Near{{Leistung: "99050012104001", Title: "Gewerbe", URL: "/leistung/99050012104001/06"}, {ARS: "06", Name: "Hessen"}},
		Value:      "x", Hint: "y", Where: "path, PV-ARS", Allow: "GET, HEAD", Offer: "o", JoinedCount: &joined, Successor: "s",
		Ended: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC),
		Instead: "https://www.marburg.de", Why: "Satzung", Source: "hub:1", Limit: "50/s", Whose: "hessen",
	}
}

func TestEveryReasonHasAValidDocumentAndPageInBothLanguages(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, code := range reason.All() {
		for _, lang := range []reason.Lang{reason.German, reason.English} {
			a := full()
			a.Reason = code
			ask := &Ask{Lang: lang, Trace: []byte(trace), Base: "https://gw.example.de"}
			p := r.Answer(ask, a, nil)
			var doc map[string]any
			if err := json.Unmarshal(p.Body, &doc); err != nil {
				t.Fatalf("%v: %v in %s", code, err, p.Body)
			}
			if got, want := doc["type"], "https://gw.example.de/_pv/reasons/"+code.String(); got != want {
				t.Errorf("type %v, want %v", got, want)
			}
			if doc["reason"] != code.String() || doc["instance"] != "urn:trace:"+trace || doc["fault"] != code.Fault().String() {
				t.Errorf("%v: %s", code, p.Body)
			}
			if got := field(p, "Content-Language"); got != lang.String() {
				t.Errorf("%v: Content-Language %q, want %v", code, got, lang)
			}
			ask.HTML = true
			p = r.Answer(ask, a, nil)
			checkPage(t, code.String(), lang, p)
			checkPage(t, code.String(), lang, r.Reason(ask, code, nil))
		}
	}
}

// checkPage holds every page to the same few rules of form.
func checkPage(t *testing.T, name string, lang reason.Lang, p Page) {
	t.Helper()
	html := string(p.Body)
	for _, want := range []string{`<html lang="` + lang.String() + `">`, "<title>", "<main>", "<header>", "<footer>"} {
		if !strings.Contains(html, want) {
			t.Errorf("%s %v: no %s", name, lang, want)
		}
	}
	if n := strings.Count(html, "<h1>"); n != 1 {
		t.Errorf("%s %v: %d h1, want 1", name, lang, n)
	}
	for _, banned := range []string{"<script", "<style", "style=", "ZgotmplZ", "<img", "<iframe", "http-equiv", " on"} {
		if banned == " on" {
			if regexp.MustCompile(`<[^>]* on[a-z]+=`).MatchString(html) {
				t.Errorf("%s %v: an event handler", name, lang)
			}
			continue
		}
		if strings.Contains(html, banned) {
			t.Errorf("%s %v: holds %s", name, lang, banned)
		}
	}
	if got := field(p, "Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("%s: Content-Type %q", name, got)
	}
}

func TestAnswersCarryTheFieldsOfTheContract(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	p := r.Answer(&Ask{Trace: []byte(trace)}, &Answer{Reason: reason.BackendLimited}, nil)
	want := map[string]string{
		"Content-Type":           "application/problem+json",
		"Proxy-Status":           `pvgate-gw.example.de; error=connection_limit_reached; details="backend_limited"`,
		"PV-Reason":              "backend_limited",
		"PV-Trace":               trace,
		"Retry-After":            "1",
		"Content-Language":       "de",
		"Vary":                   "Accept, Accept-Language",
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy":        "no-referrer",
		"Cache-Control":          "no-store",
	}
	for name, value := range want {
		if got := field(p, name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if csp := field(p, "Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") {
		t.Errorf("Content-Security-Policy: %q", csp)
	}
	names := make([]string, len(p.Fields))
	for i, f := range p.Fields {
		names[i] = string(f.Name)
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != len(p.Fields) {
		t.Errorf("a field stands twice: %v", names)
	}
}

func TestCachingFollowsTheReason(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, tt := range []struct {
		answer Answer
		want   string
	}{
		{Answer{Reason: reason.NoRoute}, "public, max-age=60"},
		{Answer{Reason: reason.Gone}, "public, max-age=60"},
		{Answer{Reason: reason.NoRoute, Private: true}, "no-store"},
		{Answer{Reason: reason.NotFound}, "no-store"},
		{Answer{Reason: reason.Ambiguous}, "no-store"},
		{Answer{Reason: reason.AreaRequired}, "no-store"},
		{Answer{Reason: reason.TargetRefused}, "no-store"},
	} {
		if got := field(r.Answer(&Ask{}, &tt.answer, nil), "Cache-Control"); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.answer.Reason, got, tt.want)
		}
	}
	if got := field(r.Answer(&Ask{}, &Answer{Reason: reason.MethodRefused, Allow: "GET, HEAD"}, nil), "Allow"); got != "GET, HEAD" {
		t.Errorf("Allow %q", got)
	}
}

// hostile is what somebody would put where a value is repeated.
var hostile = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	"line\r\nSet-Cookie: x=1",
	"\x1b[31mred\x00\u202egnp.exe\u2028\u0085",
	"\xff\xfe\xc3(",
	`</title></main>{{.}}`,
	`javascript:alert(1)`,
	strings.Repeat("Ü", 500),
	strings.Repeat("<", 1<<14),
}

func TestHostileValuesStayText(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, h := range hostile {
		a := &Answer{
			Reason: reason.InvalidArea, Leistung: h, Title: h, Value: h, Hint: h, Where: h, Why: h, Source: h, Offer: h,
			Area:       &Area{ARS: "06", Name: h},
			Help:       []Link{{Title: h, URL: h}},
			Candidates: []Candidate{{Title: h, URL: h, Backend: "b"}},
			Choices:    []Choice{{Name: h, ARS: "06", URL: h}},
			Near:       []Near{{Name: h, URL: h}},
		}
		p := r.Answer(&Ask{Trace: []byte(trace)}, a, nil)
		var doc struct{ Value, Hint string }
		if err := json.Unmarshal(p.Body, &doc); err != nil {
			t.Errorf("%.20q: %v", h, err)
		}
		if n := utf8.RuneCountInString(doc.Value); n > 64 {
			t.Errorf("%.20q: value of %d characters, want at most 64", h, n)
		}
		for _, c := range doc.Value + doc.Hint {
			if c < ' ' || c >= 0x7F && c < 0xA0 || c == 0x2028 || c == 0x202E {
				t.Errorf("%.20q: control character %U came through", h, c)
			}
		}
		if strings.Count(string(p.Body), "\n") != 1 {
			t.Errorf("%.20q: the document is not one line", h)
		}
		p = r.Answer(&Ask{HTML: true, Trace: []byte(trace)}, a, nil)
		html := string(p.Body)
		for _, banned := range []string{"<script", "<img", `href="javascript`, "\x1b", "\x00", "\u202e"} {
			if strings.Contains(html, banned) {
				t.Errorf("%.20q: page holds %q", h, banned)
			}
		}
		if !utf8.ValidString(html) {
			t.Errorf("%.20q: page is not valid UTF-8", h)
		}
		for _, f := range p.Fields {
			if strings.ContainsAny(string(f.Value), "\r\n\x00") {
				t.Errorf("%.20q: field %s holds a line break", h, f.Name)
			}
		}
	}
}

func TestChoicesAndCandidatesArePlainLinks(t *testing.T) {
	t.Parallel()
	a := full()
	a.Reason = reason.Ambiguous
	html := string(renderer(t).Answer(&Ask{HTML: true}, a, nil).Body)
	for _, want := range []string{
		`<a href="https://a.example/x#/y">A</a>`,
		`<a href="/leistung/99050012104000/06534">Marburg-Biedenkopf</a>`,
		`<a href="tel:115">115</a>`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s in\n%s", want, html)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, h := range hostile[:7] {
		f.Add(h)
	}
	r := renderer(f)
	f.Fuzz(func(t *testing.T, s string) {
		a := &Answer{Reason: reason.InvalidLeistung, Value: s, Hint: s, Candidates: []Candidate{{Title: s, URL: s}}, Why: s}
		p := r.Answer(&Ask{}, a, nil)
		if !json.Valid(p.Body) {
			t.Fatalf("invalid JSON: %s", p.Body)
		}
		html := r.Answer(&Ask{HTML: true}, a, nil).Body
		empty := r.Answer(&Ask{HTML: true}, &Answer{Reason: reason.InvalidLeistung, Value: "x", Hint: "x", Candidates: []Candidate{{Title: "x", URL: "x"}}, Why: "x"}, nil).Body
		tags := func(b []byte) int { return strings.Count(string(b), "<") }
		if s != "" && utf8.ValidString(s) && strings.TrimSpace(s) != "" && tags(html) > tags(empty) {
			t.Fatalf("%q added an element:\n%s", s, html)
		}
	})
}

func head(id message.FieldID, values ...string) *message.Head {
	h := new(message.Head)
	h.Reset()
	for _, v := range values {
		h.Fields = append(h.Fields, message.Field{ID: id, Value: []byte(v)})
	}
	return h
}

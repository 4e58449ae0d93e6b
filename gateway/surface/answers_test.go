// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/registry"
)

func TestVerdictsTellWhatTheyKnow(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for _, tt := range []struct {
		target, want string
		status       int
		check        func(a *answer) bool
	}{
		{"/leistung/" + gewerbe + "/06", "area_required", 400, func(a *answer) bool {
			c := a.list("choices")
			return len(c) > 0 && c[0]["ars"] != "" && c[0]["name"] != ""
		}},
		{"/leistung/99008001012000/010530032032", "ambiguous", 300, func(a *answer) bool {
			c := a.list("candidates")
			return len(c) == 2 && c[0]["title"] == "A <b>" && c[0]["url"] == "https://a.example/?x=%3Cy%3E&z" && c[0]["backend"] == "a.example"
		}},
		{"/leistung/99008001012000/06", "ambiguous", 300, func(a *answer) bool {
			c := a.list("candidates")
			return len(c) == 2 && c[0]["url"] == "http://hessen.gw.example.de:8080/b" && c[1]["url"] == "http://museum.gw.example.de:8080/a"
		}},
		{"/leistung/" + kfz + "/" + marburg, "no_route", 404, func(a *answer) bool {
			h := a.list("help")
			return len(h) == 2 && h[0]["url"] == "https://verwaltungsportal.hessen.de" && h[1]["url"] == "tel:115"
		}},
		{"/leistung/99115005104001/010010000000", "unknown_leistung", 404, func(a *answer) bool {
			n := a.list("near")
			return len(n) == 1 && n[0]["leistung"] == "99115005104000"
		}},
		{"/leistung/99012070006001/010010000000", "expired", 410, func(a *answer) bool {
			ended, _ := a.doc["ended"].(string)
			return strings.HasPrefix(ended, "2026-11-20T12:00:00+01:00")
		}},
		{"/leistung/99134005017000/" + marburg, "gone", 410, func(a *answer) bool { return a.doc["why"] == "Satzung <aufgehoben>" }},
		{"/leistung/99102013104000/" + marburg, "target_refused", 502, func(a *answer) bool {
			return a.doc["source"] == "routes.d/test.yaml:1" && a.doc["hint"] != nil
		}},
		{"/leistung/9905001210400/" + marburg, "invalid_leistung", 400, func(a *answer) bool {
			return a.doc["value"] == "9905001210400" && strings.Contains(a.doc["hint"].(string), "13 digits")
		}},
		{"/leistung/" + gewerbe + "/14612", "invalid_area", 400, func(a *answer) bool {
			return strings.Contains(a.doc["hint"].(string), "postcode")
		}},
		{"/leistung/" + gewerbe + "/10010000000", "invalid_area", 400, func(a *answer) bool {
			return strings.Contains(a.doc["hint"].(string), "leading zero")
		}},
		{"/leistung/" + gewerbe + "/065340014999", "unknown_area", 404, func(a *answer) bool { return len(a.list("near")) > 0 }},
		{"/leistung/" + gewerbe + "/x%20y%00", "bad_path", 400, nil},
		{"/leistung", "invalid_leistung", 400, nil},
		{"/nothing", "not_found", 404, nil},
	} {
		r := tryRequest(t, "GET "+tt.target+" HTTP/1.1\r\nHost: gw.example.de:8080\r\n\r\n")
		if r == nil {
			if tt.want != "bad_path" {
				t.Errorf("%s was refused before the surface", tt.target)
			}
			continue
		}
		a := resolve(t, s, r)
		if a.reason() != tt.want || a.plan.Reply.Status != tt.status {
			t.Errorf("%s: %d %s, want %d %s", tt.target, a.plan.Reply.Status, a.reason(), tt.status, tt.want)
			continue
		}
		if a.doc["type"] != entryURL+"/_pv/reasons/"+tt.want || a.doc["instance"] != "urn:trace:"+traceID {
			t.Errorf("%s: %s", tt.target, a.plan.Reply.Body)
		}
		if tt.check != nil && !tt.check(a) {
			t.Errorf("%s: %s", tt.target, a.plan.Reply.Body)
		}
		cache := "no-store"
		if a.plan.Reply.Reason.Cacheable() {
			cache = "public, max-age=60"
		}
		if a.fields["Cache-Control"] != cache {
			t.Errorf("%s: Cache-Control %q, want %q", tt.target, a.fields["Cache-Control"], cache)
		}
	}
}

func tryRequest(t testing.TB, raw string) *exchange.Request {
	t.Helper()
	h := new(message.Head)
	if !parse(raw, h) {
		t.Fatalf("%q is no request", raw)
	}
	return prepared(h, onDomain, direct)
}

func TestAnAnswerThatHeaderFieldsDecidedIsNotCached(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	a := askFrom(t, s, hessen, "GET /leistung", "PV-Leistung: "+kfz, "PV-ARS: "+marburg)
	if a.reason() != "no_route" || a.fields["Cache-Control"] != "no-store" {
		t.Errorf("%s %q, want no_route, no-store", a.reason(), a.fields["Cache-Control"])
	}
}

func TestChoicesArePlainLinksThatAskTheSameThere(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	a := ask(t, s, "GET /leistung/"+gewerbe+"/06?lang=en", "Accept: text/html")
	html := string(a.plan.Reply.Body)
	if a.fields["Content-Type"] != "text/html; charset=utf-8" || a.fields["Content-Language"] != "en" {
		t.Errorf("%v", a.fields)
	}
	if want := `<a href="/leistung/` + gewerbe + `/065?lang=en">`; !strings.Contains(html, want) {
		t.Errorf("no %s in\n%s", want, html)
	}
	// Each choice is answered, and does not lead back to itself.
	for range 4 {
		i := strings.Index(html, `<li><a href="/leistung/`)
		if i < 0 {
			return
		}
		target, _, _ := strings.Cut(html[i+len(`<li><a href="`):], `"`)
		a = ask(t, s, "GET "+target, "Accept: text/html")
		if a.reason() != "area_required" {
			return
		}
		html = string(a.plan.Reply.Body)
	}
	t.Error("four choices deep and still asked for an area")
}

// R4: one key that has become several areas.
func TestASplitAreaListsWhatItBecame(t *testing.T) {
	t.Parallel()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	areas, err = areas.WithAliases([]registry.Alias{{
		From: []string{marburg}, To: []string{"065340018018", "065340004004"}, On: time.Date(2026, 1, 1, 0, 0, 0, 0, registry.Berlin()),
	}})
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions(t)
	o.Table = tableOn(t, areas)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	a := ask(t, s, "GET /leistung/"+gewerbe+"/"+marburg)
	c := a.list("choices")
	if a.reason() != "area_required" || len(c) != 2 || c[0]["ars"] != "065340004004" || c[1]["ars"] != "065340018018" {
		t.Errorf("%s", a.plan.Reply.Body)
	}
}

func TestReservedPathsAnswerEverywhereAndOnlyToRetrieval(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for _, tt := range []struct {
		target, accept string
		status         int
		content        string
		holds          string
	}{
		{"/", "", 200, "text/html; charset=utf-8", "Portalverbund"},
		{"/?lang=en", "", 200, "text/html; charset=utf-8", `<html lang="en">`},
		{"/robots.txt", "", 200, "text/plain; charset=utf-8", "Disallow: /"},
		{"/_pv/health", "", 200, "text/plain; charset=utf-8", "ok"},
		{"/_pv/static/pv.css", "", 200, "text/css; charset=utf-8", "body{"},
		{"/_pv/reasons/", "", 200, "text/html; charset=utf-8", "sender_limited"},
		{"/_pv/reasons/no_route", "", 200, "text/html; charset=utf-8", "Kein Online-Angebot"},
		{"/_pv/reasons/no_route?lang=en", "*/*", 200, "text/html; charset=utf-8", "No online offer"},
		{"/_pv/reasons/no_route", "application/json", 200, "application/json", `"code":"no_route"`},
		{"/_pv/reasons/nonsense", "", 404, "application/problem+json", "not_found"},
		{"/_pv/areas?q=Marbu", "", 200, "application/json", `"ars":"065340014014"`},
		{"/_pv/areas?q=M%C3%BCnchen", "", 200, "application/json", `"ars":"091620000000"`},
		{"/_pv/areas", "", 200, "application/json", `{"areas":[]}`},
		{"/_pv/areas?q=a&q=b", "", 400, "application/problem+json", "conflicting_keys"},
		{"/_pv/route?leistung=" + gewerbe, "", 403, "application/problem+json", "sender_unknown"},
		{"/_pv", "", 404, "application/problem+json", "not_found"},
		{"/_pv/", "", 404, "application/problem+json", "not_found"},
		{"/_pv/static/../x", "", 0, "", ""},
	} {
		r := tryRequest(t, "GET "+tt.target+" HTTP/1.1\r\nHost: gw.example.de\r\nAccept: "+tt.accept+"\r\n\r\n")
		if r == nil {
			if tt.status != 0 {
				t.Errorf("%s was refused before the surface", tt.target)
			}
			continue
		}
		a := resolve(t, s, r)
		if a.plan.Forward || a.plan.Reply.Status != tt.status || a.fields["Content-Type"] != tt.content || !strings.Contains(string(a.plan.Reply.Body), tt.holds) {
			t.Errorf("%s: %d %s, want %d %s with %s in\n%s", tt.target, a.plan.Reply.Status, a.fields["Content-Type"], tt.status, tt.content, tt.holds, a.plan.Reply.Body)
		}
		for _, name := range []string{"PV-Trace", "Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control", "Vary"} {
			if a.fields[name] == "" {
				t.Errorf("%s: no %s", tt.target, name)
			}
		}
		if a := ask(t, s, "POST "+tt.target, "Content-Length: 0"); a.plan.Reply.Status != 405 || a.fields["Allow"] != "GET, HEAD, OPTIONS" {
			t.Errorf("POST %s: %d, Allow %q", tt.target, a.plan.Reply.Status, a.fields["Allow"])
		}
		if a := ask(t, s, "OPTIONS "+tt.target); a.plan.Reply.Status != 204 {
			t.Errorf("OPTIONS %s: %d", tt.target, a.plan.Reply.Status)
		}
	}
}

// The operator's security.txt is found wherever a client may look for it, before any backend's.
func TestSecurityTxtIsAnsweredOnEveryPublicHost(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.SecurityTxt = &pages.SecurityTxt{
		Contact: []string{"mailto:security@gw.example.de", "https://gw.example.de/report"}, Expires: time.Date(2027, 6, 30, 22, 0, 0, 0, time.UTC),
		PreferredLanguages: []string{"de", "en"}, Policy: []string{"https://gw.example.de/policy"},
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	const want = "Contact: mailto:security@gw.example.de\nContact: https://gw.example.de/report\nExpires: 2027-06-30T22:00:00Z\n" +
		"Preferred-Languages: de, en\nPolicy: https://gw.example.de/policy\n"
	for _, at := range []struct {
		listener int
		host     string
	}{{onDomain, "gw.example.de"}, {onDomain, "hessen.gw.example.de"}, {onAny, "anything"}} {
		a := askAt(t, s, at.listener, at.host, direct, "GET /.well-known/security.txt")
		if a.plan.Forward || a.plan.Reply.Status != 200 || string(a.plan.Reply.Body) != want || a.fields["Content-Type"] != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %s\n%s\nwant\n%s", at.host, a.plan.Reply.Status, a.fields["Content-Type"], a.plan.Reply.Body, want)
		}
		if a := askAt(t, s, at.listener, at.host, direct, "POST /.well-known/security.txt"); a.plan.Reply.Status != 405 {
			t.Errorf("%s: POST is answered %d, want 405", at.host, a.plan.Reply.Status)
		}
	}
	if a := askAt(t, s, onDomain, "other.example", direct, "GET /.well-known/security.txt"); a.reason() != "misdirected" {
		t.Errorf("a host of nobody: %s, want misdirected", a.reason())
	}
	if a := ask(t, testSurface(t), "GET /.well-known/security.txt"); a.reason() != "not_found" {
		t.Errorf("without a configured one: %s, want not_found", a.reason())
	}
}

func TestEveryReasonCanBeLookedUp(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for _, code := range reason.All() {
		for _, lang := range []string{"de", "en"} {
			a := ask(t, s, "GET /_pv/reasons/"+code.String()+"?lang="+lang, "Accept: text/html")
			if a.plan.Reply.Status != 200 || !strings.Contains(string(a.plan.Reply.Body), `<html lang="`+lang+`">`) {
				t.Errorf("%v in %s: %d", code, lang, a.plan.Reply.Status)
			}
		}
	}
}

func TestRouteTellsKnownSendersWhereACitizenWouldBeLed(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for _, tt := range []struct {
		query, want string
		members     map[string]string
	}{
		{"leistung=" + gewerbe + "&area=" + marburg, "", map[string]string{
			"url": dear, "backend": "marburg", "kind": "service", "area": marburg, "key": gewerbe,
		}},
		{"leistung=99.050.012.104.000&area=06435014", "", map[string]string{
			"url": "http://hessen.gw.example.de:8080/gewerbe/" + gewerbe + "?l=de", "backend": "hessen", "area": "06",
		}},
		{"leistung=" + fischen + "&area=06", "", map[string]string{"url": entryURL + "/_pv/b/inplace/fischen", "backend": "inplace"}},
		{"leistung=99063018261000", "", map[string]string{"url": "https://bund.example/x", "backend": "bund.example", "area": ""}},
		{"leistung=99063018261000&area=-", "", map[string]string{"url": "https://bund.example/x"}},
		{"leistung=" + gewerbe + "&area=06534&lang=de", "area_required", nil}, // five digits: a known sender means a Kreis
		{"leistung=" + gewerbe + "&area=06&area=06", "conflicting_keys", nil},
		{"area=06", "invalid_leistung", nil},
		{"leistung=" + kfz + "&area=" + marburg, "no_route", nil},
	} {
		a := askFrom(t, s, hessen, "GET /_pv/route?"+tt.query, "Accept: text/html;q=0.1, application/json")
		if got := a.reason(); got != tt.want && !(tt.want == "" && got == "none") {
			t.Errorf("%s: %s, want %s in %s", tt.query, got, tt.want, a.plan.Reply.Body)
		}
		for member, want := range tt.members {
			if a.doc[member] != want {
				t.Errorf("%s: %s is %v, want %q", tt.query, member, a.doc[member], want)
			}
		}
	}
}

func TestPageAnswersForWhatTheExchangeFoundItself(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	page := func(code reason.Code, d exchange.Detail) *answer {
		h := new(message.Head)
		h.Reset()
		a := &answer{fields: map[string]string{}}
		s.Page(&exchange.Request{Head: h, Trace: []byte(traceID), Now: noon}, code, d, &a.plan)
		a.read(t)
		return a
	}
	for _, code := range reason.All() {
		a := page(code, exchange.Detail{Backend: -1})
		if a.plan.Reply.Reason != code || a.doc["reason"] != code.String() {
			t.Errorf("%v became %s", code, a.plan.Reply.Body)
		}
		if status := a.plan.Reply.Status; (status == 429 || status == 503) != (a.fields["Retry-After"] != "") {
			t.Errorf("%v: %d with Retry-After %q", code, status, a.fields["Retry-After"])
		}
		if (a.plan.Reply.Status == 405) != (a.fields["Allow"] != "") {
			t.Errorf("%v: %d with Allow %q", code, a.plan.Reply.Status, a.fields["Allow"])
		}
	}
	a := page(reason.BackendLimited, exchange.Detail{Backend: backendHessen, RetryAfter: 1500 * time.Millisecond})
	backend, _ := a.doc["backend"].(map[string]any)
	if a.fields["Retry-After"] != "2" || backend["id"] != "hessen" || backend["name"] != "Land Hessen" {
		t.Errorf("%v %s", a.fields, a.plan.Reply.Body)
	}
	forwarded := ask(t, s, "POST /leistung/"+gewerbe+"/064350014014?lang=en", "Content-Length: 1")
	s.Page(request(t, "POST /leistung/"+gewerbe+"/064350014014?lang=en HTTP/1.1\r\nHost: gw.example.de\r\n\r\n", onDomain, direct),
		reason.ConnectRefused, exchange.Detail{Backend: backendHessen}, &forwarded.plan)
	forwarded.read(t)
	area, _ := forwarded.doc["area"].(map[string]any)
	if forwarded.plan.Forward || forwarded.doc["leistung"] != gewerbe || area["ars"] != "064350014014" || forwarded.fields["Content-Language"] != "en" {
		t.Errorf("%v %s", forwarded.fields, forwarded.plan.Reply.Body)
	}
	if a := page(reason.URITooLong, exchange.Detail{Backend: -1}); a.doc["limit"] != "8192 bytes" {
		t.Errorf("%s", a.plan.Reply.Body)
	}
	if a := page(reason.HeadTooLarge, exchange.Detail{Backend: -1}); a.doc["limit"] != "32768 bytes in 100 fields" {
		t.Errorf("%s", a.plan.Reply.Body)
	}
}

func TestRefusalsAllocateNothing(t *testing.T) {
	s := testSurface(t)
	for _, accept := range []string{"*/*", "text/html"} {
		r := request(t, "POST /leistung/"+gewerbe+"/064350014014 HTTP/1.1\r\nHost: gw.example.de\r\nAccept-Language: de\r\nAccept: "+accept+"\r\n\r\n", onDomain, direct)
		var p exchange.Plan
		s.Resolve(r, &p)
		if !p.Forward {
			t.Fatalf("%v", p.Reply.Reason)
		}
		scratch := len(p.Scratch)
		for _, code := range []reason.Code{reason.BackendBusy, reason.RequestTimeout, reason.ConnectionLost} {
			refuse := func() {
				p.Scratch = p.Scratch[:scratch]
				s.Page(r, code, exchange.Detail{Backend: p.Backend}, &p)
			}
			if n := testing.AllocsPerRun(100, refuse); n > 0 {
				t.Errorf("%v as %s: %v allocations", code, accept, n)
			}
			if p.Reply.Status != code.Status() || len(p.Reply.Body) < 400 {
				t.Errorf("%v as %s: %d %s", code, accept, p.Reply.Status, p.Reply.Body)
			}
		}
	}
}

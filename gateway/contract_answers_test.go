// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/reason"
)

// The tests of this file hold the part of the HTTP contract that is about answers of our own, over sockets; the number
// before each is the contract's.

var traceID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// question is a request and what the contract says of its answer.
type question struct {
	line   string
	reason string
	status int
	tells  []string // members beyond the common ones
}

// questions has one request for each reason that a request alone can bring about.
func questions() []question {
	l := func(key, area string) string { return "GET /leistung/" + key + "/" + area }
	return []question{
		{"GET /nothing", "not_found", 404, nil},
		{"GET /a/../b", "bad_path", 400, nil},
		{"TRACE /", "method_refused", 405, []string{"allow"}},
		{"POST /leistung/" + gatewaytest.Gewerbe + "/" + gatewaytest.Marburg, "method_refused", 405, []string{"allow"}},
		{l("9905001210400", "06"), "invalid_leistung", 400, []string{"value", "hint"}},
		{l(gatewaytest.Gewerbe, "14612"), "invalid_area", 400, []string{"value", "hint"}},
		{l(gatewaytest.Gewerbe, "065340014999"), "unknown_area", 404, []string{"near", "value"}},
		{"GET /leistung/" + gatewaytest.Gewerbe + "?ars=06&ars=06", "conflicting_keys", 400, []string{"where"}},
		{l(gatewaytest.Gewerbe, "06"), "area_required", 400, []string{"choices"}},
		{l(gatewaytest.Equal, "010530032032"), "ambiguous", 300, []string{"candidates"}},
		{l("99115005104001", "01"), "unknown_leistung", 404, []string{"near", "help"}},
		{l(gatewaytest.Kfz, gatewaytest.Marburg), "no_route", 404, []string{"help"}},
		{l(gatewaytest.Expired, "01"), "expired", 410, []string{"ended", "help"}},
		{l(gatewaytest.Gone, gatewaytest.Marburg), "gone", 410, []string{"why", "help"}},
		{l(gatewaytest.Refused, "06"), "target_refused", 502, []string{"source", "backend", "hint"}},
		{"GET /_pv/route?leistung=" + gatewaytest.Gewerbe, "sender_unknown", 403, nil},
		{"POST /leistung/" + gatewaytest.Down + "/06", "connect_refused", 502, []string{"backend"}},
	}
}

// 8: the fields of every answer of ours.
func TestContract8FieldsOfOurAnswers(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	for _, q := range questions() {
		for _, accept := range []string{"application/json", "text/html"} {
			a := g.Ask(t, entryHost, q.line, "Accept: "+accept)
			if a.Status != q.status || a.Reason() != q.reason {
				t.Errorf("%s: %d %s, want %d %s", q.line, a.Status, a.Reason(), q.status, q.reason)
				continue
			}
			code, _ := reason.Parse(q.reason)
			status := "pvgate-gw.example.de"
			if e := code.ProxyStatusError(); e != "" {
				status += "; error=" + e
			}
			for name, want := range map[string]string{
				"Proxy-Status": status + `; details="` + q.reason + `"`, "Content-Language": "de", "Vary": "Accept, Accept-Language",
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			} {
				if a.Header.Get(name) != want {
					t.Errorf("%s: %s: %q, want %q", q.line, name, a.Header.Get(name), want)
				}
			}
			policy := a.Header.Get("Content-Security-Policy")
			for _, want := range []string{"default-src 'none'", "style-src 'self'", "img-src 'self'", "script-src 'self'"} {
				if !strings.Contains(policy, want) {
					t.Errorf("%s: Content-Security-Policy %q lacks %s", q.line, policy, want)
				}
			}
			if !traceID.MatchString(a.Header.Get("PV-Trace")) {
				t.Errorf("%s: PV-Trace %q", q.line, a.Header.Get("PV-Trace"))
			}
			if retry := a.Header.Get("Retry-After"); (retry != "") != (q.status == 429 || q.status == 503) {
				t.Errorf("%s: %d with Retry-After %q", q.line, q.status, retry)
			}
			if (a.Header.Get("Allow") != "") != (q.status == 405) {
				t.Errorf("%s: %d with Allow %q", q.line, q.status, a.Header.Get("Allow"))
			}
		}
	}
}

// 8 and 9: a handover.
func TestContract8FieldsOfAHandover(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	for area, location := range map[string]string{
		gatewaytest.Marburg: gatewaytest.MarburgURL,
		gatewaytest.Hanau:   "http://" + hessenHost + "/gewerbe/" + gatewaytest.Gewerbe + "?l=de",
	} {
		a := g.Ask(t, entryHost, "GET /leistung/"+gatewaytest.Gewerbe+"/"+area)
		for name, want := range map[string]string{
			"Location": location, "Cache-Control": "no-store", "Pv-Reason": "handover", "Proxy-Status": `pvgate-gw.example.de; details="handover"`,
			"Content-Language": "de", "Vary": "Accept, Accept-Language", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"Content-Length": "0",
		} {
			got := a.Header.Get(name)
			if name == "Location" { // behind it stands the context, which has its own tests
				got, _, _ = strings.Cut(got, "&_pv=")
			}
			if got != want {
				t.Errorf("%s: %s: %q, want %q", area, name, got, want)
			}
		}
		if a.Status != 303 || a.Body != "" || !traceID.MatchString(a.Header.Get("PV-Trace")) {
			t.Errorf("%s: %d %q, PV-Trace %q", area, a.Status, a.Body, a.Header.Get("PV-Trace"))
		}
	}
}

// 9: what may be kept for a minute, and nothing else.
func TestContract9Caching(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	minute := []string{"no_route", "not_joined", "unknown_area", "unknown_leistung", "not_an_application", "expired", "gone"}
	for _, q := range questions() {
		want := "no-store"
		if slices.Contains(minute, q.reason) {
			want = "public, max-age=60"
		}
		if a := g.Ask(t, entryHost, q.line); a.Header.Get("Cache-Control") != want {
			t.Errorf("%s (%s): Cache-Control %q, want %q", q.line, q.reason, a.Header.Get("Cache-Control"), want)
		}
	}
	for _, target := range []string{"/", "/_pv/health", "/_pv/areas?q=Mar", "/robots.txt"} {
		if a := g.Ask(t, entryHost, "GET "+target); a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control %q, want no-store", target, a.Header.Get("Cache-Control"))
		}
	}
}

// 10: the members of a problem document, and no others.
func TestContract10Members(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	for _, q := range questions() {
		a := g.Ask(t, entryHost, q.line)
		if a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", q.line, a.Header.Get("Content-Type"))
			continue
		}
		code, _ := reason.Parse(q.reason)
		for member, want := range map[string]any{
			"type": "http://gw.example.de/_pv/reasons/" + q.reason, "status": float64(q.status), "reason": q.reason, "fault": code.Fault().String(),
			"instance": "urn:trace:" + a.Header.Get("PV-Trace"), "title": code.Title(reason.German),
		} {
			if a.Doc[member] != want {
				t.Errorf("%s: %s is %v, want %v", q.line, member, a.Doc[member], want)
			}
		}
		common := []string{"type", "title", "status", "detail", "instance", "reason", "fault", "leistung", "area"}
		for _, member := range slices.Concat(common[:7], q.tells) {
			if _, ok := a.Doc[member]; !ok {
				t.Errorf("%s: no %s in %s", q.line, member, a.Body)
			}
		}
		for member := range a.Doc {
			if !slices.Contains(common, member) && !slices.Contains(q.tells, member) && !slices.Contains(code.Tells(), member) {
				t.Errorf("%s: %s is told, which the contract does not name for it", q.line, member)
			}
		}
	}
	a := g.Ask(t, entryHost, "GET /leistung/"+gatewaytest.Kfz+"/"+gatewaytest.Marburg)
	want := map[string]any{"ars": gatewaytest.Marburg, "name": "Marburg, Universitätsstadt", "level": 12.0}
	if d := cmp.Diff(want, a.Doc["area"]); d != "" || a.Doc["leistung"] != gatewaytest.Kfz {
		t.Errorf("leistung %v, area -want +got\n%s", a.Doc["leistung"], d)
	}
	help := []any{
		map[string]any{"title": "verwaltungsportal.hessen.de", "url": "https://verwaltungsportal.hessen.de"},
		map[string]any{"title": "Behördennummer 115", "url": "tel:115"},
	}
	if d := cmp.Diff(help, a.Doc["help"]); d != "" {
		t.Errorf("help -want +got\n%s", d)
	}
	choices, _ := g.Ask(t, entryHost, "GET /leistung/"+gatewaytest.Gewerbe+"/06").Doc["choices"].([]any)
	if len(choices) == 0 || !slices.Equal(slices.Sorted(maps.Keys(choices[0].(map[string]any))), []string{"ars", "name"}) {
		t.Errorf("choices %v, want a list of ars and name", choices)
	}
	candidates, _ := g.Ask(t, entryHost, "GET /leistung/"+gatewaytest.Equal+"/010530032032").Doc["candidates"].([]any)
	if len(candidates) != 2 || !slices.Equal(slices.Sorted(maps.Keys(candidates[0].(map[string]any))), []string{"backend", "title", "url"}) {
		t.Errorf("candidates %v, want two of backend, title and url", candidates)
	}
}

// 10: a failing portal is named with who can be asked, and the request it failed at.
func TestContract10BackendOfAFailure(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, func(*gatewaytest.Seen) string { return "" })
	a := g.Ask(t, entryHost, "POST "+inPlace+"?lang=en")
	backend := map[string]any{"id": "hessen", "name": "Land Hessen", "contact": map[string]any{"name": "Leitstelle", "phone": "115"}}
	if d := cmp.Diff(backend, a.Doc["backend"]); d != "" || a.Status != 502 || a.Reason() != "connection_lost" {
		t.Errorf("%d %s, backend -want +got\n%s", a.Status, a.Reason(), d)
	}
	if a.Doc["leistung"] != gatewaytest.Gewerbe || a.Doc["instance"] != "urn:trace:"+a.Header.Get("PV-Trace") || a.Header.Get("Content-Language") != "en" {
		t.Errorf("%v %s", a.Header, a.Body)
	}
}

// 10: pages for those who ask for pages.
func TestContract10PagesByAccept(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	for accept, html := range map[string]bool{
		"": false, "*/*": false, "text/html": true, "text/html, application/json": false, "text/html;q=0.9, application/json;q=0.8": true,
		"text/html;q=0.8, application/problem+json": false, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": true, "text/html;q=0": false,
	} {
		want := "application/problem+json"
		if html {
			want = "text/html; charset=utf-8"
		}
		for _, line := range []string{"GET /nothing", "GET /a/../b", "POST /leistung/" + gatewaytest.Down + "/06"} {
			if a := g.Ask(t, entryHost, line, "Accept: "+accept); a.Header.Get("Content-Type") != want {
				t.Errorf("%s, Accept: %s: %s, want %s", line, accept, a.Header.Get("Content-Type"), want)
			}
		}
	}
}

// 11: lang, PV-Language of a known sender, Accept-Language, German.
func TestContract11Language(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	const base = "/leistung/" + gatewaytest.Kfz + "/" + gatewaytest.Marburg // no_route
	for _, tt := range []struct {
		from, target string
		fields       []string
		want         string
	}{
		{gatewaytest.Direct, base, nil, "de"},
		{gatewaytest.Direct, base, []string{"Accept-Language: fr, en-GB;q=0.5"}, "en"},
		{gatewaytest.Direct, base, []string{"Accept-Language: fr"}, "de"},
		{gatewaytest.Direct, base + "?lang=de", []string{"Accept-Language: en"}, "de"},
		{gatewaytest.Direct, base + "?lang=en", nil, "en"},
		{gatewaytest.Direct, base + "?lang=de-x-ls", []string{"Accept-Language: en"}, "de"},
		{gatewaytest.Direct, base, []string{"PV-Language: en"}, "de"},
		{gatewaytest.Known, base, []string{"PV-Language: en", "Accept-Language: de"}, "en"},
		{gatewaytest.Known, base + "?lang=de", []string{"PV-Language: en"}, "de"},
		{gatewaytest.Direct, "/nothing", []string{"Accept-Language: en"}, "en"},
		{gatewaytest.Direct, "/?lang=en", nil, "en"},
		{gatewaytest.Direct, "/_pv/reasons/no_route?lang=en", nil, "en"},
	} {
		if a := g.AskFrom(t, tt.from, entryHost, "GET "+tt.target, tt.fields...); a.Header.Get("Content-Language") != tt.want {
			t.Errorf("%s from %s with %q: %s, want %s", tt.target, tt.from, tt.fields, a.Header.Get("Content-Language"), tt.want)
		}
	}
	// 13: the target's language is in its template and in the answer.
	a := g.Ask(t, entryHost, "GET /leistung/"+gatewaytest.Meldung+"/01?lang=en")
	if a.Header.Get("Location") != "https://meldung.example/en" || a.Header.Get("Content-Language") != "en" {
		t.Errorf("%q in %s", a.Header.Get("Location"), a.Header.Get("Content-Language"))
	}
}

// 4: what a redirect target's address can do.
func TestContract4MethodsAtARedirectTarget(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	const target = " /leistung/" + gatewaytest.Gewerbe + "/" + gatewaytest.Marburg
	for method, status := range map[string]int{"GET": 303, "HEAD": 303, "OPTIONS": 204, "POST": 405, "PUT": 405, "DELETE": 405, "PATCH": 405, "BREW": 405} {
		a := g.Ask(t, entryHost, method+target, "Content-Length: 0")
		allow := ""
		if status != 303 {
			allow = "GET, HEAD, OPTIONS"
		}
		if a.Status != status || a.Header.Get("Allow") != allow {
			t.Errorf("%s: %d, Allow %q; want %d, %q", method, a.Status, a.Header.Get("Allow"), status, allow)
		}
	}
	// 3: no part of the request gets into Location, and a rest has nowhere to go.
	if a := g.Ask(t, entryHost, "GET"+target+"?x=1&lang=en"); a.Header.Get("Location") != gatewaytest.MarburgURL {
		t.Errorf("Location %q, want %q", a.Header.Get("Location"), gatewaytest.MarburgURL)
	}
	if a := g.Ask(t, entryHost, "GET"+target+"/akte"); a.Reason() != "not_found" {
		t.Errorf("with a rest: %s, want not_found", a.Reason())
	}
	if n := len(origin.Requests()); n != 0 {
		t.Errorf("%d requests have reached a portal", n)
	}
}

// 1: all spellings of one question have one answer.
func TestContract1FormsOfOneQuestion(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	for _, tt := range []struct{ from, target, fields string }{
		{gatewaytest.Direct, "/leistung/" + gatewaytest.Gewerbe + "/" + gatewaytest.Marburg, ""},
		{gatewaytest.Direct, "/leistung/" + gatewaytest.Gewerbe + "/06534014", ""},
		{gatewaytest.Direct, "/leistung/99.050%20012-104.000/%306534014", ""},
		{gatewaytest.Direct, "/leistung/urn:de:fim:leika:leistung:" + gatewaytest.Gewerbe + "/" + gatewaytest.Marburg, ""},
		{gatewaytest.Direct, "/leistung/" + gatewaytest.Gewerbe + "?ars=" + gatewaytest.Marburg, ""},
		{gatewaytest.Direct, "/leistung/" + gatewaytest.Gewerbe + "?ags=06534014", ""},
		{gatewaytest.Direct, "/leistung?ars=" + gatewaytest.Marburg + "&leistung=" + gatewaytest.Gewerbe, ""},
		{gatewaytest.Known, "/leistung", "PV-Leistung: " + gatewaytest.Gewerbe + "\r\nPV-ARS: " + gatewaytest.Marburg},
		{gatewaytest.Known, "/leistung/", "PV-Leistung: " + gatewaytest.Gewerbe + "\r\nPV-ARS: " + gatewaytest.Marburg},
	} {
		a := g.Raw(t, tt.from, "GET "+tt.target+" HTTP/1.1\r\nHost: "+entryHost+"\r\nX-A: b\r\n"+strings.TrimSuffix(tt.fields+"\r\n", "\r\n\r\n")+"\r\n")
		if a.Status != 303 || a.Header.Get("Location") != gatewaytest.MarburgURL {
			t.Errorf("%s: %d %s %q", tt.target, a.Status, a.Reason(), a.Header.Get("Location"))
		}
	}
}

// 2: reserved names, on every host.
func TestContract2ReservedNames(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	for _, host := range []string{entryHost, hessenHost} {
		for _, tt := range []struct{ target, content, holds string }{
			{"/_pv/health", "text/plain; charset=utf-8", "ok\n"},
			{"/_pv/reasons/sender_limited", "text/html; charset=utf-8", "sender_limited"},
			{"/_pv/reasons/", "text/html; charset=utf-8", "no_route"},
			{"/_pv/static/pv.css", "text/css; charset=utf-8", "body"},
			{"/_pv/areas?q=Marburg", "application/json", `"ars":"` + gatewaytest.Marburg + `"`},
		} {
			if a := g.Ask(t, host, "GET "+tt.target); a.Status != 200 || a.Header.Get("Content-Type") != tt.content || !strings.Contains(a.Body, tt.holds) {
				t.Errorf("%s%s: %d %s, want 200 %s with %q", host, tt.target, a.Status, a.Header.Get("Content-Type"), tt.content, tt.holds)
			}
		}
		if a := g.Ask(t, host, "GET /_pv/nothing"); a.Reason() != "not_found" {
			t.Errorf("%s/_pv/nothing: %s, want not_found", host, a.Reason())
		}
	}
	for _, host := range []string{entryHost, hessenHost} {
		if a := g.Ask(t, host, "GET /robots.txt"); a.Body != "User-agent: *\nDisallow: /\n" {
			t.Errorf("%s/robots.txt: %q", host, a.Body)
		}
	}
	if n := len(origin.Requests()); n != 0 {
		t.Errorf("%d requests have reached a portal", n)
	}
	if a := g.Ask(t, entryHost, "GET /"); a.Status != 200 || !strings.Contains(a.Body, "Portalverbund") {
		t.Errorf("/: %d", a.Status)
	}
	for _, code := range reason.All() {
		for _, lang := range []string{"de", "en"} {
			a := g.Ask(t, entryHost, "GET /_pv/reasons/"+code.String()+"?lang="+lang, "Accept: text/html")
			if a.Status != 200 || a.Header.Get("Content-Language") != lang || !strings.Contains(a.Body, code.String()) {
				t.Errorf("/_pv/reasons/%v in %s: %d", code, lang, a.Status)
			}
		}
	}
	areas, _ := g.Ask(t, entryHost, "GET /_pv/areas?q=Ne").Doc["areas"].([]any)
	if len(areas) == 0 || len(areas) > 20 {
		t.Errorf("/_pv/areas has %d names, want 1 to 20", len(areas))
	}
}

// 2: /_pv/route is for portals we know, says what a handover would do, and counts as none.
func TestContract2Route(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	route := func(from, query string) *gatewaytest.Answer {
		return g.AskFrom(t, from, entryHost, "GET /_pv/route?"+query)
	}
	if a := route(gatewaytest.Direct, "leistung="+gatewaytest.Gewerbe+"&area=06"); a.Status != 403 || a.Reason() != "sender_unknown" {
		t.Errorf("from nobody we know: %d %s, want 403 sender_unknown", a.Status, a.Reason())
	}
	a := route(gatewaytest.Known, "leistung="+gatewaytest.Gewerbe+"&area="+gatewaytest.Marburg)
	want := map[string]any{"url": gatewaytest.MarburgURL, "backend": "marburg", "kind": "service", "area": gatewaytest.Marburg, "key": gatewaytest.Gewerbe}
	if d := cmp.Diff(want, a.Doc); d != "" || a.Status != 200 || a.Header.Get("Location") != "" {
		t.Errorf("%d %q -want +got\n%s", a.Status, a.Header.Get("Location"), d)
	}
	a = route(gatewaytest.Known, "leistung="+gatewaytest.Gewerbe+"&area="+gatewaytest.Hanau)
	if a.Doc["url"] != "http://"+hessenHost+"/gewerbe/"+gatewaytest.Gewerbe+"?l=de" || a.Doc["area"] != "06" {
		t.Errorf("proxied: %s", a.Body)
	}
	for range 3 { // no share of a limit is used up
		if a := route(gatewaytest.Known, "leistung="+gatewaytest.StrictPage+"&area=06"); a.Status != 200 {
			t.Errorf("limited target: %d %s", a.Status, a.Reason())
		}
	}
	if a := route(gatewaytest.Known, "leistung="+gatewaytest.Kfz+"&area=06"); a.Reason() != "no_route" {
		t.Errorf("nothing responsible: %s, want no_route", a.Reason())
	}
	for name, n := range g.Samples(t) {
		if strings.HasPrefix(name, "pvgate_backend_requests_total") {
			t.Errorf("%s %v: asking is no handover", name, n)
		}
	}
	if n := len(origin.Requests()); n != 0 {
		t.Errorf("%d requests have reached a portal", n)
	}
}

// 12: scripts of a known portal may read the type-ahead and the route, without credentials; nothing else is shared.
func TestContract12SharingWithPagesOfKnownPortals(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	for _, tt := range []struct{ target, origin, want string }{
		{"/_pv/areas?q=Mar", gatewaytest.Portal, gatewaytest.Portal},
		{"/_pv/route?leistung=" + gatewaytest.Bund, gatewaytest.Portal, gatewaytest.Portal},
		{"/_pv/route?leistung=1", gatewaytest.Portal, gatewaytest.Portal}, // the script is to see the reason
		{"/_pv/areas?q=Mar", "https://evil.example", ""},
		{"/_pv/areas?q=Mar", gatewaytest.Portal + ".evil.example", ""},
		{"/_pv/areas?q=Mar", "null", ""},
		{"/_pv/areas?q=Mar", "", ""},
		{"/_pv/health", gatewaytest.Portal, ""},
		{"/", gatewaytest.Portal, ""},
		{"/leistung/" + gatewaytest.Gewerbe + "/" + gatewaytest.Marburg, gatewaytest.Portal, ""},
		{"/leistung/" + gatewaytest.Kfz + "/06", gatewaytest.Portal, ""},
	} {
		a := g.AskFrom(t, gatewaytest.Known, entryHost, "GET "+tt.target, "Origin: "+tt.origin)
		if got := a.Header.Get("Access-Control-Allow-Origin"); got != tt.want || a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s from %q: shared with %q, want %q", tt.target, tt.origin, got, tt.want)
		}
		api := strings.HasPrefix(tt.target, "/_pv/areas") || strings.HasPrefix(tt.target, "/_pv/route")
		if api != slices.Contains(a.Header.Values("Vary"), "Origin") {
			t.Errorf("%s: Vary %q", tt.target, a.Header.Values("Vary"))
		}
	}
}

// 2: a default backend answers what no other form matches, our own names stay ours.
func TestContract2DefaultBackend(t *testing.T) {
	t.Parallel()
	origin := gatewaytest.NewOrigin(t, nil)
	o := gatewaytest.StandardOptions(t, origin)
	o.Default = "legacy"
	g := gatewaytest.Start(t, o)
	for _, tt := range [][2]string{{"any.example", "/"}, {entryHost, "/x?y"}, {"any.example", "/.well-known/security.txt"}} {
		if a := g.Ask(t, tt[0], "GET "+tt[1]); a.Status != 200 || origin.Last(t).Target() != tt[1] {
			t.Errorf("%s%s: %d, the portal got %s", tt[0], tt[1], a.Status, origin.Last(t).Target())
		}
	}
	n := len(origin.Requests())
	for _, target := range []string{"/robots.txt", "/_pv/health", "/_pv/x", "/leistung/1/2"} {
		g.Ask(t, "any.example", "GET "+target)
	}
	if got := len(origin.Requests()); got != n {
		t.Errorf("%d requests for our own names have reached the portal", got-n)
	}
}

// 5 and 8: what a known sender calls the trace is the trace of our own answers too; what anybody else says is not.
func TestContract5TraceOfOurAnswers(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	parent := "traceparent: 00-" + trace + "-b7ad6b7169203331-01"
	lines := []string{"GET /", "GET /_pv/health", "GET /leistung/" + gatewaytest.Gewerbe + "/" + gatewaytest.Marburg}
	for _, q := range questions() {
		if !strings.HasPrefix(q.line, "TRACE") { // refused by the parser: nobody has read its fields
			lines = append(lines, q.line)
		}
	}
	for _, line := range lines {
		a := g.AskFrom(t, gatewaytest.Known, entryHost, line, parent)
		if a.Header.Get("PV-Trace") != trace {
			t.Errorf("%s: PV-Trace %q, want the known sender's", line, a.Header.Get("PV-Trace"))
		}
		if a.Doc["instance"] != nil && a.Doc["instance"] != "urn:trace:"+trace {
			t.Errorf("%s: instance %v", line, a.Doc["instance"])
		}
		for _, a := range []*gatewaytest.Answer{
			g.Ask(t, entryHost, line, parent), g.AskFrom(t, gatewaytest.Known, entryHost, line, parent, parent),
			g.AskFrom(t, gatewaytest.Known, entryHost, line, strings.Replace(parent, "-b7ad6b7169203331", "-0000000000000000", 1)),
		} {
			if got := a.Header.Get("PV-Trace"); !traceID.MatchString(got) || got == trace {
				t.Errorf("%s: PV-Trace %q, want one of ours", line, got)
			}
		}
	}
	a := g.AskFrom(t, gatewaytest.Known, entryHost, "POST /leistung/"+gatewaytest.Fischen+"/06", parent+"-x", "tracestate: a=b")
	if s := origin.Last(t); s.Get("tracestate") != "" || !strings.Contains(s.Get("traceparent"), a.Header.Get("PV-Trace")) {
		t.Errorf("the portal got traceparent %q, tracestate %q beside PV-Trace %q", s.Get("traceparent"), s.Get("tracestate"), a.Header.Get("PV-Trace"))
	}
}

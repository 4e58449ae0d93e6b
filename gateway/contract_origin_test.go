// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

// The tests of this file hold the part of the HTTP contract that is about where a proxied portal answers and what is
// known there of how a citizen came, over sockets; the number before each is the contract's.

// arrive follows a handover to the portal's own origin and returns the address it ends at, without host, and our cookie.
func arrive(t *testing.T, g *gatewaytest.Gateway, from, line string, fields ...string) (host, target, cookie string) {
	t.Helper()
	led := g.AskFrom(t, from, entryHost, line, fields...)
	location := led.Header.Get("Location")
	if led.Status != 303 || !strings.Contains(location, "_pv=") {
		t.Fatalf("%s: %d to %q, want a handover with its context", line, led.Status, location)
	}
	host = entryHost
	if rest, ok := strings.CutPrefix(location, "http://"); ok {
		host, location, _ = strings.Cut(rest, "/")
		location = "/" + location
	}
	there := g.AskFrom(t, from, host, "GET "+location)
	if there.Status != 303 || there.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %d %s, want a second 303", location, there.Status, there.Header.Get("Cache-Control"))
	}
	target = strings.TrimPrefix(there.Header.Get("Location"), "http://"+host)
	cookie, _, _ = strings.Cut(there.Header.Get("Set-Cookie"), ";")
	return host, target, cookie
}

// 7: the context goes along in the address, becomes a cookie at once, and from then on tells the portal and the account
// what was asked for.
func TestContract7HandoverBecomesACookie(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	led := g.Ask(t, entryHost, "GET "+inPlace+"/akte/7?a=%2f&_pv=own&b")
	link, context, _ := strings.Cut(strings.TrimPrefix(led.Header.Get("Location"), "http://"+hessenHost), "&_pv=own&b&_pv=")
	if link != "/gewerbe/"+gatewaytest.Gewerbe+"/akte/7?l=de&a=%2f" || len(context) < 40 {
		t.Fatalf("Location %q: want the target with the context as its last parameter", led.Header.Get("Location"))
	}
	for _, method := range []string{"GET", "HEAD"} {
		there := g.Ask(t, hessenHost, method+" "+link+"&_pv=own&b&_pv="+context, "Accept-Language: de")
		name, value, _ := strings.Cut(there.Header.Get("Set-Cookie"), "=")
		value, attributes, _ := strings.Cut(value, ";")
		if there.Status != 303 || there.Header.Get("Location") != "http://"+hessenHost+link+"&b" || name != "pv" || attributes != " Path=/; HttpOnly; SameSite=Lax" {
			t.Errorf("%s: %d to %q, Set-Cookie %q: want a session cookie of this host and the address without context", method, there.Status,
				there.Header.Get("Location"), there.Header.Get("Set-Cookie"))
		}
		if len(there.Header.Values("Set-Cookie")) != 1 || there.Header.Get("Cache-Control") != "no-store" || there.Header.Get("Referrer-Policy") != "no-referrer" || there.Body != "" {
			t.Errorf("%s: %v %q", method, there.Header, there.Body)
		}
		if len(origin.Requests()) != 0 {
			t.Fatal("the portal has got something of the handover itself")
		}
		if method == "HEAD" {
			continue
		}
		a := g.Ask(t, hessenHost, "POST /senden?x", "Cookie: a=1;  b=\"2 3\"; pv="+value+"; c=4", "Cookie: pv="+value, "PV-Leistung: forged", "Content-Length: 3", "\r\nabc")
		s := origin.Last(t)
		for name, want := range map[string]string{
			"PV-Leistung": gatewaytest.Gewerbe, "PV-ARS": gatewaytest.Hanau, "PV-Area-Level": "12", "PV-Sender": "direct", "PV-Language": "de",
			"Cookie": "a=1;  b=\"2 3\"; c=4",
		} {
			if s.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, s.Get(name), want)
			}
		}
		if a.Status != 200 || s.Target() != "/senden?x" || s.Body != "abc" {
			t.Errorf("%d, the portal got %q %q", a.Status, s.Line, s.Body)
		}
		origin.Forget()
	}
	samples := g.Samples(t)
	for series, want := range map[string]float64{
		`pvgate_context_total{result="arrived"}`: 2, `pvgate_context_total{result="attributed"}`: 1, `pvgate_context_total{result="unattributed"}`: 0,
		`pvgate_reasons_total{land="06",reason="handover"}`: 1, `pvgate_backend_requests_total{backend="hessen",class="3xx"}`: 0,
	} {
		if samples[series] != want {
			t.Errorf("%s is %v, want %v: a handover counts once", series, samples[series], want)
		}
	}
}

// 7: the sender goes along too; what the client's address may say does not.
func TestContract7TheSenderGoesAlong(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	_, target, cookie := arrive(t, g, gatewaytest.Known, "GET /leistung", "PV-Leistung: "+gatewaytest.Gewerbe, "PV-ARS: 065340004004")
	g.Ask(t, hessenHost, "GET "+target, "Cookie: "+cookie, "X-Forwarded-For: 192.0.2.9")
	s := origin.Last(t)
	for name, want := range map[string]string{
		"PV-Sender": "hessen", "PV-ARS": "065340004004", "PV-Area-Level": "12", "X-Forwarded-For": "127.0.0.1", "Cookie": "",
	} {
		if s.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, s.Get(name), want)
		}
	}
}

// 7: without a context, or with one that is too old, forged, of another backend or another kind, a request is served
// and counted as unattributed.
func TestContract7WithoutContextRequestsAreUnattributed(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	_, _, mine := arrive(t, g, gatewaytest.Direct, "GET "+inPlace)
	_, _, others := arrive(t, g, gatewaytest.Direct, "GET /leistung/"+gatewaytest.Kfz+"/01")
	link := g.Ask(t, entryHost, "GET "+inPlace).Header.Get("Location")
	link = link[strings.Index(link, "_pv=")+4:]
	cookies := []string{"", "a=b", others, "pv=" + link, mine + "A", mine[:len(mine)-3] + "AAA", "__Host-" + mine, "pv="}
	for i, cookie := range cookies {
		a := g.Ask(t, hessenHost, "GET /x", "Cookie: "+cookie)
		s := origin.Last(t)
		if a.Status != 200 || s.Get("PV-Leistung") != "" || s.Get("PV-ARS") != "" || s.Get("PV-Sender") != "direct" {
			t.Errorf("cookie %d: %d, PV-Leistung %q, PV-ARS %q", i, a.Status, s.Get("PV-Leistung"), s.Get("PV-ARS"))
		}
		if strings.HasPrefix(cookie, "pv=") && s.Get("Cookie") != "" {
			t.Errorf("cookie %d: the portal gets %q, which is ours", i, s.Get("Cookie"))
		}
	}
	another := g.Ask(t, entryHost, "GET /leistung/"+gatewaytest.Kfz+"/01").Header.Get("Location")
	another = another[strings.Index(another, "_pv=")+4:]
	for _, bad := range []string{"", "x", link[:len(link)-1] + "_", mine[3:], another} {
		a := g.Ask(t, hessenHost, "GET /x?_pv="+bad)
		if a.Status != 303 || a.Header.Get("Location") != "http://"+hessenHost+"/x" || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("_pv=%s: %d to %q with %q, want the address without it and no cookie", bad, a.Status, a.Header.Get("Location"), a.Header.Get("Set-Cookie"))
		}
	}
	samples := g.Samples(t)
	if u, f := samples[`pvgate_context_total{result="unattributed"}`], samples[`pvgate_context_total{result="forged"}`]; u != float64(len(cookies)) || f != 5 {
		t.Errorf("%v unattributed, want %d; %v forged, want 5", u, len(cookies), f)
	}
}

// 7: two tabs at one backend: the last entry wins.
func TestContract7TheLastEntryWins(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	_, _, first := arrive(t, g, gatewaytest.Direct, "GET "+inPlace)
	_, _, second := arrive(t, g, gatewaytest.Direct, "GET /leistung/"+gatewaytest.Gewerbe+"/065340004004")
	if a, b, _ := strings.Cut(first, "="); a != "pv" || first == second || b == "" {
		t.Fatalf("cookies %q and %q", first, second)
	}
	g.Ask(t, hessenHost, "GET /", "Cookie: "+second)
	if got := origin.Last(t).Get("PV-ARS"); got != "065340004004" {
		t.Errorf("PV-ARS %q, want the second entry's", got)
	}
}

// 7: what is sent to an entry address is proxied there, and no cookie crosses: the portal's would be the entry host's,
// and those of the entry host are not the portal's.
func TestContract7InPlaceNoCookieCrosses(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, func(*gatewaytest.Seen) string {
		return gatewaytest.OK("ok", "Set-Cookie: a=b", "set-cookie: c=d; Path=/", "Clear-Site-Data: \"*\"", "Service-Worker-Allowed: /", "NEL: {}",
			"Strict-Transport-Security: max-age=0", "X-Own: 1")
	})
	for _, line := range []string{"POST " + inPlace, "PUT /leistung?leistung=" + gatewaytest.Gewerbe + "&ars=" + gatewaytest.Hanau, "DELETE /leistung/" + gatewaytest.Fischen + "/06", "OPTIONS " + inPlace} {
		a := g.Ask(t, entryHost, line, "Cookie: other=1; pv=x", "cookie: more=2", "Content-Length: 0")
		if got := origin.Last(t).Values("Cookie"); a.Status != 200 || len(got) > 0 {
			t.Errorf("%s: %d, the portal got the cookies %q", line, a.Status, got)
		}
		for _, name := range []string{"Set-Cookie", "Clear-Site-Data", "Service-Worker-Allowed", "Nel", "Strict-Transport-Security"} {
			if got := a.Header.Values(name); len(got) > 0 {
				t.Errorf("%s: %s: %q", line, name, got)
			}
		}
		if a.Header.Get("X-Own") != "1" {
			t.Errorf("%s: a field of the portal is lost", line)
		}
	}
}

// 7 and isolation: what a backend sets is a cookie of its own host, and never ours.
func TestContract7CookiesOfABackendAreOfItsHost(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, func(*gatewaytest.Seen) string {
		return gatewaytest.OK("ok", "Set-Cookie: a=b; Domain=gw.example.de; Path=/", "Set-Cookie: c=d; domain=.example.de", "Set-Cookie: pv=forged; Path=/",
			"Set-Cookie: =pv=forged", "Set-Cookie2: e=f; Domain=gw.example.de", "Strict-Transport-Security: max-age=9; includeSubDomains", "Alt-Svc: h3=\":1\"")
	})
	a := g.Ask(t, hessenHost, "GET /x")
	if got, want := a.Header.Values("Set-Cookie"), []string{"a=b; Path=/", "c=d"}; !slices.Equal(got, want) {
		t.Errorf("Set-Cookie: %q, want %q", got, want)
	}
	if hsts := a.Header.Get("Strict-Transport-Security"); hsts != "max-age=9" || a.Header.Get("Set-Cookie2") != "" || a.Header.Get("Alt-Svc") != "" {
		t.Errorf("Strict-Transport-Security: %q, Set-Cookie2: %q, Alt-Svc: %q", hsts, a.Header.Get("Set-Cookie2"), a.Header.Get("Alt-Svc"))
	}
}

// Isolation by path: a retrieval is led below the backend's prefix, with its context; below it the backend sees its own
// paths.
func TestContract7ByPathARetrievalIsLedBelowThePrefix(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, func(*gatewaytest.Seen) string {
		return gatewaytest.OK("ok", "Set-Cookie: a=b; Domain=gw.example.de; Path=/", "Set-Cookie: c=d", "Set-Cookie: __Host-e=f; Path=/; Secure",
			"Set-Cookie: pv=forged; Path=/", "Clear-Site-Data: \"*\"", "Service-Worker-Allowed: /", "Strict-Transport-Security: max-age=0")
	})
	host, target, cookie := arrive(t, g, gatewaytest.Direct, "GET /leistung/"+gatewaytest.Fischen+"/06/x/y?q=1&_pv=z")
	if host != entryHost || target != "/_pv/b/inplace/fischen/x/y?q=1" || cookie == "" {
		t.Fatalf("arrives at %q %q with %q", host, target, cookie)
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PROPFIND"} {
		a := g.Ask(t, entryHost, method+" "+target, "Cookie: mine=1; "+cookie, "Content-Length: 0")
		s := origin.Last(t)
		if a.Status != 200 || s.Line != method+" /fischen/x/y?q=1 HTTP/1.1" || s.Get("PV-Leistung") != gatewaytest.Fischen || s.Get("PV-ARS") != "060000000000" || s.Get("Cookie") != "mine=1" {
			t.Errorf("%s: %d, the portal got %q, PV-Leistung %q, PV-ARS %q, cookies %q", method, a.Status, s.Line, s.Get("PV-Leistung"), s.Get("PV-ARS"), s.Get("Cookie"))
		}
		want := []string{"a=b; Path=/_pv/b/inplace/", "c=d; Path=/_pv/b/inplace/fischen/x"}
		if got := a.Header.Values("Set-Cookie"); !slices.Equal(got, want) {
			t.Errorf("%s: Set-Cookie: %q, want %q", method, got, want)
		}
		for _, name := range []string{"Clear-Site-Data", "Service-Worker-Allowed", "Strict-Transport-Security"} {
			if a.Header.Get(name) != "" {
				t.Errorf("%s: %s: %q", method, name, a.Header.Get(name))
			}
		}
	}
	n := len(origin.Requests())
	for line, want := range map[string]int{
		"GET /_pv/b/inplace": 303, "POST /_pv/b/inplace": 405, "GET /_pv/b/other/": 404, "GET /_pv/b/inplacex/": 404, "GET /_pv/b/INPLACE/": 404, "GET /_pv/b/": 404,
		"GET /_pv/b": 404, "GET /_pv/b/hessen/": 404, "GET /_pv/b/inplace/%2e%2e/hessen": 400, "GET /_pv/b/inplace%2fx": 404,
	} {
		if a := g.Ask(t, entryHost, line); a.Status != want {
			t.Errorf("%s: %d, want %d", line, a.Status, want)
		}
	}
	if a := g.Ask(t, hessenHost, "GET /_pv/b/inplace/"); a.Status != 404 {
		t.Errorf("the prefix at another backend's host: %d, want 404", a.Status)
	}
	if a := g.Ask(t, entryHost, "GET /_pv/b/inplace?x"); a.Header.Get("Location") != "/_pv/b/inplace/?x" || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("the prefix without a slash: to %q", a.Header.Get("Location"))
	}
	if len(origin.Requests()) != n {
		t.Error("something of this reached the portal")
	}
	if g.Ask(t, entryHost, "GET /%5fpv/b/%69nplace//a;b"); origin.Last(t).Target() != "//a;b" {
		t.Errorf("the portal got %q", origin.Last(t).Target())
	}
}

var link = regexp.MustCompile(`[?&]_pv=[\w-]+`)

// withoutLink takes the context out of an address that a portal redirected to.
func withoutLink(address string) string { return link.ReplaceAllString(address, "") }

// 7 and 14: a redirect by the portal after a request in place leads to the portal's own address, and takes the context
// along, as a handover does.
func TestContract7RedirectAfterARequestInPlaceTakesTheContextAlong(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	byPath := "POST /leistung/" + gatewaytest.Fischen + "/06/x"
	for _, tt := range []struct{ line, status, location, host, target, leistung string }{
		{"POST " + inPlace, "303 See Other", "/next", hessenHost, "/next", gatewaytest.Gewerbe},
		{"POST " + inPlace, "302 Found", "next?a=b#c", hessenHost, "/gewerbe/next?a=b", gatewaytest.Gewerbe},
		{"PUT " + inPlace, "307 Temporary Redirect", "http://portal.hessen.internal/x#?", hessenHost, "/x", gatewaytest.Gewerbe},
		{byPath, "303 See Other", "next?", entryHost, "/_pv/b/inplace/fischen/next?", gatewaytest.Fischen},
	} {
		origin.Answer(func(*gatewaytest.Seen) string { return gatewaytest.Respond(tt.status, "", "Location: "+tt.location) })
		a := g.Ask(t, entryHost, tt.line, "Content-Length: 0")
		to, fragment, _ := strings.Cut(a.Header.Get("Location"), "#")
		host, target, _ := strings.Cut(strings.TrimPrefix(to, "http://"), "/")
		if _, want, _ := strings.Cut(tt.location, "#"); fragment != want || host == "" && tt.host != entryHost || host != "" && host != tt.host {
			t.Errorf("%s to %s: %q", tt.line, tt.location, a.Header.Get("Location"))
			continue
		}
		there := g.Ask(t, tt.host, "GET /"+target)
		cookie, _, _ := strings.Cut(there.Header.Get("Set-Cookie"), ";")
		if got := strings.TrimPrefix(there.Header.Get("Location"), "http://"+tt.host); there.Status != 303 || got != tt.target || cookie == "" {
			t.Errorf("%s to %s: arrives with %d at %q, cookie %q; want %q", tt.line, tt.location, there.Status, got, cookie, tt.target)
		}
		origin.Answer(func(*gatewaytest.Seen) string { return gatewaytest.OK("ok") })
		g.Ask(t, tt.host, "GET "+tt.target, "Cookie: "+cookie)
		if got := origin.Last(t).Get("PV-Leistung"); got != tt.leistung {
			t.Errorf("%s to %s: the next request is about %q, want %q", tt.line, tt.location, got, tt.leistung)
		}
		if tt.status[:3] == "307" { // the same method again, with the context in its address
			g.Ask(t, tt.host, "PUT /"+target, "Content-Length: 0")
			if s := origin.Last(t); s.Target() != tt.target || s.Get("PV-Leistung") != tt.leistung {
				t.Errorf("sent again: %s about %q", s.Target(), s.Get("PV-Leistung"))
			}
		}
	}
	for status, location := range map[string]string{
		"201 Created": "/next", "303 See Other": "https://www.bund.de/n", "302 Found": "//www.bund.de/", "307 Temporary Redirect": "javascript:1",
	} {
		origin.Answer(func(*gatewaytest.Seen) string {
			return gatewaytest.Respond(status, "", "Location: "+location, "Content-Location: /next")
		})
		if a := g.Ask(t, entryHost, "POST "+inPlace, "Content-Length: 0"); strings.Contains(a.Header.Get("Location")+a.Header.Get("Content-Location"), "_pv") {
			t.Errorf("%s to %s: %v: the context leads somewhere else", status, location, a.Header)
		}
	}
	origin.Answer(func(*gatewaytest.Seen) string { return gatewaytest.Respond("303 See Other", "", "Location: /next") })
	if a := g.Ask(t, hessenHost, "POST /x", "Content-Length: 0"); a.Header.Get("Location") != "/next" {
		t.Errorf("at the portal's own host: %q", a.Header.Get("Location"))
	}
}

// 14 and isolation by path: references of a backend lead where clients find it, whatever form they have.
func TestContract14ReferencesByPath(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	const prefix, at = "/_pv/b/inplace", "GET /_pv/b/inplace/a/b?q"
	for _, tt := range []struct{ line, location, want string }{
		{at, "/next?a#b", prefix + "/next?a#b"},
		{at, "next", prefix + "/a/next"},
		{at, "../../../hessen/x", prefix + "/hessen/x"},
		{at, "/../hessen/x", prefix + "/hessen/x"},
		{at, "/%2e%2e/hessen/x", prefix + "/hessen/x"},
		{at, "?p", prefix + "/a/b?p"},
		{at, "#p", prefix + "/a/b?q#p"},
		{at, "", ""},
		{at, "http://" + origin.Addr, "http://" + entryHost + prefix + "/"},
		{at, "http://" + origin.Addr + "?x", "http://" + entryHost + prefix + "/?x"},
		{at, "http://" + origin.Addr + "/n/../../x", "http://" + entryHost + prefix + "/x"},
		{at, "//" + origin.Addr + "/n", "http://" + entryHost + prefix + "/n"},
		{at, "http://" + origin.Addr + "0/n", "http://" + origin.Addr + "0/n"},
		{at, "//www.bund.de/n", "//www.bund.de/n"},
		{at, "https://www.bund.de/n", "https://www.bund.de/n"},
		{at, "mailto:a@b", "mailto:a@b"},
		{"POST /leistung/" + gatewaytest.Fischen + "/06/x", "next", prefix + "/fischen/next"},
		{"POST /leistung/" + gatewaytest.Fischen + "/06/x", "/next", prefix + "/next"},
	} {
		origin.Answer(func(*gatewaytest.Seen) string {
			return gatewaytest.Respond("303 See Other", "", "Location: "+tt.location, "Content-Location: "+tt.location, "Refresh: 5; url="+tt.location)
		})
		a := g.Ask(t, entryHost, tt.line, "Content-Length: 0")
		if got := withoutLink(a.Header.Get("Location")); got != tt.want || a.Header.Get("Content-Location") != tt.want || a.Header.Get("Refresh") != "5; url="+tt.want {
			t.Errorf("%s to %s: got %q %q %q, want %q", tt.line, tt.location, got, a.Header.Get("Content-Location"), a.Header.Get("Refresh"), tt.want)
		}
	}
}

// 14: after a request that was proxied in place, a relative reference of the backend leads to the backend's own host.
func TestContract14ReferencesAfterARequestInPlace(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	const base, here = "http://" + hessenHost, "/gewerbe/" + gatewaytest.Gewerbe
	for location, want := range map[string]string{
		"next": base + "/gewerbe/next", "./next?a": base + "/gewerbe/next?a", "../next": base + "/next", "../../../x": base + "/x", "?p": base + here + "?p",
		"#p": base + here + "?l=de#p", "/next": base + "/next", "//www.bund.de/": "//www.bund.de/", "https://www.bund.de/": "https://www.bund.de/",
		"http://portal.hessen.internal": base + "/", "//portal.hessen.internal/x": base + "/x", "javascript:1": "javascript:1",
	} {
		origin.Answer(func(*gatewaytest.Seen) string {
			return gatewaytest.Respond("303 See Other", "", "Location: "+location, "Refresh: 0;URL='"+location+"'")
		})
		a := g.Ask(t, entryHost, "POST "+inPlace, "Content-Length: 0")
		if withoutLink(a.Header.Get("Location")) != want || a.Header.Get("Refresh") != "0;URL='"+want+"'" {
			t.Errorf("to %s: got %q and %q, want %q", location, a.Header.Get("Location"), a.Header.Get("Refresh"), want)
		}
	}
}

// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

// The tests of this file hold the part of the HTTP contract that is about requests a backend gets, over sockets; the
// number before each is the contract's.

const (
	entryHost  = gatewaytest.Domain
	hessenHost = "hessen." + gatewaytest.Domain
	// inPlace is proxied where it is asked for: POST at an entry URL of a backend with a host of its own.
	inPlace = "/leistung/" + gatewaytest.Gewerbe + "/" + gatewaytest.Hanau
)

// 4: all methods but CONNECT and TRACE reach a proxied portal, OPTIONS among them.
func TestContract4MethodsAtAProxiedPortal(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "BREW"} {
		a := g.Ask(t, hessenHost, method+" /x")
		if got := origin.Last(t).Line; a.Status != 200 || got != method+" /x HTTP/1.1" {
			t.Errorf("%s: %d, the portal got %q", method, a.Status, got)
		}
	}
	n := len(origin.Requests())
	for _, line := range []string{"TRACE /x", "CONNECT hessen.gw.example.de:80"} {
		a := g.Ask(t, hessenHost, line)
		if a.Status != 405 || a.Reason() != "method_refused" || a.Header.Get("Allow") == "" {
			t.Errorf("%s: %d %s, Allow %q; want 405 method_refused with Allow", line, a.Status, a.Reason(), a.Header.Get("Allow"))
		}
	}
	for _, line := range []string{"POST " + inPlace, "OPTIONS " + inPlace} {
		g.Ask(t, entryHost, line)
	}
	if got := origin.Requests()[n:]; len(got) != 2 || !strings.HasPrefix(got[0].Line, "POST /gewerbe/") || !strings.HasPrefix(got[1].Line, "OPTIONS /gewerbe/") {
		t.Errorf("the portal got %d requests beside the refused ones, want POST and OPTIONS in place", len(got))
	}
}

// 4: HEAD is GET without a body, in our own answers and in a portal's.
func TestContract4HEADEqualsGETWithoutBody(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, func(s *gatewaytest.Seen) string {
		answer := gatewaytest.OK("hello", "X-A: 1", "Date: Sun, 06 Nov 1994 08:49:37 GMT")
		if strings.HasPrefix(s.Line, "HEAD") {
			return strings.TrimSuffix(answer, "hello")
		}
		return answer
	})
	for _, tt := range [][2]string{
		{entryHost, "/"},
		{entryHost, "/robots.txt"},
		{entryHost, "/_pv/health"},
		{entryHost, "/_pv/reasons/no_route"},
		{entryHost, "/_pv/areas?q=Marburg"},
		{entryHost, "/nothing"},
		{hessenHost, "/x"},
		{"unknown.example", "/"},
		{entryHost, "/leistung/" + gatewaytest.Gewerbe + "/" + gatewaytest.Marburg},
		{entryHost, inPlace},
		{entryHost, "/leistung/" + gatewaytest.Gewerbe + "/06"},
		{entryHost, "/leistung/" + gatewaytest.Equal + "/010530032032"},
		{entryHost, "/leistung/" + gatewaytest.Expired + "/01"},
	} {
		get, head := atOnce(t, func() *gatewaytest.Answer { return g.Ask(t, tt[0], "GET "+tt[1]) }, func() *gatewaytest.Answer { return g.Ask(t, tt[0], "HEAD "+tt[1]) })
		if head.Status != get.Status || head.Body != "" {
			t.Errorf("%s: HEAD %d with %d bytes, GET %d", tt[1], head.Status, len(head.Body), get.Status)
		}
		for _, h := range []*gatewaytest.Answer{get, head} {
			for _, name := range []string{"Pv-Trace", "Date"} { // differ by nature
				h.Header.Del(name)
			}
		}
		if d := cmp.Diff(get.Header, head.Header); d != "" {
			t.Errorf("%s: -GET +HEAD\n%s", tt[1], d)
		}
		// A client that reads HEAD's answer does not look for a body; whatever came would be taken for the next answer.
		if raw := g.Bytes(t, "HEAD "+tt[1]+" HTTP/1.1\r\nHost: "+tt[0]+"\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(raw, "\r\n\r\n") || strings.Count(raw, "\r\n\r\n") != 1 {
			t.Errorf("%s: HEAD is answered with a body: %q", tt[1], raw)
		}
	}
}

// atOnce asks twice within one second: a link to a portal says in seconds when it ends.
func atOnce(t *testing.T, first, second func() *gatewaytest.Answer) (a, b *gatewaytest.Answer) {
	t.Helper()
	inTime(t, func() string {
		a, b = first(), second()
		if one, other := a.Header.Get("Location"), b.Header.Get("Location"); one != other {
			return fmt.Sprintf("Location: %q and %q", one, other)
		}
		return ""
	})
	return a, b
}

// 3: in query forms our parameters are cut out byte-exactly; beside an area in the path nothing is; what is routed is
// what is sent.
func TestContract3WhatIsRoutedIsWhatIsSent(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	const entry, base = "/leistung/" + gatewaytest.Gewerbe, "/gewerbe/" + gatewaytest.Gewerbe
	for _, tt := range []struct{ target, want string }{
		{entry + "?ars=" + gatewaytest.Hanau, base + "?l=de"},
		{entry + "?a=%41+%2f&ars=" + gatewaytest.Hanau + "&&b", base + "?l=de&a=%41+%2f&&b"},
		{entry + "?%61rs=" + gatewaytest.Hanau + "&lang=en&x=;y", base + "?l=en&x=;y"},
		{"/leistung?b=2&leistung=" + gatewaytest.Gewerbe + "&ags=06435014&a=1", base + "?l=de&b=2&a=1"},
		{inPlace + "?ars=01&leistung=1&lang=en", base + "?l=en&ars=01&leistung=1&lang=en"},
		{inPlace + "/a//b;c=1/%7e%c3%bc?q=%zz", base + "/a//b;c=1/~%C3%BC?l=de&q=%zz"},
		{"/%6Ceistung/%39" + gatewaytest.Gewerbe[1:] + "/" + gatewaytest.Hanau + "/x", base + "/x?l=de"},
	} {
		a := g.Ask(t, entryHost, "POST "+tt.target)
		if got := origin.Last(t).Target(); a.Status != 200 || got != tt.want {
			t.Errorf("%s: %d %s, the portal got %s, want %s", tt.target, a.Status, a.Reason(), got, tt.want)
		}
	}
	for target, want := range map[string]string{
		"/a%2fb": "bad_path", "/a/../b": "bad_path", "/%2e%2e/b": "bad_path", "/a%5cb": "bad_path", "/a%00": "bad_path", "/a\\b": "bad_path",
	} {
		for _, host := range []string{hessenHost, entryHost} {
			if a := g.Ask(t, host, "GET "+target); a.Reason() != want && a.Reason() != "bad_request" && (host == hessenHost || target != "/a%2fb") {
				t.Errorf("%s at %s: %d %s, want %s", target, host, a.Status, a.Reason(), want)
			}
		}
	}
	if g.Ask(t, "legacy."+entryHost, "GET /a%2fb"); origin.Last(t).Target() != "/a%2Fb" {
		t.Errorf("allow_encoded_slash: the portal got %s", origin.Last(t).Target())
	}
}

var traceparent = regexp.MustCompile(`^00-([0-9a-f]{32})-[0-9a-f]{16}-00$`) // not sampled: we record nothing

// 5 and 6: what a portal gets of a request by nobody we know.
func TestContract6FieldsToTheBackend(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	forged := []string{
		"Accept-Language: en-GB, fr", "X-Own: kept", "Via: 1.0 before", "PV-Leistung: 99000000000000", "pv-ars: 01", "PV_Sender: hessen", "PV.OE: x",
		"PV-Anything: x", "PV-Language: de", "Forwarded: for=192.0.2.9", "X-Forwarded-For: 192.0.2.9", "X-Forwarded-Prefix: /admin", "X_Forwarded_Host: x",
		"X-Real-IP: 192.0.2.9", "X-PVP-UserID: admin", "X-Client-Cert: MII", "Content-Type: text/plain",
		"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate: a=b", "Connection: X-Drop, X-Forwarded-For, PV-Sender, Via",
		"X-Drop: 1", "TE: trailers", "Content-Length: 3", "\r\nabc",
	}
	a := g.Ask(t, entryHost, "POST "+inPlace+"/akte", forged...)
	s := origin.Last(t)
	match := traceparent.FindStringSubmatch(s.Get("traceparent"))
	if match == nil || match[1] != a.Header.Get("PV-Trace") || match[1] == "0af7651916cd43dd8448eb211c80319c" {
		t.Fatalf("traceparent %q, PV-Trace %q: want one of ours, the same trace", s.Get("traceparent"), a.Header.Get("PV-Trace"))
	}
	want := []string{
		"Accept-Language: en-GB, fr", "Content-Length: 3", "Content-Type: text/plain", "Forwarded: for=127.0.0.1;host=gw.example.de;proto=http",
		"Host: portal.hessen.internal", "PV-ARS: " + gatewaytest.Hanau, "PV-Area-Level: 12", "PV-Language: en", "PV-Leistung: " + gatewaytest.Gewerbe,
		"PV-Sender: direct", "Via: 1.0 before, 1.1 pvgate-gw.example.de", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: gw.example.de",
		"X-Forwarded-Proto: http", "X-Own: kept", "traceparent: " + s.Get("traceparent"),
	}
	if got := slices.Sorted(slices.Values(s.Fields)); !slices.Equal(got, want) {
		t.Errorf("-want +got\n%s", cmp.Diff(want, got))
	}
	if s.Fields[0] != "Host: portal.hessen.internal" || s.Body != "abc" {
		t.Errorf("first field %q, body %q", s.Fields[0], s.Body)
	}
}

// 5 and 6: a known sender may say who is behind it, and is named; it cannot say what is ours to say.
func TestContract6FieldsOfAKnownSender(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	a := g.AskFrom(t, gatewaytest.Known, entryHost, "POST /leistung", "PV-Leistung: "+gatewaytest.Fischen, "PV-ARS: 06", "PV-Language: en",
		"Forwarded: for=192.0.2.9", "X-Forwarded-For: 192.0.2.9", "traceparent: "+parent, "tracestate: a=b", "PV-Sender: bund", "PV-OE: forged",
		"X-Forwarded-Host: evil.example", "Content-Length: 0")
	s := origin.Last(t)
	for name, want := range map[string]string{
		"Host": origin.Addr, "PV-Leistung": gatewaytest.Fischen, "PV-ARS": "060000000000", "PV-Area-Level": "2", "PV-Sender": "hessen",
		"PV-OE": "L100012.OE.9029660", "PV-Language": "en", "Forwarded": "for=192.0.2.9, for=127.0.0.2;host=gw.example.de;proto=http",
		"X-Forwarded-For": "192.0.2.9, 127.0.0.2", "X-Forwarded-Host": "gw.example.de", "traceparent": parent, "tracestate": "a=b",
		"Via": "1.1 pvgate-gw.example.de",
	} {
		if s.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, s.Get(name), want)
		}
	}
	if a.Header.Get("PV-Trace") != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("PV-Trace %q, want the sender's trace", a.Header.Get("PV-Trace"))
	}
}

// 6: at a portal's own host it is told who asks, and nothing of Leistung and area that we do not know.
func TestContract6FieldsAtAPortalsOwnHost(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	g.Ask(t, hessenHost, "GET /next?lang=en", "Cookie: a=b", "Accept-Language: de", "Accept-Encoding: gzip", "PV-Leistung: x")
	s := origin.Last(t)
	want := []string{
		"Accept-Encoding: gzip", "Accept-Language: de", "Cookie: a=b", "Forwarded: for=127.0.0.1;host=hessen.gw.example.de;proto=http",
		"Host: portal.hessen.internal", "PV-Language: de", "PV-Sender: direct", "Via: 1.1 pvgate-gw.example.de", "X-Forwarded-For: 127.0.0.1",
		"X-Forwarded-Host: hessen.gw.example.de", "X-Forwarded-Proto: http", "traceparent: " + s.Get("traceparent"),
	}
	if got := slices.Sorted(slices.Values(s.Fields)); !slices.Equal(got, want) {
		t.Errorf("-want +got\n%s", cmp.Diff(want, got))
	}
}

// 6: our pseudonym in Via is a loop, and so are more than ten entries.
func TestContract6LoopsAreSeen(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	for via, status := range map[string]int{
		"1.1 pvgate-gw.example.de": 508, "1.1 a, 1.1 PVGATE-gw.example.de (x)": 508, strings.Repeat("1.1 a, ", 10) + "1.1 b": 508,
		"1.1 pvgate-gw.example.de.evil": 200, strings.TrimSuffix(strings.Repeat("1.1 a, ", 10), ", "): 200,
	} {
		n := len(origin.Requests())
		a := g.Ask(t, hessenHost, "GET /", "Via: "+via)
		if a.Status != status || status == 508 && (a.Reason() != "loop_detected" || a.Doc["fault"] != "operator" || len(origin.Requests()) != n) {
			t.Errorf("Via: %s: %d %s, want %d", via, a.Status, a.Reason(), status)
		}
	}
}

// 8 and 12: a portal's answer gets Via and PV-Trace, and loses what ends at us or is ours to say.
func TestContract8ProxiedAnswersGetViaAndTraceOnly(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, func(*gatewaytest.Seen) string {
		return gatewaytest.OK("ok", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Server: portal", "Cache-Control: max-age=5", "Access-Control-Allow-Origin: *",
			"Set-Cookie: a=b", "Set-Cookie: c=d", "Content-Security-Policy: x", "Vary: Cookie", "Via: 1.1 inner", "PV-Reason: forged", "PV-Trace: forged",
			"Keep-Alive: timeout=9", "X-Hop: 1", "Connection: X-Hop", "Alt-Svc: h3=\":443\"")
	})
	raw := g.Bytes(t, "GET /x HTTP/1.1\r\nHost: "+hessenHost+"\r\nConnection: close\r\n\r\n")
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	trace := ""
	for _, l := range lines {
		if v, ok := strings.CutPrefix(l, "PV-Trace: "); ok {
			trace = v
		}
	}
	want := []string{
		"Access-Control-Allow-Origin: *", "Cache-Control: max-age=5", "Connection: close", "Content-Length: 2", "Content-Security-Policy: x",
		"Date: Sun, 06 Nov 1994 08:49:37 GMT", "PV-Trace: " + trace, "Server: portal", "Set-Cookie: a=b", "Set-Cookie: c=d", "Vary: Cookie",
		"Via: 1.1 inner, 1.1 pvgate-gw.example.de",
	}
	if got := slices.Sorted(slices.Values(lines[1:])); !slices.Equal(got, want) || body != "ok" || len(trace) != 32 || lines[0] != "HTTP/1.1 200 OK" {
		t.Errorf("%s, body %q, -want +got\n%s", lines[0], body, cmp.Diff(want, got))
	}
}

// 14: redirects of a portal to its own addresses lead to its host here, all others are its business.
func TestContract14LocationOfThePortalsOwnAddresses(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	for _, tt := range []struct{ host, line, location, want string }{
		{hessenHost, "GET /", "http://portal.hessen.internal/next?a#b", "http://hessen.gw.example.de/next?a#b"},
		{hessenHost, "GET /", "https://PORTAL.hessen.internal/next", "http://hessen.gw.example.de/next"},
		{hessenHost, "GET /", "HTTP://" + origin.Addr, "http://hessen.gw.example.de"},
		{hessenHost + ":8080", "GET /", "http://" + origin.Addr + "/x", "http://hessen.gw.example.de:8080/x"},
		{hessenHost, "GET /", "http://portal.hessen.internal.evil.example/", "http://portal.hessen.internal.evil.example/"},
		{hessenHost, "GET /", "http://portal.hessen.internal:81/", "http://portal.hessen.internal:81/"},
		{hessenHost, "GET /", "https://www.bund.de/x", "https://www.bund.de/x"},
		{hessenHost, "GET /", "/next", "/next"},
		{hessenHost, "GET /", "next", "next"},
		{hessenHost, "GET /", "//www.bund.de/", "//www.bund.de/"},
		{entryHost, "POST " + inPlace, "http://portal.hessen.internal/next", "http://hessen.gw.example.de/next"},
		{entryHost + ":81", "POST " + inPlace, "/next", "http://hessen.gw.example.de:81/next"},
		{entryHost, "POST " + inPlace, "//www.bund.de/", "//www.bund.de/"},
		{entryHost, "POST /leistung/" + gatewaytest.Fischen + "/06", "http://" + origin.Addr + "/fischen/2", "http://gw.example.de/_pv/b/inplace/fischen/2"},
	} {
		origin.Answer(func(*gatewaytest.Seen) string {
			return gatewaytest.Respond("303 See Other", "", "Location: "+tt.location)
		})
		if a := g.Ask(t, tt.host, tt.line); withoutLink(a.Header.Get("Location")) != tt.want {
			t.Errorf("%s at %s to %s: got %q, want %q", tt.line, tt.host, tt.location, a.Header.Get("Location"), tt.want)
		}
	}
}

// 14: trailers and 1xx are dropped.
func TestContract14InterimAnswersAndTrailersAreDropped(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, func(*gatewaytest.Seen) string {
		return "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"
	})
	raw := g.Bytes(t, "GET /x HTTP/1.1\r\nHost: "+hessenHost+"\r\nTE: trailers\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(raw, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(raw, "\r\n\r\n2\r\nok\r\n0\r\n\r\n") || strings.Contains(raw, "X-T") {
		t.Errorf("got %q", raw)
	}
}

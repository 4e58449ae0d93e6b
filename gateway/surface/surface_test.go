// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

func TestHostsAreTheListenersOrMisdirected(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for _, tt := range []struct {
		listener int
		host     string
		want     string // "entry", a backend's name, or a reason
	}{
		{onDomain, "gw.example.de", "entry"},
		{onDomain, "GW.Example.DE:9", "entry"},
		{onDomain, "hessen.gw.example.de", "hessen"},
		{onDomain, "HESSEN.gw.example.de:8080", "hessen"},
		{onDomain, "marburg.gw.example.de", "misdirected"}, // redirects: has no host of its own
		{onDomain, "inplace.gw.example.de", "misdirected"},
		{onDomain, "unknown.gw.example.de", "misdirected"},
		{onDomain, "a.hessen.gw.example.de", "misdirected"},
		{onDomain, ".gw.example.de", "misdirected"},
		{onDomain, "gw.example.de.", "misdirected"},
		{onDomain, "xgw.example.de", "misdirected"},
		{onDomain, "gw.example.de.evil.example", "misdirected"},
		{onDomain, "www.hessen.de", "misdirected"},
		{onDomain, "xn--hessn-kva.gw.example.de", "misdirected"},
		{onDomain, "127.0.0.1:8080", "misdirected"},
		{onDomain, "[::1]:8080", "misdirected"},
		{onDomain, strings.Repeat("a", 60) + ".gw.example.de", "misdirected"},
		{onAny, "whatever.example", "entry"},
		{onAny, "[2001:db8::1]", "entry"},
		{onAny, "hessen.gw.example.de", "hessen"},
		{onAlias, "pv.example.org", "entry"},
		{onAlias, "x.alias.example.org", "entry"},
		{onAlias, "alias.example.org", "misdirected"},
		{onAlias, "gw.example.de", "misdirected"},
		{onAlias, "hessen.gw.example.de", "misdirected"},
	} {
		a := askAt(t, s, tt.listener, tt.host, direct, "GET /leistung/"+gewerbe+"/"+marburg)
		got := a.reason()
		switch {
		case a.plan.Forward:
			got = s.backends[a.plan.Backend].Name
		case got == "handover":
			got = "entry"
		}
		if got != tt.want {
			t.Errorf("listener %d, host %s: %s, want %s", tt.listener, tt.host, got, tt.want)
		}
		if got == "misdirected" && a.plan.Reply.Status != 421 {
			t.Errorf("%s: status %d, want 421", tt.host, a.plan.Reply.Status)
		}
	}
}

// Letters that Unicode folds to ASCII, and punycode of them: none is our host.
func TestHostsAreNeverComparedAsUnicode(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	l := &s.listeners[onDomain]
	for _, host := range []string{
		"ｇｗ.example.de", "gw。example.de", "he\u017F\u017Fen.gw.example.de", "he\u212Asen.gw.example.de", "gw.example\u3002de",
		"xn--gw-.example.de", "gw.example.de\x00", "gw.example.de%00", "",
	} {
		if got, _ := s.whose(l, []byte(host), -1); got != nobodys {
			t.Errorf("%q is answered", host)
		}
	}
}

func TestRedirectModeSendsTheRegistrysURLByteForByte(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for _, target := range []string{
		"/leistung/" + gewerbe + "/" + marburg,
		"/leistung/" + gewerbe + "/06534014", // AGS
		"/leistung/99.050.012-104%20000/" + marburg,
		"/leistung/urn:de:fim:leika:leistung:" + gewerbe + "/" + marburg,
		"/leistung/" + gewerbe + "/" + marburg + "/",
		"/leistung/" + gewerbe + "/" + marburg + "?next=//evil.example&leistung=" + kfz,
		"/leistung/" + gewerbe + "?ars=" + marburg,
		"/leistung/" + gewerbe + "/?ags=06534014&x=y",
		"/leistung?leistung=99+050+012+104+000&ars=" + marburg,
		"/leistung?lei%73tung=" + gewerbe + "&%61rs=" + marburg,
		"/%6Ceistung/%39" + gewerbe[1:] + "/" + marburg,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			a := ask(t, s, method+" "+target)
			if a.plan.Reply.Status != 303 || a.fields["Location"] != dear {
				t.Errorf("%s %s: %d %s %q, want 303 %s", method, target, a.plan.Reply.Status, a.reason(), a.fields["Location"], dear)
				continue
			}
			for name, want := range map[string]string{
				"PV-Reason": "handover", "PV-Trace": traceID, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
				"Content-Language": "de", "Vary": "Accept, Accept-Language", "X-Content-Type-Options": "nosniff",
			} {
				if a.fields[name] != want {
					t.Errorf("%s: %s %q, want %q", target, name, a.fields[name], want)
				}
			}
			if a.plan.Backend != backendMarburg {
				t.Errorf("%s: counted for backend %d, want %d", target, a.plan.Backend, backendMarburg)
			}
			if a.plan.Land != 6 {
				t.Errorf("%s: land %d, want 6", target, a.plan.Land)
			}
		}
	}
}

// Scenario 76: a language nobody offers leads to the German address, and the
// answer says so.
func TestTheTargetsLanguageIsSaid(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for _, tt := range []struct{ line, field, location, language string }{
		{"GET /leistung/" + gewerbe + "/" + marburg + "?lang=en", "", dear, "de"},
		{"GET /leistung/99115005104000/01?lang=en", "", "https://meldung.example/en", "en"},
		{"GET /leistung/99115005104000/01", "Accept-Language: en-GB, de;q=0.5", "https://meldung.example/en", "en"},
		{"GET /leistung/99115005104000/01?lang=de-x-ls", "Accept-Language: en", "https://meldung.example/?q", "de"},
		{"GET /leistung/99115005104000/01?lang=fr", "Accept-Language: fr", "https://meldung.example/?q", "de"},
	} {
		a := ask(t, s, tt.line, fields(tt.field)...)
		if a.fields["Location"] != tt.location || a.fields["Content-Language"] != tt.language {
			t.Errorf("%s %s: %s in %s, want %s in %s", tt.line, tt.field, a.fields["Location"], a.fields["Content-Language"], tt.location, tt.language)
		}
	}
}

func fields(line string) []string {
	if line == "" {
		return nil
	}
	return []string{line}
}

// Scenario 77, and R5 in general.
func TestTheSameThingNamedTwiceMustMeanTheSame(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	path := "/leistung/" + gewerbe + "/" + marburg
	for _, tt := range []struct {
		name, peer, line string
		fields           []string
		want             string
	}{
		{"known sender, other area", hessen, "GET " + path, []string{"PV-ARS: 010020000000"}, "conflicting_keys"},
		{"unknown sender, other area", direct, "GET " + path, []string{"PV-ARS: 010020000000"}, "handover"},
		{"known sender, same area as AGS", hessen, "GET " + path, []string{"PV-ARS: 06534014", "PV-Leistung: 99.050.012.104.000"}, "handover"},
		{"known sender, other leistung", hessen, "GET " + path, []string{"PV-Leistung: " + kfz}, "conflicting_keys"},
		{"header twice", hessen, "GET /leistung", []string{"PV-Leistung: " + gewerbe, "PV-ARS: 06", "PV-ARS: 01"}, "conflicting_keys"},
		{"header only", hessen, "GET /leistung", []string{"PV-Leistung: " + gewerbe, "PV-ARS: " + marburg}, "handover"},
		{"header only, slash", hessen, "GET /leistung/", []string{"PV-Leistung: " + gewerbe, "PV-ARS: " + marburg}, "handover"},
		{"header only, unknown sender", direct, "GET /leistung", []string{"PV-Leistung: " + gewerbe, "PV-ARS: " + marburg}, "invalid_leistung"},
		{"alias of a header", hessen, "GET /leistung", []string{"PV_Leistung: " + gewerbe, "PV-ARS: " + marburg}, "invalid_leistung"},
		{"area by header beside a dash", hessen, "GET /leistung/" + gewerbe + "/-", []string{"PV-ARS: " + marburg}, "handover"},
		{"ars and ags", direct, "GET /leistung/" + gewerbe + "?ars=" + marburg + "&ags=06534014", nil, "conflicting_keys"},
		{"ars twice, equal", direct, "GET /leistung/" + gewerbe + "?ars=06&ars=06", nil, "conflicting_keys"},
		{"lang twice", direct, "GET /leistung/" + gewerbe + "?ars=" + marburg + "&lang=de&lang=de", nil, "conflicting_keys"},
		{"lang twice beside an area in the path", direct, "GET " + path + "?lang=de&lang=en", nil, "handover"},
		{"leistung in path and query, equal", direct, "GET /leistung/" + gewerbe + "?leistung=" + gewerbe + "&ars=" + marburg, nil, "handover"},
		{"leistung in path and query, other", direct, "GET /leistung/" + gewerbe + "?leistung=" + kfz + "&ars=" + marburg, nil, "conflicting_keys"},
		{"query beside an area in the path", direct, "GET " + path + "?ars=01&ags=02&leistung=x", nil, "handover"},
		{"encoded name of a parameter", direct, "GET /leistung/" + gewerbe + "?ars=06&%61%72%73=" + marburg, nil, "conflicting_keys"},
	} {
		a := askFrom(t, s, tt.peer, tt.line, tt.fields...)
		if a.reason() != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, a.reason(), tt.want)
		}
		if tt.want == "conflicting_keys" && (a.doc["where"] == nil || a.plan.Reply.Status != 400) {
			t.Errorf("%s: %s", tt.name, a.plan.Reply.Body)
		}
	}
}

// Scenario 83.
func TestOtherMethodsAtARedirectTargetAreRefusedAndKeepNothing(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "BREW"} {
		a := ask(t, s, method+" /leistung/"+gewerbe+"/"+marburg, "Content-Length: 3")
		if a.plan.Forward || a.plan.Reply.Status != 405 || a.fields["Allow"] != "GET, HEAD, OPTIONS" || a.reason() != "method_refused" {
			t.Errorf("%s: %d %s, Allow %q", method, a.plan.Reply.Status, a.reason(), a.fields["Allow"])
		}
	}
	a := ask(t, s, "OPTIONS /leistung/"+gewerbe+"/"+marburg)
	if a.plan.Reply.Status != 204 || a.fields["Allow"] != "GET, HEAD, OPTIONS" {
		t.Errorf("OPTIONS: %d, Allow %q", a.plan.Reply.Status, a.fields["Allow"])
	}
}

// Scenario 84.
func TestARestComesOnlyBehindAnArea(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for _, tt := range []struct{ target, want string }{
		{"/leistung/" + gewerbe + "/12/akte", "no_route"}, // 12 is the Land, akte the rest
		{"/leistung/" + gewerbe + "/akte", "invalid_area"},
		{"/leistung/" + gewerbe + "/" + marburg + "/akte", "not_found"},
		{"/leistung/" + gewerbe + "/" + marburg + "//evil.example", "not_found"},
		{"/leistung/99063018261000/-", "handover"},
		{"/leistung/99063018261000/-/akte", "not_found"},
		{"/leistung/99063018261000", "handover"},
		{"/leistung//06", "invalid_leistung"},
		{"/leistung///", "invalid_area"},
		{"/leistung//", "invalid_leistung"},
		{"/leistungen", "not_found"},
		{"/Leistung/" + gewerbe, "not_found"},
		{"//leistung/" + gewerbe, "not_found"},
	} {
		if a := ask(t, s, "GET "+tt.target); a.reason() != tt.want {
			t.Errorf("%s: %s, want %s", tt.target, a.reason(), tt.want)
		}
	}
}

func TestAProxiedPortalIsRetrievedAtItsOwnHost(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	const hessenHost = "http://hessen.gw.example.de:8080"
	for _, tt := range []struct{ target, want string }{
		{"/leistung/" + gewerbe + "/064350014014", hessenHost + "/gewerbe/" + gewerbe + "?l=de"},
		{"/leistung/" + gewerbe + "/064350014014/akte/7", hessenHost + "/gewerbe/" + gewerbe + "/akte/7?l=de"},
		{"/leistung/" + gewerbe + "/064350014014/", hessenHost + "/gewerbe/" + gewerbe + "/?l=de"},
		{"/leistung/" + gewerbe + "/064350014014?a=%2f&b", hessenHost + "/gewerbe/" + gewerbe + "?l=de&a=%2f&b"},
		{"/leistung/" + gewerbe + "?a=1&ars=064350014014&&lang=en&b=2", hessenHost + "/gewerbe/" + gewerbe + "?l=en&a=1&&b=2"},
		{"/leistung/" + gewerbe + "?ars=064350014014", hessenHost + "/gewerbe/" + gewerbe + "?l=de"},
		{"/leistung/99107023037000/06", "http://museum.gw.example.de:8080/"},
		{"/leistung/99107023037000/06//evil.example", "http://museum.gw.example.de:8080//evil.example"},
		{"/leistung/99107023037000/06/x?", "http://museum.gw.example.de:8080/x?"},
		{"/leistung/99107023037000?ars=06", "http://museum.gw.example.de:8080/"},
		{"/leistung/99107023037000?ars=06&x", "http://museum.gw.example.de:8080/?x"},
		{"/leistung/" + kfz + "/01/a%2fb", "http://legacy.gw.example.de:8080/kfz/a%2Fb"},
	} {
		a := ask(t, s, "GET "+tt.target)
		if a.plan.Reply.Status != 303 || a.fields["Location"] != tt.want {
			t.Errorf("%s: %d %s %q, want %q", tt.target, a.plan.Reply.Status, a.reason(), a.fields["Location"], tt.want)
		}
	}
	a := askAt(t, s, onTLS, "gw.example.de", direct, "GET /leistung/99107023037000/06")
	if got, want := a.fields["Location"], "https://museum.gw.example.de/"; got != want {
		t.Errorf("TLS: %q, want %q", got, want)
	}
	a = askAt(t, s, onAlias, "pv.example.org:81", direct, "GET /leistung/99107023037000/06")
	if got, want := a.fields["Location"], "http://museum.gw.example.de:81/"; got != want {
		t.Errorf("a listener without a port: %q, want %q", got, want)
	}
}

func TestOtherMethodsAreForwardedInPlaceWithContext(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	a := askFrom(t, s, hessen, "POST /leistung/"+gewerbe+"/064350014014/akte?x=%41&ars=1", "Content-Length: 3", "Accept-Language: en", "PV-Sender: forged")
	p := &a.plan
	if !p.Forward || p.Backend != backendHessen {
		t.Fatalf("%s, want forwarded to hessen", a.reason())
	}
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"target", p.Target, "/gewerbe/" + gewerbe + "/akte?l=en&x=%41&ars=1"},
		{"leistung", p.Leistung, gewerbe},
		{"ars", p.ARS, "064350014014"},
		{"level", p.Level, "12"},
		{"sender", p.Sender, "hessen"},
		{"language", p.Language, "en"},
		{"oe", p.OE, ""},
	} {
		if string(tt.got) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
	if !p.KnownSender || p.SenderIndex != 2 || p.Land != 6 {
		t.Errorf("known %v, sender %d, land %d", p.KnownSender, p.SenderIndex, p.Land)
	}
	if a = ask(t, s, "OPTIONS /leistung/"+gewerbe+"/064350014014"); !a.plan.Forward {
		t.Errorf("OPTIONS: %s, want forwarded", a.reason())
	}
	a = ask(t, s, "PUT /leistung/"+fischen+"/06/x")
	if !a.plan.Forward || !a.plan.InPlace || string(a.plan.Prefix) != "/_pv/b/inplace" || string(a.plan.Target) != "/fischen/x" || string(a.plan.Level) != "2" || string(a.plan.ARS) != "060000000000" {
		t.Errorf("in place: %s %q %q %q", a.reason(), a.plan.Target, a.plan.Level, a.plan.ARS)
	}
}

func TestABackendsOwnHostIsForwardedByteForByte(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for _, tt := range []struct{ line, want string }{
		{"GET /", "/"},
		{"GET /a?b=%zz&leistung=1&lang=x", "/a?b=%zz&leistung=1&lang=x"},
		{"GET /a?", "/a?"},
		{"POST /leistung/x", "/leistung/x"},
		{"GET /%7eme//x;y/%c3%bc", "/~me//x;y/%C3%BC"},
		{"GET http://hessen.gw.example.de/a?b", "/a?b"},
		{"GET http://hessen.gw.example.de?b", "/?b"},
		{"OPTIONS *", "*"},
		{"OPTIONS /x", "/x"},
		{"GET /robots.txt/x", "/robots.txt/x"},
		{"GET /.well-known/security.txt", "/.well-known/security.txt"},
		{"GET /_pvx", "/_pvx"},
	} {
		a := askAt(t, s, onDomain, "hessen.gw.example.de", direct, tt.line)
		if !a.plan.Forward || a.plan.Backend != backendHessen || string(a.plan.Target) != tt.want {
			t.Errorf("%s: %s to %q, want %q", tt.line, a.reason(), a.plan.Target, tt.want)
		}
		if string(a.plan.Sender) != "direct" || a.plan.Land != exchange.LandNone || len(a.plan.Leistung) > 0 {
			t.Errorf("%s: sender %q, land %d, leistung %q", tt.line, a.plan.Sender, a.plan.Land, a.plan.Leistung)
		}
	}
	if a := askAt(t, s, onDomain, "hessen.gw.example.de", direct, "GET /a%2fb"); a.reason() != "bad_path" {
		t.Errorf("encoded slash: %s, want bad_path", a.reason())
	}
	a := askAt(t, s, onDomain, "legacy.gw.example.de", direct, "GET /a%2fb")
	if !a.plan.Forward || string(a.plan.Target) != "/a%2Fb" {
		t.Errorf("allowed encoded slash: %s %q", a.reason(), a.plan.Target)
	}
	for _, line := range []string{"GET /_pv/health", "GET /robots.txt"} {
		if a := askAt(t, s, onDomain, "hessen.gw.example.de", direct, line); a.plan.Forward || a.plan.Reply.Status != 200 {
			t.Errorf("%s at a backend's host: %d, want our own 200", line, a.plan.Reply.Status)
		}
	}
}

func TestTheDefaultBackendGetsWhatNoFormMatches(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for _, line := range []string{"GET /", "POST /x?y", "OPTIONS *", "GET /leistungen", "GET /a%2Fb", "GET /.well-known/security.txt"} {
		a := askAt(t, s, onAny, "anything", direct, line)
		if !a.plan.Forward || a.plan.Backend != backendLegacy {
			t.Errorf("%s: %s, want forwarded to legacy", line, a.reason())
		}
	}
	for line, want := range map[string]string{
		"GET /robots.txt": "none", "GET /_pv/health": "none", "GET /_pv/x": "not_found", "GET /leistung/1/2": "invalid_leistung",
	} {
		if a := askAt(t, s, onAny, "anything", direct, line); a.plan.Forward || a.reason() != want {
			t.Errorf("%s: %s, want our own %s", line, a.reason(), want)
		}
	}
}

func TestARedirectTargetsRateIsKept(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	var book limit.Book
	o.Backends[backendMarburg].Limit = book.Backend("marburg")
	if err := book.Apply(map[string]limit.Limits{"marburg": {Rate: limit.Quota{Requests: 2}}}, 0); err != nil {
		t.Fatal(err)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"handover", "handover", "backend_limited"}
	for i, w := range want {
		a := ask(t, s, "GET /leistung/"+gewerbe+"/"+marburg)
		if a.reason() != w {
			t.Errorf("request %d: %s, want %s", i, a.reason(), w)
		}
		if w == "backend_limited" {
			backend, _ := a.doc["backend"].(map[string]any)
			if a.plan.Reply.Status != 503 || a.fields["Retry-After"] != "1" || a.doc["limit"] != "50/s" || backend["id"] != "marburg" {
				t.Errorf("%d %v %s", a.plan.Reply.Status, a.fields, a.plan.Reply.Body)
			}
		}
	}
}

func TestSendersAreKnownByTheLongestPrefix(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for peer, want := range map[string]string{
		"192.0.2.1": "bund", "192.0.2.64": "hessen", "192.0.2.127": "hessen", "192.0.2.128": "bund", "192.0.3.1": "",
		"2001:db8::7": "bund", "2001:db9::7": "", "::ffff:192.0.2.1": "",
	} {
		if got := s.names[s.sender(netip.MustParseAddr(peer))]; got != want {
			t.Errorf("%s: %q, want %q", peer, got, want)
		}
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Options){
		"unknown default":     func(o *Options) { o.Listeners[0].Default = "nobody" },
		"redirecting default": func(o *Options) { o.Listeners[0].Default = "marburg" },
		"backend twice":       func(o *Options) { o.Backends[1].Name, o.Backends[2].Name = "x", "x" },
		"bad backend name":    func(o *Options) { o.Backends[1].Name = "Hessen." },
		"network twice":       func(o *Options) { o.Senders[1].Networks = o.Senders[0].Networks },
		"no hosts":            func(o *Options) { o.Domain, o.Listeners = "", []Listener{{}} },
		"other table":         func(o *Options) { o.Backends = o.Backends[:3] },
	} {
		o := testOptions(t)
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		} else if !strings.HasPrefix(err.Error(), "surface: ") {
			t.Errorf("%s: %v does not say where", name, err)
		}
	}
}

func TestWithoutATableOnlyTheRegistryIsMissing(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Listeners: []Listener{{Any: true, Default: "b"}}, Backends: []Backend{{Name: "b", Proxy: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if a := askAt(t, s, 0, "x", direct, "GET /anything"); !a.plan.Forward {
		t.Errorf("default: %s", a.reason())
	}
	a := askAt(t, s, 0, "x", direct, "GET /leistung/"+gewerbe+"/06")
	if a.reason() != "registry_unavailable" || a.fields["Retry-After"] == "" {
		t.Errorf("%s %v", a.reason(), a.fields)
	}
	if a := askAt(t, s, 0, "x", direct, "GET /_pv/areas?q=Mar"); a.reason() != "registry_unavailable" {
		t.Errorf("areas: %s", a.reason())
	}
}

func TestTheWayToForwardAndRedirectAllocatesNothing(t *testing.T) {
	s := testSurface(t)
	browser := "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: de,en;q=0.5\r\nUser-Agent: x\r\n\r\n"
	for name, r := range map[string]*exchange.Request{
		"own host":       request(t, "GET /a/b?c=d HTTP/1.1\r\nHost: hessen.gw.example.de\r\n"+browser, onDomain, direct),
		"own host, form": request(t, "GET /%7ea/b?c=d HTTP/1.1\r\nHost: hessen.gw.example.de\r\n"+browser, onDomain, direct),
		"default":        request(t, "POST /a/b?c=d HTTP/1.1\r\nHost: any\r\n"+browser, onAny, direct),
		"in place":       request(t, "POST /leistung/"+gewerbe+"/064350014014/x?y HTTP/1.1\r\nHost: gw.example.de\r\n"+browser, onDomain, hessen),
		"query form":     request(t, "POST /leistung?leistung="+gewerbe+"&ags=06435014&x=y HTTP/1.1\r\nHost: gw.example.de\r\n"+browser, onDomain, direct),
		"redirect":       request(t, "GET /leistung/"+gewerbe+"/"+marburg+" HTTP/1.1\r\nHost: gw.example.de\r\n"+browser, onDomain, hessen),
		"to own host":    request(t, "GET /leistung/"+gewerbe+"/064350014014/x?y HTTP/1.1\r\nHost: gw.example.de\r\n"+browser, onDomain, direct),
	} {
		p := &exchange.Plan{Scratch: make([]byte, 0, 4096), Reply: exchange.Reply{Fields: make([]message.Field, 0, 32)}}
		n := testing.AllocsPerRun(200, func() {
			*p = exchange.Plan{Scratch: p.Scratch[:0], Reply: exchange.Reply{Fields: p.Reply.Fields[:0]}}
			s.Resolve(r, p)
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
		if !p.Forward && p.Reply.Reason != reason.Handover {
			t.Errorf("%s: %v", name, p.Reply.Reason)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	s := testSurface(b)
	for name, raw := range map[string]string{
		"own-host": "GET /a/b?c=d HTTP/1.1\r\nHost: hessen.gw.example.de\r\nAccept-Language: de\r\n\r\n",
		"in-place": "POST /leistung/" + gewerbe + "/064350014014/x?y HTTP/1.1\r\nHost: gw.example.de\r\nAccept-Language: de\r\n\r\n",
		"redirect": "GET /leistung/" + gewerbe + "/" + marburg + " HTTP/1.1\r\nHost: gw.example.de\r\nAccept-Language: de\r\n\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			r := request(b, raw, onDomain, direct)
			p := &exchange.Plan{Scratch: make([]byte, 0, 4096), Reply: exchange.Reply{Fields: make([]message.Field, 0, 32)}}
			b.ReportAllocs()
			for b.Loop() {
				*p = exchange.Plan{Scratch: p.Scratch[:0], Reply: exchange.Reply{Fields: p.Reply.Fields[:0]}}
				s.Resolve(r, p)
			}
		})
	}
}

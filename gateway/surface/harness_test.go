// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

const (
	traceID = "0123456789abcdef0123456789abcdef"
	direct  = "203.0.113.9"
	hessen  = "192.0.2.77" // in the network of the sender hessen

	gewerbe  = "99050012104000"
	fischen  = "99042001012000"
	kfz      = "99036026017000"
	marburg  = "065340014014"
	dear     = "https://www.marburg.de/buergerservice/gewerbe.html?x=1#/top"
	entryURL = "http://gw.example.de:8080"
)

var noon = time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC)

// The places of the backends of the test surface.
const (
	backendMarburg = iota
	backendHessen
	backendLegacy
	backendInPlace
	backendMuseum
)

func testBackends() []Backend {
	return []Backend{
		backendMarburg: {Name: "marburg", Title: "Stadt Marburg", Limit: new(limit.Backend), LimitText: "50/s"},
		backendHessen:  {Name: "hessen", Title: "Land Hessen", Proxy: true},
		backendLegacy:  {Name: "legacy", Proxy: true, AllowEncodedSlash: true},
		backendInPlace: {Name: "inplace", Proxy: true, ByPath: true},
		backendMuseum:  {Name: "museum", Proxy: true},
	}
}

// testTable is a small registry on real keys and the real Gemeindeverzeichnis.
func testTable(t testing.TB) *routing.Table {
	t.Helper()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	return tableOn(t, areas)
}

func tableOn(t testing.TB, areas *registry.Areas) *routing.Table {
	t.Helper()
	at := func(key string) registry.AreaID {
		id, err := areas.EntryArea(key)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	row := func(leistung, area, backend, url, title string) registry.Entry {
		l, err := registry.ParseLeistung(leistung)
		if err != nil {
			t.Fatal(err)
		}
		e := registry.Entry{Leistung: l, Area: at(area), Title: title, Origin: registry.Origin{File: "routes.d/test.yaml", Line: 1}}
		if strings.HasPrefix(url, "/") {
			e.Backend, e.Path = backend, url
		} else {
			e.URL = url
		}
		return e
	}
	entries := []registry.Entry{
		row(gewerbe, marburg, "", dear, "Gewerbe anmelden"),
		row(gewerbe, "06", "hessen", "/gewerbe/{leistung}?l={lang}", "Gewerbe anmelden in Hessen"),
		row(fischen, "06", "inplace", "/fischen", "Fischereischein"),
		row(kfz, "01", "legacy", "/kfz", "i-Kfz"),
		row("99107023037000", "06", "museum", "/", "Museum"),
		row("99008001012000", "010530032", "", "https://a.example/?x=%3Cy%3E&z", "A <b>"),
		row("99008001012000", "010530032032", "", "https://b.example/", "B"),
		row("99008001012000", "06", "museum", "/a", "Museum A"),
		row("99008001012000", "06", "hessen", "/b", "Hessen B"),
		row("99102013104000", "06", "", "https://refused.example/", "Refused"),
		row("99115005104000", "01", "", "https://meldung.example/?q", "Meldung"),
		row("99012070006001", "01", "", "https://old.example/", "Vorbei"),
		row("99063018261000", "00", "", "https://bund.example/x", "Bund"),
	}
	entries[9].Refused = "10.0.0.8 is a private address"
	entries[10].Others = []registry.LangURL{{Lang: "en", URL: "https://meldung.example/en"}}
	entries[11].End = noon.Add(-24 * time.Hour)
	routes := make([]routing.Backend, 0, 5)
	for _, b := range testBackends() {
		routes = append(routes, routing.Backend{Name: b.Name, Proxy: b.Proxy, Hosts: []string{"www." + b.Name + ".de"}})
	}
	goneKey, _ := registry.ParseLeistung("99134005017000")
	table, problems := routing.Compile(routing.Input{
		Areas: areas, Sources: []string{"files", "marktplatz"}, Marktplatz: 1, Backends: routes, Entries: entries,
		Overrides: []routing.Override{{
			Area: at("06"), Leistung: goneKey, Gone: "Satzung <aufgehoben>", From: noon.Add(-time.Hour), Until: noon.Add(time.Hour), By: "x", Why: "y",
		}},
		SelfHosts: []string{"gw.example.de", "*.gw.example.de"},
		Help:      map[uint8]routing.Help{6: {Portal: "https://verwaltungsportal.hessen.de"}},
	})
	for _, p := range problems {
		if p.Fatal {
			t.Fatal(p)
		}
	}
	return table
}

// The listeners of the test surface.
const (
	onDomain = iota // the domain's hosts, port 8080
	onAny           // any host, legacy by default
	onTLS           // the domain's hosts, TLS
	onAlias         // another name for the entry host
)

func testOptions(t testing.TB) Options {
	t.Helper()
	return Options{
		Domain: "gw.example.de", Limits: message.HeadLimits{Line: 8 << 10, Head: 32 << 10, Fields: 100},
		Listeners: []Listener{
			onDomain: {Port: 8080},
			onAny:    {Any: true, Default: "legacy", Port: 80},
			onTLS:    {TLS: true, Port: 443},
			onAlias:  {Hosts: []string{"pv.example.org", "*.alias.example.org"}},
		},
		Backends: testBackends(),
		Table:    testTable(t),
		Senders: []Sender{
			{Name: "bund", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}},
			{Name: "hessen", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.64/26")}},
		},
	}
}

func testSurface(t testing.TB) *Surface {
	t.Helper()
	s, err := New(testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answer is what came out of the surface.
type answer struct {
	plan   exchange.Plan
	fields map[string]string
	doc    map[string]any // of a JSON body
}

func (a *answer) reason() string { return a.plan.Reply.Reason.String() }

func (a *answer) list(member string) []map[string]any {
	var out []map[string]any
	list, _ := a.doc[member].([]any)
	for _, e := range list {
		m, _ := e.(map[string]any)
		out = append(out, m)
	}
	return out
}

// request is a parsed head as the exchange would hand it in.
func request(t testing.TB, raw string, listener int, peer string) *exchange.Request {
	t.Helper()
	h := new(message.Head)
	if !parse(raw, h) {
		t.Fatalf("%q is no request", raw)
	}
	return prepared(h, listener, peer)
}

// prepared normalises the path as the exchange does; nil if it refuses it.
func prepared(h *message.Head, listener int, peer string) *exchange.Request {
	r := &exchange.Request{
		Head: h, Listener: listener, Peer: netip.MustParseAddr(peer), Now: noon, Tick: 1, Trace: []byte(traceID),
	}
	if !h.Asterisk {
		path, slash, ok := message.NormalisePath(nil, h.Path)
		if !ok {
			return nil
		}
		r.Path, r.EncodedSlash = path, slash
	}
	return r
}

func resolve(t testing.TB, s *Surface, r *exchange.Request) *answer {
	t.Helper()
	a := &answer{fields: map[string]string{}}
	a.plan.Land, a.plan.Backend = exchange.LandNone, -1
	s.Resolve(r, &a.plan)
	a.read(t)
	return a
}

func (a *answer) read(t testing.TB) {
	t.Helper()
	for _, f := range a.plan.Reply.Fields {
		name := string(f.Name)
		if _, twice := a.fields[name]; twice {
			t.Errorf("field %s stands twice", name)
		}
		a.fields[name] = string(f.Value)
	}
	if strings.HasSuffix(a.fields["Content-Type"], "json") {
		if err := json.Unmarshal(a.plan.Reply.Body, &a.doc); err != nil {
			t.Errorf("%v in %s", err, a.plan.Reply.Body)
		}
	}
}

// ask sends "METHOD target" with further field lines to the entry host.
func ask(t testing.TB, s *Surface, line string, more ...string) *answer {
	t.Helper()
	return askFrom(t, s, direct, line, more...)
}

func askFrom(t testing.TB, s *Surface, peer, line string, more ...string) *answer {
	t.Helper()
	return askAt(t, s, onDomain, "gw.example.de:8080", peer, line, more...)
}

func askAt(t testing.TB, s *Surface, listener int, host, peer, line string, more ...string) *answer {
	t.Helper()
	raw := line + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(more, ""), "\r\n") + "\r\n"
	return resolve(t, s, request(t, raw, listener, peer))
}

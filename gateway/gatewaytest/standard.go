// SPDX-License-Identifier: EUPL-1.2

package gatewaytest

import (
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/pages"
	"github.com/pvgate/pvgate/gateway/surface"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

// Keys of the standard gateway. Each Leistung is real; who offers it is invented.
const (
	Marburg = "065340014014"
	Hanau   = "064350014014" // in Hessen, with no entry of its own

	Gewerbe    = "99050012104000" // Marburg: redirect; Hessen: proxied at its own host
	Fischen    = "99042001012000" // Hessen: proxied in place
	Kfz        = "99036026017000" // Schleswig-Holstein: proxied, encoded slashes allowed
	Meldung    = "99115005104000" // Schleswig-Holstein: a target of no configured backend, in two languages
	Expired    = "99012070006001" // Schleswig-Holstein: ended
	Gone       = "99134005017000" // Hessen: taken away by an operator
	Refused    = "99102013104000" // Hessen: a target the policy refuses
	Equal      = "99008001012000" // Geesthacht: two equal targets
	Bund       = "99063018261000" // everywhere: a target of no configured backend
	Down       = "99107023037000" // Hessen: a proxied backend that refuses connections
	Strict     = "99088002104000" // Hessen: proxied with one request an hour
	StrictPage = "99088001104000" // Hessen: a redirect with one request an hour

	// MarburgURL is where a Gewerbe in Marburg is registered.
	MarburgURL = "https://www.marburg.de/buergerservice/gewerbe.html?x=1#/top"
)

// StandardOptions are the options of [Standard], for tests that want to change one.
func StandardOptions(t testing.TB, origin *Origin) Options {
	t.Helper()
	const dead = "127.0.0.1:1" // a port that was free a moment ago may be another test's by now
	strict := limit.Limits{Rate: limit.Quota{Requests: 1, Per: time.Hour, Burst: 1}}
	proxied := func(name, address string) Backend {
		return Backend{Backend: surface.Backend{Name: name, Proxy: true}, Address: address}
	}
	hessen := proxied("hessen", origin.Addr)
	hessen.Title, hessen.Contact, hessen.Host = "Land Hessen", &pages.Contact{Name: "Leitstelle", Phone: "115"}, "portal.hessen.internal"
	legacy := proxied("legacy", origin.Addr)
	legacy.AllowEncodedSlash = true
	inPlace := proxied("inplace", origin.Addr)
	inPlace.ByPath = true
	narrow := proxied("narrow", origin.Addr)
	narrow.Limits, narrow.LimitText = strict, "1/h"
	page := Backend{Backend: surface.Backend{Name: "narrowpage", LimitText: "1/h"}, Hosts: []string{"narrow.example"}, Limits: strict}
	return Options{
		Backends: []Backend{
			{Backend: surface.Backend{Name: "marburg", Title: "Stadt Marburg"}, Hosts: []string{"www.marburg.de"}},
			hessen, legacy, inPlace, proxied("dead", dead), narrow, page,
		},
		Entries: []registry.Entry{
			Entry(t, Gewerbe, Marburg, "", MarburgURL),
			Entry(t, Gewerbe, "06", "hessen", "/gewerbe/{leistung}?l={lang}"),
			with(Entry(t, Fischen, "06", "inplace", "/fischen"), func(e *registry.Entry) { e.OE = "L100012.OE.9029660" }),
			Entry(t, Kfz, "01", "legacy", "/kfz"),
			with(Entry(t, Meldung, "01", "", "https://meldung.example/?q"), func(e *registry.Entry) {
				e.Others = []registry.LangURL{{Lang: "en", URL: "https://meldung.example/en"}}
			}),
			with(Entry(t, Expired, "01", "", "https://old.example/"), func(e *registry.Entry) { e.End = time.Now().Add(-24 * time.Hour) }),
			with(Entry(t, Refused, "06", "", "https://refused.example/"), func(e *registry.Entry) { e.Refused = "10.0.0.8 is a private address" }),
			Entry(t, Equal, "010530032", "", "https://a.example/"),
			Entry(t, Equal, "010530032032", "", "https://b.example/"),
			Entry(t, Bund, "00", "", "https://bund.example/x"),
			Entry(t, Down, "06", "dead", "/"),
			Entry(t, Strict, "06", "narrow", "/"),
			Entry(t, StrictPage, "06", "", "https://narrow.example/"),
		},
		Overrides: []routing.Override{{
			Area: area(t, "06"), Leistung: leistung(t, Gone), Gone: "Satzung aufgehoben",
			From: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour), By: "x", Why: "y",
		}},
	}
}

// Standard runs the standard gateway in front of one origin, which all living backends share.
func Standard(t testing.TB, script Script) (*Gateway, *Origin) {
	t.Helper()
	origin := NewOrigin(t, script)
	return Start(t, StandardOptions(t, origin)), origin
}

// Entry is an entry of an operator's file; target is a URL, or a path at a backend.
func Entry(t testing.TB, key, in, backend, target string) registry.Entry {
	t.Helper()
	e := registry.Entry{Leistung: leistung(t, key), Area: area(t, in), Title: "Leistung " + key, Origin: registry.Origin{File: "routes.d/test.yaml", Line: 1}}
	if strings.HasPrefix(target, "/") {
		e.Backend, e.Path = backend, target
	} else {
		e.URL = target
	}
	return e
}

func with(e registry.Entry, change func(*registry.Entry)) registry.Entry {
	change(&e)
	return e
}

func leistung(t testing.TB, key string) registry.Leistung {
	t.Helper()
	l, err := registry.ParseLeistung(key)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func area(t testing.TB, key string) registry.AreaID {
	t.Helper()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	id, err := areas.EntryArea(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

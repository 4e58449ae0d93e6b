// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/message"
)

// parse reads a request's head as a connection would.
func parse(raw string, h *message.Head) bool {
	limits := http1.DefaultLimits()
	var machine http1.Server
	machine.Init(&limits)
	h.Reset()
	_, event, _ := machine.Feed([]byte(raw), h)
	return event == http1.HeadDone
}

var hostileTargets = []string{
	"//evil.example/", "/\\evil.example", "/%2f%2fevil.example", "/leistung//evil.example/x",
	"/leistung/" + gewerbe + "//evil.example", "/leistung/" + gewerbe + "/06//evil.example",
	"/leistung/99107023037000/06//evil.example/%2e", "/leistung/99107023037000/06/@evil.example",
	"/leistung/99107023037000/06?//evil.example&ars=06", "/leistung?leistung=99107023037000&ars=06&@evil.example",
	"/leistung/99107023037000/06/%0d%0aLocation:%20x", "/leistung/%E2%80%A8/06", "/leistung/%FF%FE/%C3%28",
	"/leistung/99107023037000/06/a;b=c/%25", "/leistung?%6ceistung=1&leistung=2", "/leistung?ars=%zz&ags=%", "/?lang=%",
	"http://gw.example.de/leistung/99107023037000/06/x", "/leistung/" + gewerbe + "/" + marburg + "?" + strings.Repeat("a=1&", 2000) + "ars=01",
	"/leistung/" + strings.Repeat("9", 5000) + "/06", "/_pv/areas?q=%FF%00<script>", "/_pv/reasons/<script>",
}

// No request whatever leads off-site, breaks a field or a document, or makes
// the surface panic; and what is forwarded is what was decided on.
func FuzzSurface(f *testing.F) {
	for _, target := range hostileTargets {
		f.Add("GET", target, "gw.example.de", "x", uint8(0))
		f.Add("POST", target, "any", gewerbe, uint8(3))
	}
	f.Add("OPTIONS", "*", "hessen.gw.example.de:8080", "06534014", uint8(2))
	s := testSurface(f)
	f.Fuzz(func(t *testing.T, method, target, host, header string, where uint8) {
		h := new(message.Head)
		raw := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nPV-Leistung: " + header + "\r\nPV-ARS: " + header + "\r\nAccept: " + header + "\r\n\r\n"
		if !parse(raw, h) {
			return
		}
		peer := direct
		if where&4 != 0 {
			peer = hessen
		}
		r := prepared(h, int(where&1), peer)
		if r == nil {
			return
		}
		a := resolve(t, s, r)
		if a.plan.Forward {
			checkForward(t, h, r.Path, a)
			return
		}
		if a.plan.Reply.Status < 200 || a.plan.Reply.Status > 599 {
			t.Fatalf("status %d", a.plan.Reply.Status)
		}
		for name, value := range a.fields {
			if strings.ContainsAny(value, "\r\n\x00") {
				t.Fatalf("%s: %q", name, value)
			}
		}
		if strings.HasSuffix(a.fields["Content-Type"], "json") && !json.Valid(a.plan.Reply.Body) {
			t.Fatalf("invalid JSON: %s", a.plan.Reply.Body)
		}
		if location, ok := a.fields["Location"]; ok {
			checkLocation(t, location)
		}
	})
}

// ourTargets are the hosts the test registry leads to.
var ourTargets = []string{"www.marburg.de", "meldung.example", "bund.example", "hessen.gw.example.de", "legacy.gw.example.de", "museum.gw.example.de"}

func checkLocation(t *testing.T, location string) {
	t.Helper()
	scheme, rest, ok := strings.Cut(location, "://")
	if !ok || scheme != "http" && scheme != "https" {
		t.Fatalf("Location %q", location)
	}
	// By hand and not by a URL parser, whose opinion on odd input is one of many.
	end := strings.IndexAny(rest, "/?#\\")
	if end < 0 {
		end = len(rest)
	}
	host, _, _ := strings.Cut(rest[:end], ":")
	for _, h := range ourTargets {
		if host == h {
			return
		}
	}
	t.Fatalf("Location %q leads off-site", location)
}

func checkForward(t *testing.T, h *message.Head, path []byte, a *answer) {
	t.Helper()
	target := a.plan.Target
	for _, c := range target {
		if c <= ' ' || c == 0x7F {
			t.Fatalf("target %q holds %#x", target, c)
		}
	}
	if string(target) == "*" {
		if !h.Asterisk {
			t.Fatal("* made of a path")
		}
		return
	}
	if len(target) == 0 || target[0] != '/' {
		t.Fatalf("target %q is not in origin form", target)
	}
	sent, query, _ := bytes.Cut(target, question)
	again, _, ok := message.NormalisePath(nil, sent)
	if !ok || !bytes.Equal(again, sent) {
		t.Fatalf("target path %q is not in the one form", sent)
	}
	if a.plan.Land == 17 { // passed on as it is
		if !bytes.Equal(sent, path) || !bytes.Equal(query, h.Query) {
			t.Fatalf("sent %q, decided on %q and %q", target, path, h.Query)
		}
		return
	}
	// At an entry: what is left of the query names nothing of ours any more
	// unless the path had an area.
	if values, err := url.ParseQuery(string(query)); err == nil && !bytes.HasPrefix(path, []byte("/leistung/")) {
		for _, name := range []string{"leistung", "ars", "ags", "lang"} {
			if values.Has(name) {
				t.Fatalf("%q still holds %s", target, name)
			}
		}
	}
}

func TestHostileTargetsNeverLeadOffSite(t *testing.T) {
	t.Parallel()
	s := testSurface(t)
	for _, target := range hostileTargets {
		h := new(message.Head)
		if !parse("GET "+target+" HTTP/1.1\r\nHost: gw.example.de\r\n\r\n", h) {
			continue
		}
		r := prepared(h, onDomain, direct)
		if r == nil {
			continue
		}
		if location, ok := resolve(t, s, r).fields["Location"]; ok {
			checkLocation(t, location)
		}
	}
}

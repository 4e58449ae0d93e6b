// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/reason"
)

// leading are listeners of which the first leads to the others.
func leading(t *testing.T) *Surface {
	t.Helper()
	o := testOptions(t)
	o.Listeners = []Listener{
		{Redirect: true, Port: 80, Challenge: func(token []byte) []byte {
			if string(token) == "abc" {
				return []byte("abc.thumbprint")
			}
			return nil
		}},
		{Port: 8080},
		{TLS: true, Port: 443, Hosts: []string{"gw.example.de", "marburg.gw.example.de"}, StrictTransport: "max-age=31536000"},
		{TLS: true, Port: 8443, StrictTransport: "max-age=0"},
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRedirectLeadsToTheSameAddressUnderHTTPS(t *testing.T) {
	t.Parallel()
	s := leading(t)
	for ask, want := range map[[2]string]string{
		{"gw.example.de", "GET /"}:                                      "https://gw.example.de/",
		{"GW.Example.DE:80", "GET /"}:                                   "https://gw.example.de/",
		{"gw.example.de:8080", "HEAD /leistung/" + gewerbe + "/06?x=1"}: "https://gw.example.de/leistung/" + gewerbe + "/06?x=1",
		{"gw.example.de", "POST /leistung/" + gewerbe + "/06"}:          "https://gw.example.de/leistung/" + gewerbe + "/06",
		{"gw.example.de", "GET //evil.example/%7Ex?%0d%0aSet-Cookie:"}:  "https://gw.example.de//evil.example/~x?%0d%0aSet-Cookie:",
		{"gw.example.de", "OPTIONS /a"}:                                 "https://gw.example.de/a",
		{"gw.example.de", "GET /_pv/health"}:                            "https://gw.example.de/_pv/health",
		// A host that only the second listener with TLS answers, and the first that does.
		{"hessen.gw.example.de", "GET /a/%2F"}: "https://hessen.gw.example.de:8443/a/%2F",
		// Tokens nobody waits for are somebody else's.
		{"gw.example.de", "GET /.well-known/acme-challenge/xyz"}:  "https://gw.example.de/.well-known/acme-challenge/xyz",
		{"gw.example.de", "POST /.well-known/acme-challenge/abc"}: "https://gw.example.de/.well-known/acme-challenge/abc",
	} {
		a := askAt(t, s, 0, ask[0], direct, ask[1])
		if a.plan.Reply.Status != 308 || a.fields["Location"] != want || a.plan.Forward || a.plan.Reply.Reason != reason.None {
			t.Errorf("%v: %d %q, reason %s; want 308 %q", ask, a.plan.Reply.Status, a.fields["Location"], a.reason(), want)
		}
		if a.fields["Cache-Control"] != "no-store" || len(a.plan.Reply.Body) > 0 {
			t.Errorf("%v: Cache-Control %q, body %q", ask, a.fields["Cache-Control"], a.plan.Reply.Body)
		}
	}
}

// Nobody is led to a host that is not ours: that would lend our name to any address.
func TestRedirectKnowsOwnHostsOnly(t *testing.T) {
	t.Parallel()
	s := leading(t)
	for _, host := range []string{"evil.example", "evil.example:443", "gw.example.de.evil.example", "nobody.gw.example.de", "192.0.2.1"} {
		for _, line := range []string{"GET /", "GET /.well-known/acme-challenge/abc", "OPTIONS /"} {
			a := askAt(t, s, 0, host, direct, line)
			if a.reason() != "misdirected" || a.fields["Location"] != "" {
				t.Errorf("%s of %s: %s, Location %q; want misdirected", line, host, a.reason(), a.fields["Location"])
			}
		}
	}
}

func TestChallengesAreAnsweredInPlaintext(t *testing.T) {
	t.Parallel()
	s := leading(t)
	a := askAt(t, s, 0, "gw.example.de", direct, "GET /.well-known/acme-challenge/abc")
	if a.plan.Reply.Status != 200 || string(a.plan.Reply.Body) != "abc.thumbprint" || !strings.HasPrefix(a.fields["Content-Type"], "text/plain") {
		t.Errorf("%d %q %q", a.plan.Reply.Status, a.plan.Reply.Body, a.fields["Content-Type"])
	}
	// Elsewhere they are no business of ours.
	if a := askAt(t, s, 1, "gw.example.de", direct, "GET /.well-known/acme-challenge/abc"); a.reason() != "not_found" {
		t.Errorf("at a listener that answers: %s", a.reason())
	}
}

// Strict-Transport-Security is said over TLS, with every decision: forwarded, answered, refused.
func TestStrictTransportSecurityOverTLSOnly(t *testing.T) {
	t.Parallel()
	s := leading(t)
	for _, c := range []struct {
		listener   int
		host, want string
	}{
		{0, "gw.example.de", ""},
		{1, "gw.example.de", ""},
		{2, "gw.example.de", "max-age=31536000"},
		{3, "gw.example.de", "max-age=0"},
		{3, "hessen.gw.example.de", "max-age=0"},
		{3, "evil.example", "max-age=0"},
	} {
		for _, target := range []string{"/", "/leistung/" + gewerbe + "/065340004004", "/nowhere"} {
			r := request(t, "GET "+target+" HTTP/1.1\r\nHost: "+c.host+"\r\n\r\n", c.listener, direct)
			if got := string(resolve(t, s, r).plan.StrictTransport); got != c.want {
				t.Errorf("%s%s at listener %d: %q, want %q", c.host, target, c.listener, got, c.want)
			}
			p := exchange.Plan{Backend: -1}
			s.Page(r, reason.BadRequest, exchange.Detail{Backend: -1}, &p)
			if got := string(p.StrictTransport); got != c.want {
				t.Errorf("a page at listener %d: %q, want %q", c.listener, got, c.want)
			}
		}
	}
}

// A trusted proxy says how its client came: by https, it is where it should be.
func TestRedirectLeadsNobodyInCircles(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	o.Listeners = []Listener{{Redirect: true, Port: 80}, {TLS: true, Port: 443, StrictTransport: "max-age=9"}}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		listener      int
		proto, strict string
		status        int
	}{
		{0, "https", "", 200}, {0, "http", "", 308}, {1, "https", "max-age=9", 200}, {1, "http", "", 200},
	} {
		a := askAt(t, s, c.listener, "gw.example.de", "10.0.0.1", "GET /_pv/health", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: "+c.proto)
		if a.plan.Reply.Status != c.status || string(a.plan.StrictTransport) != c.strict {
			t.Errorf("%s at listener %d: %d, %q; want %d, %q", c.proto, c.listener, a.plan.Reply.Status, a.plan.StrictTransport, c.status, c.strict)
		}
	}
}

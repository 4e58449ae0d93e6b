// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/handover"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/registry"
)

func testKeys(t testing.TB) *handover.Keys {
	t.Helper()
	k, err := handover.NewKeys([handover.KeySize]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// keyedSurface hands contexts over.
func keyedSurface(t testing.TB) *Surface {
	t.Helper()
	o := testOptions(t)
	o.Keys = testKeys(t)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sealed is a context as the entry host would make it.
func sealed(t testing.TB, kind handover.Kind, backend, sender string) string {
	t.Helper()
	c := handover.Context{Leistung: key(t, gewerbe)}
	if !c.SetNames([]byte(sender), []byte(backend)) {
		t.Fatal("a name is too long")
	}
	return string(testKeys(t).Seal(nil, kind, &c, noon.Unix()))
}

// 7: the cookie's name and attributes, by listener and by how the backend is kept apart.
func TestContract7CookieByOrigin(t *testing.T) {
	t.Parallel()
	s := keyedSurface(t)
	for _, tt := range []struct {
		listener                             int
		host, path, backend, name, attribute string
	}{
		{onDomain, "hessen.gw.example.de", "/x", "hessen", "pv", "; Path=/; HttpOnly; SameSite=Lax"},
		{onTLS, "hessen.gw.example.de", "/x", "hessen", "__Host-pv", "; Path=/; Secure; HttpOnly; SameSite=Lax"},
		{onDomain, "gw.example.de", "/_pv/b/inplace/x", "inplace", "pv", "; Path=/_pv/b/inplace/; HttpOnly; SameSite=Lax"},
		{onTLS, "gw.example.de", "/_pv/b/inplace/x", "inplace", "__Secure-pv", "; Path=/_pv/b/inplace/; Secure; HttpOnly; SameSite=Lax"},
	} {
		link := sealed(t, handover.Link, tt.backend, "bund")
		a := askAt(t, s, tt.listener, tt.host, direct, "GET "+tt.path+"?a=1&_pv="+link)
		cookie := sealed(t, handover.Cookie, tt.backend, "bund")
		if want := tt.name + "=" + cookie + tt.attribute; a.fields["Set-Cookie"] != want || a.plan.Reply.Status != 303 || a.plan.LedBy != 1 || a.plan.SenderIndex != 0 {
			t.Errorf("%s: %d, sender %d, Set-Cookie %q, want %q", tt.host, a.plan.Reply.Status, a.plan.LedBy, a.fields["Set-Cookie"], want)
		}
		if !strings.HasSuffix(a.fields["Location"], tt.path+"?a=1") {
			t.Errorf("%s: Location %q", tt.host, a.fields["Location"])
		}
		for _, method := range []string{"GET", "POST"} {
			a = askAt(t, s, tt.listener, tt.host, direct, method+" "+tt.path, "Cookie: a=b; "+tt.name+"="+cookie)
			p := &a.plan
			if !p.Forward || p.Account != exchange.AccountAttributed || !p.OwnCookie || p.CookieName != tt.name || string(p.Leistung) != gewerbe || string(p.Sender) != "bund" || p.KnownSender {
				t.Errorf("%s %s: forward %v, account %d, %q, leistung %q, sender %q (trusted %v)", tt.host, method, p.Forward, p.Account, p.CookieName, p.Leistung, p.Sender, p.KnownSender)
			}
		}
		// A form that is sent to an address with its context still there is attributed and arrives without it.
		a = askAt(t, s, tt.listener, tt.host, direct, "POST "+tt.path+"?_pv=x&a=%41&_pv="+link)
		if p := &a.plan; p.Account != exchange.AccountAttributed || string(p.Target) != "/x?a=%41" {
			t.Errorf("%s: account %d, target %q", tt.host, p.Account, p.Target)
		}
	}
}

// A query keeps every byte that is not ours.
func TestContextIsCutFromTheQueryByteForByte(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"_pv=1": "", "_pv=1&a": "?a", "a&_pv=1": "?a", "a=%2f&_pv=1&b": "?a=%2f&b", "&_pv=1": "?", "_pv=1&": "", "_pv=1&&": "?&", "a&&_pv=1&&b": "?a&&&b",
		"_pv=&_pv=2": "", "a_pv=1&_pv=2": "?a_pv=1", "_pvx=1&_pv=2&_pv": "?_pvx=1&_pv", "%5fpv=1&_pv=2": "?%5fpv=1",
	} {
		if got := string(appendQueryWithout(nil, []byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		if _, found := linkOf([]byte(in)); !found {
			t.Errorf("%q: no context found", in)
		}
	}
	for in, want := range map[string]string{"_pv=1": "1", "_pv=1&_pv=2&a": "2", "_pv=1&_pv=": "", "a=_pv=3&_pv=4": "4"} {
		if link, found := linkOf([]byte(in)); !found || string(link) != want {
			t.Errorf("%q: got %q %v, want %q", in, link, found, want)
		}
	}
	for _, in := range []string{"", "a", "x_pv=1", "a=_pv=1", "_pv", "_PV=1", "%5Fpv=1"} {
		if link, found := linkOf([]byte(in)); found {
			t.Errorf("%q: found %q", in, link)
		}
	}
}

// FuzzContextInQuery: a cut query holds no context, and everything else in its order.
func FuzzContextInQuery(f *testing.F) {
	for _, seed := range []string{"_pv=1", "a&_pv=1&&b", "&&&_pv=", "_pv=_pv=&x_pv=1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, query []byte) {
		got := appendQueryWithout(nil, query)
		if _, found := linkOf(bytes.TrimPrefix(got, question)); found {
			t.Errorf("%q → %q: a context is left", query, got)
		}
		var kept []string
		for s := range strings.SplitSeq(string(query), "&") {
			if !strings.HasPrefix(s, linkParameter) {
				kept = append(kept, s)
			}
		}
		if want := strings.Join(kept, "&"); string(bytes.TrimPrefix(got, question)) != want {
			t.Errorf("%q → %q, want %q", query, got, want)
		}
	})
}

func TestVisitsDoNotAllocate(t *testing.T) {
	s := keyedSurface(t)
	fields := "Accept: */*\r\nUser-Agent: x\r\nCookie: a=b; pv=" + sealed(t, handover.Cookie, "hessen", "bund") + "; c=d\r\n\r\n"
	below := "Cookie: pv=" + sealed(t, handover.Cookie, "inplace", "bund") + "\r\n\r\n"
	for name, r := range map[string]*exchange.Request{
		"cookie":   request(t, "GET /a/b?c=d HTTP/1.1\r\nHost: hessen.gw.example.de\r\n"+fields, onDomain, direct),
		"forgery":  request(t, "GET /a/b HTTP/1.1\r\nHost: museum.gw.example.de\r\n"+fields, onDomain, direct),
		"prefix":   request(t, "GET /_pv/b/inplace/a?b HTTP/1.1\r\nHost: gw.example.de\r\n"+below, onDomain, direct),
		"arrival":  request(t, "GET /a?b&_pv="+sealed(t, handover.Link, "hessen", "bund")+" HTTP/1.1\r\nHost: hessen.gw.example.de\r\n\r\n", onDomain, direct),
		"handover": request(t, "GET /leistung/"+gewerbe+"/064350014014 HTTP/1.1\r\nHost: gw.example.de\r\n\r\n", onDomain, direct),
	} {
		p := &exchange.Plan{Scratch: make([]byte, 0, 4096)}
		p.Reply.Fields = make([]message.Field, 0, 32)
		if n := testing.AllocsPerRun(200, func() {
			*p = exchange.Plan{Backend: -1, Scratch: p.Scratch[:0], Reply: exchange.Reply{Fields: p.Reply.Fields[:0]}}
			s.Resolve(r, p)
		}); n > 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func key(t testing.TB, text string) registry.Leistung {
	t.Helper()
	l, err := registry.ParseLeistung(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

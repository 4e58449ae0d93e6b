// SPDX-License-Identifier: EUPL-1.2

package header

import (
	"bytes"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/gateway/message"
)

// below is a backend that shares a host with others.
func below() Response {
	return Response{OwnCookie: "__Secure-pv", Prefix: []byte("/_pv/b/a"), Target: []byte("/x/y?z=/w"), ContentLength: -1}
}

// 14 and isolation: what becomes of a cookie that a backend sets, at a host of its own and below a prefix. "" = dropped.
func TestSetCookie(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, own, prefixed string }{
		{"a=b", "a=b", "a=b; Path=/_pv/b/a/x"},
		{"a=b; Path=/", "a=b; Path=/", "a=b; Path=/_pv/b/a/"},
		{"a=b; path=/x; Secure", "a=b; path=/x; Secure", "a=b; Secure; Path=/_pv/b/a/x"},
		{"a=b;PATH = /x ;HttpOnly", "a=b;PATH = /x ;HttpOnly", "a=b;HttpOnly; Path=/_pv/b/a/x"},
		{"a=b; Path=/x; Path=/y", "a=b; Path=/x; Path=/y", "a=b; Path=/_pv/b/a/y"},
		{"a=b; Path=/x; Path=", "a=b; Path=/x; Path=", "a=b; Path=/_pv/b/a/x"},
		{`a=b; Path="/"`, `a=b; Path="/"`, "a=b; Path=/_pv/b/a/x"},
		{"a=b; Path=x; Path", "a=b; Path=x; Path", "a=b; Path=/_pv/b/a/x"},
		{"a=b; Path=/_pv/b/b/", "a=b; Path=/_pv/b/b/", "a=b; Path=/_pv/b/a/_pv/b/b/"},
		{"a=b; Domain=gw.example.de; Secure", "a=b; Secure", "a=b; Secure; Path=/_pv/b/a/x"},
		{"a=b; DOMAIN=.gw.example.de", "a=b", "a=b; Path=/_pv/b/a/x"},
		{"a=b;\tdomain\t=\tx;Domain;domain=y; Path=/", "a=b; Path=/", "a=b; Path=/_pv/b/a/"},
		{"a=b; Domain=; Max-Age=1", "a=b; Max-Age=1", "a=b; Max-Age=1; Path=/_pv/b/a/x"},
		{"a=b; \xa0Domain\xa0=x", "a=b", "a=b; Path=/_pv/b/a/x"},
		{`a="b; Domain=x"; Path=/`, `a="b; Path=/`, `a="b; Path=/_pv/b/a/`},
		{`a=b; "Domain"=x; 'domain'=x`, "a=b", "a=b; Path=/_pv/b/a/x"},
		{"a=b; Domainx=1; xDomain=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a=b; Domainx=1; xDomain=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a=b; Domainx=1; xDomain=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/_pv/b/a/x"},
		{"domain=gw.example.de; path=/", "domain=gw.example.de; path=/", "domain=gw.example.de; Path=/_pv/b/a/"},
		{";", ";", ";; Path=/_pv/b/a/x"}, // no cookie, and not made one
		{"__Host-a=b; Path=/; Secure", "__Host-a=b; Path=/; Secure", ""},
		{" __hOsT-a = b", " __hOsT-a = b", ""},
		{"=__Host-a=b", "=__Host-a=b", ""},
		{"= =__host-a=b", "= =__host-a=b", ""},
		{"__Secure-a=b; Secure", "__Secure-a=b; Secure", "__Secure-a=b; Secure; Path=/_pv/b/a/x"},
		{"__Host-pv=forged; Path=/; Secure", "", ""},
		{"=__Host-pv=forged", "", ""},
		{"__Secure-pv=forged; Path=/; Secure", "__Secure-pv=forged; Path=/; Secure", ""},
	} {
		for _, mode := range []struct {
			r    Response
			want string
		}{{Response{OwnCookie: "__Host-pv", ContentLength: -1}, c.own}, {below(), c.prefixed}} {
			h := head("Set-Cookie: " + c.in)
			h.Status, h.Fields[0].Value = 200, []byte(c.in)
			want := []string{"Set-Cookie: " + mode.want}
			if mode.want == "" {
				want = nil
			}
			if diff := cmp.Diff(want, lines(mode.r.Apply(h))); diff != "" {
				t.Errorf("%q below %q (-want +got):\n%s", c.in, mode.r.Prefix, diff)
			}
		}
	}
}

// Isolation: what an answer says about more than its own address, by where it appears.
func TestWhatHoldsBeyondTheAddress(t *testing.T) {
	t.Parallel()
	in := []string{
		"Set-Cookie: a=b; Path=/", "set-cookie2: a=b; Domain=x", "Clear-Site-Data: \"*\"", "Service-Worker-Allowed: /", "NEL: {}", "Report-To: {}",
		"Strict-Transport-Security: max-age=9; includeSubDomains; preload", "Alt-Svc: h3=\":443\"", "Location: /n", "X: 1",
	}
	for name, c := range map[string]struct {
		r    Response
		want []string
	}{
		"own host": {Response{ContentLength: -1}, []string{
			"Set-Cookie: a=b; Path=/", `Clear-Site-Data: "*"`, "Service-Worker-Allowed: /", "NEL: {}", "Report-To: {}",
			"Strict-Transport-Security: max-age=9", "Location: /n", "X: 1",
		}},
		"prefix":   {below(), []string{"Set-Cookie: a=b; Path=/_pv/b/a/", "Location: /n", "X: 1"}},
		"in place": {Response{InPlace: true, ContentLength: -1}, []string{"Location: /n", "X: 1"}},
	} {
		h := head(in...)
		h.Status = 200
		if diff := cmp.Diff(c.want, lines(c.r.Apply(h))); diff != "" || !c.r.Refers {
			t.Errorf("%s: refers %v, fields (-want +got):\n%s", name, c.r.Refers, diff)
		}
	}
}

func TestStrictTransportSecurityIsOfTheOwnHostOnly(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"max-age=1": "max-age=1", "max-age=1;includeSubDomains": "max-age=1", "INCLUDESUBDOMAINS ; Max-Age = \"1\"": "Max-Age = \"1\"",
		"includeSubDomains": "", "": "", "max-age=1;x=\";includeSubDomains\"": "max-age=1", "; max-age=0 ;": "max-age=0",
	} {
		h := head("Strict-Transport-Security: " + in)
		h.Status = 200
		r := Response{ContentLength: -1}
		got := strings.TrimPrefix(strings.Join(lines(r.Apply(h)), "|"), "Strict-Transport-Security: ")
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// The gateway's own cookie does not reach the backend; all others do, byte for byte.
func TestCutCookie(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"pv=1":                               "",
		"pv=1; a=b":                          "a=b",
		"a=b; pv=1":                          "a=b",
		"a=b; pv=1; c=d":                     "a=b; c=d",
		"a=b;pv=1;c=d;pv=2":                  "a=b;c=d",
		"a=\"x y\";  pv = 1 ;b; =c; pvx=1;;": "a=\"x y\";b; =c; pvx=1;;",
		"PV=1; xpv=2; pv; a=pv=1":            "PV=1; xpv=2; pv; a=pv=1",
		"":                                   "",
		" a = b ;\tpv=1":                     "a = b ",
	} {
		h := head("Cookie: x", "X: 1", "Cookie: y=z")
		h.Fields[0].Value = []byte(in)
		var found []string
		has := Cookies(h.Fields, "pv", func(v []byte) { found = append(found, string(v)) })
		scratch := CutCookie(h.Fields, "pv", []byte("before"))
		if !has {
			want = in
		}
		got := string(h.Fields[0].Value)
		if h.Fields[0].ID == message.KeepAlive {
			got = ""
		}
		if got != want || string(scratch[:6]) != "before" || string(h.Fields[2].Value) != "y=z" || h.Fields[2].ID != message.Cookie {
			t.Errorf("%q: got %q, want %q; found %q", in, got, want, found)
		}
		if has != (len(found) > 0) {
			t.Errorf("%q: %v, found %q", in, has, found)
		}
	}
	h := head("Cookie: a=b", "X: 1", "cookie: c")
	DropCookies(h.Fields)
	r := bare()
	if _, fault := r.Apply(h); fault != message.FaultNone || len(sent(h)) != 2 {
		t.Errorf("cookies that end here: the backend gets %q", lines(sent(h)))
	}
}

// No cookie that an answer of one backend sets reaches another: in a browser as RFC 6265 describes it, in Go's own
// client, and in clients that trim, unquote and split more freely.
func FuzzSetCookie(f *testing.F) {
	for _, seed := range []string{
		"a=b; Domain=gw.example.de; Path=/", "a=b; Path=/_pv/b/b", "__Host-a=b; Path=/; Secure", "=__Host-pv=x", "a=b;Path=\"/\";domain=\".x\"",
		"a=b, c=d; Domain=gw.example.de", "a=b; Path=/..; Path=/../b", "a=b; Path=\\; ;;=;", "a=\"; Path=/; Domain=gw.example.de\"", "; Path=/", "a; Path",
	} {
		f.Add(seed, "/x/y")
		f.Add(seed, "/")
	}
	f.Fuzz(func(t *testing.T, in, target string) {
		if !message.Value.All([]byte(in)) || strings.ContainsAny(target, " \t\r\n#") || !strings.HasPrefix(target, "/") || !message.Value.All([]byte(target)) {
			return
		}
		for _, r := range []Response{{OwnCookie: "__Host-pv", ContentLength: -1}, below()} {
			if len(r.Prefix) > 0 {
				r.Target = []byte(target)
			}
			h := head("Set-Cookie: x")
			h.Status, h.Fields[0].Value = 200, message.TrimOWS([]byte(in))
			for _, f := range r.Apply(h) {
				staysHome(t, in, string(f.Value), string(r.Prefix), target)
			}
		}
	})
}

func staysHome(t *testing.T, in, out, prefix, target string) {
	t.Helper()
	pair, rest, _ := strings.Cut(out, ";")
	if name := strings.ToLower(strings.TrimLeft(pair, " \t=")); prefix != "" && (strings.HasPrefix(name, "__host-") || strings.HasPrefix(name, "__secure-pv=")) {
		t.Errorf("%q → %q: a cookie of the whole host, or ours", in, out)
	}
	paths := 0
	for a := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(a, "=")
		switch strings.ToLower(strings.TrimFunc(name, func(r rune) bool { return !('a' <= r|0x20 && r|0x20 <= 'z') })) {
		case "domain":
			t.Errorf("%q → %q: a domain", in, out)
		case "path":
			if paths++; prefix != "" && !strings.HasPrefix(value, prefix+"/") {
				t.Errorf("%q → %q: a path of others", in, out)
			}
		}
	}
	if prefix != "" && paths != 1 {
		t.Errorf("%q → %q: %d paths, want 1", in, out, paths)
	}
	jar, _ := cookiejar.New(nil)
	at := func(host, path string) *url.URL { return &url.URL{Scheme: "https", Host: host, Path: path} }
	own, others := at("a.gw.example.de", target), []*url.URL{at("b.gw.example.de", "/"), at("gw.example.de", "/leistung"), at("gw.example.de", target)}
	if prefix != "" {
		own = at("gw.example.de", prefix+target)
		others = []*url.URL{at("gw.example.de", "/_pv/b/b/"), at("gw.example.de", "/_pv/b/ab/"), at("gw.example.de", "/leistung/x"), at("gw.example.de", "/"), at("b.gw.example.de", prefix+target)}
	}
	jar.SetCookies(own, (&http.Response{Header: http.Header{"Set-Cookie": {out}}}).Cookies())
	for _, u := range others {
		if got := jar.Cookies(u); len(got) > 0 {
			t.Errorf("%q → %q: %s gets %v", in, out, u, got)
		}
	}
}

// A pair has a name if what stands before its first "=" is that, spaces and tabs around it apart.
func TestNamedIsWhatStandsBeforeTheFirstEqualsSign(t *testing.T) {
	t.Parallel()
	const octets = " \tpv=x"
	var text [6]byte
	for n := range len(text) + 1 {
		count := 1
		for range n {
			count *= len(octets)
		}
		for k := range count {
			for i, rest := 0, k; i < n; i, rest = i+1, rest/len(octets) {
				text[i] = octets[rest%len(octets)]
			}
			pair := text[:n]
			before, after, found := bytes.Cut(pair, equals)
			want := found && string(message.TrimOWS(before)) == "pv"
			value, ok := named(pair, "pv")
			if ok != want || ok && string(value) != string(message.TrimOWS(after)) {
				t.Fatalf("%q: got %q, %v", pair, value, ok)
			}
		}
	}
}

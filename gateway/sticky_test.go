// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/surface"
)

// sticky runs a gateway before three endpoints of the backend hessen that say their number, and try to say where the client
// is themselves.
func sticky(t *testing.T, protocol *gatewaytest.Protocol, byPath bool) (*gatewaytest.Gateway, []*gatewaytest.Origin, *endpoint.Group) {
	t.Helper()
	var origins []*gatewaytest.Origin
	var lists [][]netip.AddrPort
	for _, name := range []string{"0", "1", "2"} {
		o := gatewaytest.NewOrigin(t, func(*gatewaytest.Seen) string {
			return gatewaytest.OK(name, "Set-Cookie: own="+name, "Set-Cookie: pv-stay=x", "Set-Cookie: __Host-pv-stay=x; Secure; Path=/", "Set-Cookie: __Secure-pv-stay=x; Secure")
		})
		origins, lists = append(origins, o), append(lists, []netip.AddrPort{netip.MustParseAddrPort(o.Addr)})
	}
	group := gatewaytest.Fixed(lists...)
	o := gatewaytest.StandardOptions(t, origins[0])
	o.Protocol = protocol
	o.Snapshot = func(s *gateway.Snapshot) {
		for i := range s.Backends {
			if s.Backends[i].Name == "hessen" {
				s.Backends[i].Endpoints = group
			}
		}
	}
	o.Surface = func(s *surface.Options) {
		for i := range s.Backends {
			if s.Backends[i].Name == "hessen" {
				s.Backends[i].ByPath = byPath
				for p := range group.Len() {
					s.Backends[i].Sticky = append(s.Backends[i].Sticky, group.At(p).URL())
				}
			}
		}
	}
	return gatewaytest.Start(t, o), origins, group
}

// staying returns our cookie of an answer, nil if it sets none.
func staying(t *testing.T, a *gatewaytest.Answer, name string) *http.Cookie {
	t.Helper()
	var ours *http.Cookie
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		switch {
		case c.Name != name:
		case c.Value == "x":
			t.Errorf("a backend has set %s", c.Raw)
		default:
			ours = c
		}
	}
	return ours
}

// TestSticky: a client stays where it was, by a cookie that is said once, which no backend sees and nobody can make; it goes
// elsewhere when that endpoint is out.
func TestSticky(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		protocol   *gatewaytest.Protocol
		byPath     bool
		name, path string
	}{
		{nil, false, "pv-stay", "/"},
		{&gatewaytest.Protocol{Name: "TLS", Authority: gatewaytest.NewAuthority(t)}, false, "__Host-pv-stay", "/"},
		{&gatewaytest.Protocol{Name: "TLS", Authority: gatewaytest.NewAuthority(t)}, true, "__Secure-pv-stay", "/_pv/b/hessen/"},
	} {
		g, origins, group := sticky(t, tt.protocol, tt.byPath)
		host, line := "hessen."+gatewaytest.Domain, "GET /form"
		if tt.byPath {
			host, line = gatewaytest.Domain, "GET /_pv/b/hessen/form"
		}
		seen := map[string]string{}
		for range 60 {
			a := g.Ask(t, host, line)
			c := staying(t, a, tt.name)
			if c == nil || c.Name != tt.name || c.Path != tt.path || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure != (tt.protocol != nil) || c.Domain != "" || c.MaxAge != 0 {
				t.Fatalf("%s: got %v", tt.name, a.Header["Set-Cookie"])
			}
			seen[a.Body] = c.Value
		}
		if len(seen) != 3 {
			t.Fatalf("%s: without a cookie only %v were asked", tt.name, seen)
		}
		for where, value := range seen {
			for range 5 {
				a := g.Ask(t, host, line, "Cookie: a=b; "+tt.name+"="+value+"; c=d")
				if a.Body != where || staying(t, a, tt.name) != nil {
					t.Fatalf("%s: at %s, cookie of %s, %v", tt.name, a.Body, where, a.Header["Set-Cookie"])
				}
			}
			forged := []byte(value)
			forged[3] ^= 1
			if a := g.Ask(t, host, line, "Cookie: "+tt.name+"="+string(forged)); staying(t, a, tt.name) == nil {
				t.Errorf("%s: a cookie that is none of ours passes for one", tt.name)
			}
		}
		for _, o := range origins {
			for _, s := range o.Requests() {
				if c := strings.Join(s.Values("Cookie"), "; "); strings.Contains(c, "pv-stay") || c != "" && c != "a=b; c=d" {
					t.Fatalf("a backend has seen %q", c)
				}
			}
		}
		group.Checked(1, false, false, g.Server.Mono())
		a := g.Ask(t, host, line, "Cookie: "+tt.name+"="+seen["1"])
		if c := staying(t, a, tt.name); a.Body == "1" || c == nil || c.Value != seen[a.Body] {
			t.Errorf("%s: with its endpoint out, it is at %s and told %v", tt.name, a.Body, c)
		}
	}
}

// TestStickyMarksNameNobody: they are the same for all clients of an endpoint, and differ from endpoint to endpoint.
func TestStickyMarksNameNobody(t *testing.T) {
	t.Parallel()
	g, _, _ := sticky(t, nil, false)
	var values []string
	for range 60 {
		if c := staying(t, g.Ask(t, "hessen."+gatewaytest.Domain, "GET /form"), "pv-stay"); !slices.Contains(values, c.Value) {
			values = append(values, c.Value)
		}
	}
	if len(values) != 3 {
		t.Errorf("%d values for 3 endpoints", len(values))
	}
}

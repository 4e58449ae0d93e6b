// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/surface"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// The addresses of proxies and of a second sender.
const (
	proxy  = "127.0.0.3" // trusted
	second = "127.0.0.4" // trusted, before the first
)

// portalKeys are those of the sender bund.
var portalKeys = [][]byte{[]byte("0123456789abcdef0123456789abcdef"), []byte("fedcba9876543210fedcba9876543210")}

// behindProxies is the standard gateway with trusted proxies and a sender that signs.
func behindProxies(t *testing.T, change func(*surface.Options)) (*gatewaytest.Gateway, *gatewaytest.Origin) {
	t.Helper()
	origin := gatewaytest.NewOrigin(t, nil)
	o := gatewaytest.StandardOptions(t, origin)
	o.Surface = func(s *surface.Options) {
		s.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(proxy + "/32"), netip.MustParsePrefix(second + "/32")}
		s.Senders = append(s.Senders, surface.Sender{Name: "bund", Keys: portalKeys})
		if change != nil {
			change(s)
		}
	}
	return gatewaytest.Start(t, o), origin
}

// sign is PV-Signature as a portal would write it.
func sign(key []byte, sender string, at time.Time, method, host, target string, pv ...string) string {
	stamp := fmt.Sprint(at.Unix())
	mac := hmac.New(sha256.New, key)
	for len(pv) < 3 {
		pv = append(pv, "")
	}
	for _, part := range append([]string{"pvgate-1", stamp, sender, method, host, target}, pv...) {
		fmt.Fprintf(mac, "%d:%s,", len(part), part)
	}
	return fmt.Sprintf("PV-Signature: t=%s,key=%s,mac=%x", stamp, sender, mac.Sum(nil))
}

// HD-04: a trusted proxy is believed about the hop before it, and about nothing that this hop wrote itself.
func TestHD04TrustedProxies(t *testing.T) {
	t.Parallel()
	g, origin := behindProxies(t, nil)
	for _, tt := range []struct {
		name, from string
		fields     []string
		want       string // X-Forwarded-For|-Proto|-Host, Forwarded, PV-Sender
	}{
		{
			"a client", proxy,
			[]string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: " + hessenHost},
			"203.0.113.9|https|HOST|for=203.0.113.9;host=HOST;proto=https|direct",
		},
		{
			"a client of two proxies", proxy,
			[]string{"X-Forwarded-For: 203.0.113.9, " + second, "X-Forwarded-Proto: https, http"},
			"203.0.113.9|https|HOST|for=203.0.113.9;host=HOST;proto=https|direct",
		},
		{
			"what the client wrote before is gone", proxy,
			[]string{"X-Forwarded-For: 127.0.0.2", "X-Forwarded-For: 203.0.113.9", "Forwarded: for=127.0.0.2;proto=https", "X-Real-IP: 127.0.0.2"},
			"203.0.113.9|http|HOST|for=203.0.113.9;host=HOST;proto=http|direct",
		},
		{
			"a sender's network behind a proxy", proxy,
			[]string{"X-Forwarded-For: 198.51.100.1, 127.0.0.2"},
			"198.51.100.1, 127.0.0.2|http|HOST|for=127.0.0.2;host=HOST;proto=http|hessen",
		},
		{
			"an IPv6 client", proxy,
			[]string{"X-Forwarded-For: [2001:db8::7]:4711"},
			`2001:db8::7|http|HOST|for="[2001:db8::7]";host=HOST;proto=http|direct`,
		},
		{
			"a proxy that says nothing is no sender", proxy, nil,
			proxy + "|http|HOST|for=" + proxy + ";host=HOST;proto=http|direct",
		},
		{
			"a hop that is not told", proxy,
			[]string{"X-Forwarded-For: 127.0.0.2, unknown"},
			proxy + "|http|HOST|for=" + proxy + ";host=HOST;proto=http|direct",
		},
		{
			"the same from a stranger", gatewaytest.Direct,
			[]string{"X-Forwarded-For: 127.0.0.2", "X-Forwarded-Proto: https"},
			"127.0.0.1|http|HOST|for=127.0.0.1;host=HOST;proto=http|direct",
		},
		{
			"a known sender is believed about others, not about itself", gatewaytest.Known,
			[]string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https"},
			"198.51.100.1, 127.0.0.2|http|HOST|for=127.0.0.2;host=HOST;proto=http|hessen",
		},
	} {
		g.AskFrom(t, tt.from, hessenHost, "GET /", tt.fields...)
		s := origin.Last(t)
		got := strings.Join([]string{s.Get("X-Forwarded-For"), s.Get("X-Forwarded-Proto"), s.Get("X-Forwarded-Host"), s.Get("Forwarded"), s.Get("PV-Sender")}, "|")
		if want := strings.ReplaceAll(tt.want, "HOST", hessenHost); got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, want)
		}
		if s.Get("X-Real-IP") != "" {
			t.Errorf("%s: X-Real-IP passed", tt.name)
		}
	}
	if n := g.Samples(t)[`pvgate_headers_removed_total{kind="forwarded"}`]; n != 2 {
		t.Errorf("%v fields counted as forged, want the stranger's two", n)
	}
}

// HD-04: proxies that speak Forwarded are believed in that alone.
func TestHD04TrustedProxiesWithForwarded(t *testing.T) {
	t.Parallel()
	g, origin := behindProxies(t, func(o *surface.Options) { o.TrustForwarded = true })
	for _, tt := range []struct{ line, want string }{
		{`for=6.6.6.6;host=evil.example, for="[2001:db8::7]:1";host="` + hessenHost + `";proto=https, for=` + second + ";proto=http", `2001:db8::7|https|for="[2001:db8::7]";host=HOST;proto=https|direct`},
		{"for=127.0.0.2;by=_gw", "127.0.0.2|http|for=127.0.0.2;host=HOST;proto=http|hessen"},
		{"for=127.0.0.2, for=_hidden", proxy + "|http|for=" + proxy + ";host=HOST;proto=http|direct"},
	} {
		g.AskFrom(t, proxy, hessenHost, "GET /", "Forwarded: "+tt.line, "X-Forwarded-For: 127.0.0.2", "X-Forwarded-Proto: ftp")
		s := origin.Last(t)
		got := strings.Join([]string{s.Get("X-Forwarded-For"), s.Get("X-Forwarded-Proto"), s.Get("Forwarded"), s.Get("PV-Sender")}, "|")
		if want := strings.ReplaceAll(tt.want, "HOST", hessenHost); got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.line, got, want)
		}
	}
	n := len(origin.Requests())
	for _, line := range []string{`for="6.6.6.6`, "for=6.6.6.6;for=1.1.1.1", "for=6.6.6.6;host=\"a b\"", "for=6.6.6.6;host=\"evil/\""} {
		if a := g.AskFrom(t, proxy, hessenHost, "GET /", "Forwarded: "+line); a.Status != 400 || a.Reason() != "bad_request" {
			t.Errorf("%s: %d %s, want 400: nobody can tell what the client wrote", line, a.Status, a.Reason())
		}
	}
	if m := len(origin.Requests()); m != n {
		t.Errorf("%d requests have arrived", m-n)
	}
}

// HD-04: the host a trusted proxy was asked for decides, and our own addresses are those its clients see.
func TestHD04TrustedProxiesTellHostAndScheme(t *testing.T) {
	t.Parallel()
	g, origin := behindProxies(t, nil)
	const asked = "X-Forwarded-Host: gw.example.de:8443"
	a := g.AskFrom(t, proxy, "inner.example", "GET /leistung/"+gatewaytest.Gewerbe+"/"+gatewaytest.Hanau, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", asked)
	if want := "https://" + hessenHost + ":8443/gewerbe/"; !strings.HasPrefix(a.Header.Get("Location"), want) {
		t.Errorf("%d %s: Location %q, want %s…", a.Status, a.Reason(), a.Header.Get("Location"), want)
	}
	for _, from := range []string{gatewaytest.Direct, gatewaytest.Known} {
		if a := g.AskFrom(t, from, "inner.example", "GET /", "X-Forwarded-Host: "+hessenHost); a.Reason() != "misdirected" {
			t.Errorf("from %s: %d %s, want misdirected", from, a.Status, a.Reason())
		}
	}
	for _, host := range []string{"evil.example", "gw.example.de/", "a, b", `"gw.example.de"x`} {
		if a := g.AskFrom(t, proxy, hessenHost, "GET /", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Host: "+host); a.Status != 421 && a.Status != 400 && host != "a, b" {
			t.Errorf("%q: %d %s", host, a.Status, a.Reason())
		}
	}
	g.AskFrom(t, proxy, "inner.example", "POST "+inPlace, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", asked)
	if s := origin.Last(t); s.Get("X-Forwarded-Host") != "gw.example.de:8443" || s.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("the portal got %q", s.Fields)
	}
}

// A signature proves its sender, whatever the address, and nothing else is believed of who signs wrongly.
func TestSignedRequests(t *testing.T) {
	t.Parallel()
	g, origin := behindProxies(t, func(o *surface.Options) { o.TrustForwarded = true })
	now := time.Now()
	target := "/leistung?x=1"
	pv := []string{"PV-Leistung: " + gatewaytest.Fischen, "PV-ARS: 06", "PV-Language: en"}
	values := []string{gatewaytest.Fischen, "06", "en"}
	good := sign(portalKeys[0], "bund", now, "POST", entryHost, target, values...)
	for name, tt := range map[string]struct {
		from   string
		fields []string
		want   string // PV-Sender at the portal, or the reason
	}{
		"signed":                   {gatewaytest.Direct, []string{good}, "bund"},
		"signed by the older key":  {gatewaytest.Direct, []string{sign(portalKeys[1], "bund", now, "POST", entryHost, target, values...)}, "bund"},
		"from another's network":   {gatewaytest.Known, []string{good}, "bund"},
		"through a trusted proxy":  {proxy, []string{good, "Forwarded: for=203.0.113.9"}, "bund"},
		"not signed":               {gatewaytest.Known, nil, "hessen"},
		"a minute ago":             {gatewaytest.Direct, []string{sign(portalKeys[0], "bund", now.Add(-time.Minute-2*time.Second), "POST", entryHost, target, values...)}, "sender_unknown"},
		"in a minute":              {gatewaytest.Direct, []string{sign(portalKeys[0], "bund", now.Add(time.Minute+30*time.Second), "POST", entryHost, target, values...)}, "sender_unknown"},
		"another method":           {gatewaytest.Direct, []string{sign(portalKeys[0], "bund", now, "GET", entryHost, target, values...)}, "sender_unknown"},
		"another host":             {gatewaytest.Direct, []string{sign(portalKeys[0], "bund", now, "POST", hessenHost, target, values...)}, "sender_unknown"},
		"another query":            {gatewaytest.Direct, []string{sign(portalKeys[0], "bund", now, "POST", entryHost, "/leistung?x=2", values...)}, "sender_unknown"},
		"another area":             {gatewaytest.Direct, []string{sign(portalKeys[0], "bund", now, "POST", entryHost, target, gatewaytest.Fischen, "01", "en")}, "sender_unknown"},
		"another key":              {gatewaytest.Direct, []string{sign([]byte(strings.Repeat("x", 32)), "bund", now, "POST", entryHost, target, values...)}, "sender_unknown"},
		"the name of another":      {gatewaytest.Known, []string{sign(portalKeys[0], "hessen", now, "POST", entryHost, target, values...)}, "sender_unknown"},
		"wrong, from a known one":  {gatewaytest.Known, []string{"PV-Signature: x"}, "sender_unknown"},
		"twice":                    {gatewaytest.Direct, []string{good, good}, "sender_unknown"},
		"with a field beside":      {gatewaytest.Direct, []string{good, "PV-ARS: 01"}, "sender_unknown"},
		"by an alias":              {gatewaytest.Direct, []string{strings.Replace(good, "PV-Signature", "PV_Signature", 1)}, "invalid_leistung"},
		"with its name taken away": {gatewaytest.Direct, []string{good, "Connection: close, PV-Signature, PV-ARS"}, "bund"},
	} {
		n := len(origin.Requests())
		a := g.AskFrom(t, tt.from, entryHost, "POST "+target, append(append([]string{}, pv...), tt.fields...)...)
		got := a.Reason()
		if seen := origin.Requests()[n:]; len(seen) == 1 {
			got = seen[0].Get("PV-Sender")
			for _, f := range seen[0].Fields {
				if strings.HasPrefix(strings.ToLower(f), "pv-signature") {
					t.Errorf("%s: the portal got %s", name, f)
				}
			}
		}
		if got != tt.want {
			t.Errorf("%s: %d, got %s, want %s", name, a.Status, got, tt.want)
		}
	}
}

// A listener for portals only answers nobody else, but tells a load balancer that it is there.
func TestListenerForSendersOnly(t *testing.T) {
	t.Parallel()
	g, origin := behindProxies(t, func(o *surface.Options) { o.Listeners[0].Senders = true })
	for _, line := range []string{"GET /", "GET /leistung/" + gatewaytest.Gewerbe + "/06", "GET /_pv/areas?q=x", "POST " + inPlace, "OPTIONS *", "GET /_pv/health/x"} {
		for _, host := range []string{entryHost, hessenHost} {
			a := g.Ask(t, host, line)
			if a.Status != 403 || a.Reason() != "sender_unknown" || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s at %s: %d %s, want 403 sender_unknown", line, host, a.Status, a.Reason())
			}
		}
	}
	if n := len(origin.Requests()); n != 0 {
		t.Errorf("%d requests have arrived", n)
	}
	if a := g.Ask(t, entryHost, "GET /_pv/health"); a.Status != 200 {
		t.Errorf("health: %d %s", a.Status, a.Reason())
	}
	if a := g.AskFrom(t, gatewaytest.Known, hessenHost, "GET /"); a.Status != 200 {
		t.Errorf("a sender: %d %s", a.Status, a.Reason())
	}
	if a := g.Ask(t, hessenHost, "GET /", sign(portalKeys[0], "bund", time.Now(), "GET", hessenHost, "/")); a.Status != 200 {
		t.Errorf("a sender that signs: %d %s", a.Status, a.Reason())
	}
}

// A client certificate that an authority of the listener has signed proves the sender it belongs to.
func TestCertificatesProveSendersOverTLS(t *testing.T) {
	t.Parallel()
	origin := gatewaytest.NewOrigin(t, nil)
	servers, portals, strangers := gatewaytest.NewAuthority(t), gatewaytest.NewAuthority(t), gatewaytest.NewAuthority(t)
	pinned := portals.Issue(t, "cn:pinned")
	sum := sha256.Sum256(pinned.Certificate[0])
	o := gatewaytest.StandardOptions(t, origin)
	o.Surface = func(s *surface.Options) {
		s.Listeners[0].TLS = true
		s.Senders = append(
			s.Senders, surface.Sender{Name: "bund", Certificates: []string{"dns:portal.bund.example"}, Keys: portalKeys},
			surface.Sender{Name: "berlin", Certificates: []string{fmt.Sprintf("%x", sum)}},
		)
	}
	o.Limits = func(o *gateway.Options) {
		c, err := tlsconn.New(tlsconn.Options{TLS: &tls.Config{
			Certificates: []tls.Certificate{servers.Issue(t, hessenHost)}, MinVersion: tls.VersionTLS12,
			ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: portals.Pool,
		}})
		if err != nil {
			t.Fatal(err)
		}
		o.Listen[0].TLS = func() *tlsconn.Config { return c }
	}
	g := gatewaytest.Start(t, o)
	for _, tt := range []struct {
		name, from string
		cert       *tls.Certificate
		fields     string
		want       string // PV-Sender, a reason, or "" for no connection
	}{
		{"none", gatewaytest.Direct, nil, "", "direct"},
		{"none, from a network", gatewaytest.Known, nil, "", "hessen"},
		{"by name", gatewaytest.Direct, issued(portals.Issue(t, "portal.bund.example")), "", "bund"},
		{"by name, from another's network", gatewaytest.Known, issued(portals.Issue(t, "x.example", "portal.bund.example")), "", "bund"},
		{"by fingerprint", gatewaytest.Direct, &pinned, "", "berlin"},
		{"the same name, another certificate", gatewaytest.Direct, issued(portals.Issue(t, "cn:pinned")), "", "direct"},
		{"a common name that looks like a name", gatewaytest.Direct, issued(portals.Issue(t, "cn:portal.bund.example")), "", "direct"},
		{"of another authority", gatewaytest.Direct, issued(strangers.Issue(t, "portal.bund.example")), "", ""},
		{"and a signature of the same", gatewaytest.Direct, issued(portals.Issue(t, "portal.bund.example")), sign(portalKeys[0], "bund", time.Now(), "GET", hessenHost, "/") + "\r\n", "bund"},
		{"and a signature of another", gatewaytest.Direct, &pinned, sign(portalKeys[0], "bund", time.Now(), "GET", hessenHost, "/") + "\r\n", "sender_unknown"},
	} {
		if got := askWith(t, g, servers, tt.from, tt.cert, tt.fields, origin); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func issued(c tls.Certificate) *tls.Certificate { return &c }

// askWith asks with a certificate and returns who the portal was told it was, the gateway's reason, or "".
func askWith(t *testing.T, g *gatewaytest.Gateway, servers *gatewaytest.Authority, from string, cert *tls.Certificate, fields string, origin *gatewaytest.Origin) string {
	t.Helper()
	config := &tls.Config{RootCAs: servers.Pool, ServerName: hessenHost, MinVersion: tls.VersionTLS12}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if cert == nil {
			return new(tls.Certificate), nil
		}
		return cert, nil // even if the gateway names other authorities
	}
	raw := dial(t, g, from)
	c := tls.Client(raw, config)
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+hessenHost+"\r\n"+fields+"\r\n"); err != nil {
		return ""
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return ""
	}
	if resp.StatusCode != 200 {
		return resp.Header.Get("PV-Reason")
	}
	if origin.Last(t).Get("X-Forwarded-Proto") != "https" {
		t.Errorf("from %s: X-Forwarded-Proto %q", from, origin.Last(t).Get("X-Forwarded-Proto"))
	}
	return origin.Last(t).Get("PV-Sender")
}

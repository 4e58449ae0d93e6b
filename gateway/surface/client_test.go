// SPDX-License-Identifier: EUPL-1.2

package surface

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/message"
)

const (
	proxy    = "10.0.0.2" // trusted
	berlinFP = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
)

// provingSurface knows senders by all that can prove them.
func provingSurface(t testing.TB, change func(*Options)) *Surface {
	t.Helper()
	o := testOptions(t)
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	o.Senders = append(
		o.Senders,
		Sender{Name: "berlin", Certificates: []string{berlinFP, "dns:portal.berlin.example"}, Keys: [][]byte{make([]byte, 32)}},
		Sender{Name: "hamburg", Certificates: []string{"uri:urn:pv:hamburg"}, Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}},
	)
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCertificatesProveSenders(t *testing.T) {
	t.Parallel()
	s := provingSurface(t, nil)
	for _, tt := range []struct {
		name, peer string
		cert       *exchange.Certificate
		want       string
	}{
		{"none", direct, nil, "direct"},
		{"a stranger's", direct, &exchange.Certificate{Fingerprint: strings.Repeat("0", 64), Names: []string{"dns:other.example"}}, "direct"},
		{"an empty one", direct, &exchange.Certificate{}, "direct"},
		{"by fingerprint", direct, &exchange.Certificate{Fingerprint: berlinFP}, "berlin"},
		{"by name", direct, &exchange.Certificate{Fingerprint: "x", Names: []string{"cn:x", "dns:portal.berlin.example"}}, "berlin"},
		{"by a name of another kind", direct, &exchange.Certificate{Names: []string{"cn:portal.berlin.example", "portal.berlin.example"}}, "direct"},
		{"by a fingerprint as a name", direct, &exchange.Certificate{Names: []string{"cn:" + berlinFP}}, "direct"},
		{"from another's network", hessen, &exchange.Certificate{Fingerprint: berlinFP}, "berlin"},
		{"a stranger's from a sender's network", hessen, &exchange.Certificate{Fingerprint: "x"}, "hessen"},
		{"of two senders", direct, &exchange.Certificate{Fingerprint: berlinFP, Names: []string{"uri:urn:pv:hamburg"}}, "sender_unknown"},
		{"of two senders by name", hessen, &exchange.Certificate{Names: []string{"uri:urn:pv:hamburg", "dns:portal.berlin.example"}}, "sender_unknown"},
		// A proxy's own certificate is not its client's.
		{"a proxy's", proxy, &exchange.Certificate{Fingerprint: berlinFP}, "direct"},
	} {
		r := request(t, "GET /x HTTP/1.1\r\nHost: hessen.gw.example.de\r\n\r\n", onDomain, tt.peer)
		r.Certificate = tt.cert
		a := resolve(t, s, r)
		got := string(a.plan.Sender)
		if !a.plan.Forward {
			got = a.reason()
		}
		if got != tt.want || (got == "sender_unknown" && a.plan.SenderIndex != 0) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestNetworksOfProxiesProveNothing(t *testing.T) {
	t.Parallel()
	s := provingSurface(t, func(o *Options) {
		o.Senders[0].Networks = append(o.Senders[0].Networks, netip.MustParsePrefix("0.0.0.0/0"))
		for i := range o.Listeners {
			o.Listeners[i].ProxyPeers = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/25")}
		}
	})
	for peer, want := range map[string]string{"192.0.2.77": "hessen", "8.8.8.8": "bund", proxy: "direct", "203.0.113.9": "direct", "203.0.113.200": "bund"} {
		r := request(t, "GET /x HTTP/1.1\r\nHost: hessen.gw.example.de\r\n\r\n", onDomain, peer)
		if a := resolve(t, s, r); string(a.plan.Sender) != want {
			t.Errorf("%s: %s, want %s", peer, a.plan.Sender, want)
		}
	}
}

func TestProofsThatCannotBeTold(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Options){
		`certificate "dns:a" belongs to the senders`: func(o *Options) {
			o.Senders = []Sender{{Name: "a", Certificates: []string{"dns:a"}}, {Name: "b", Certificates: []string{"dns:a"}}}
		},
		`sender "a" has 3 keys`: func(o *Options) { o.Senders = []Sender{{Name: "a", Keys: make([][]byte, 3)}} },
	} {
		o := testOptions(t)
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A page for a fault that came later is for the sender that Resolve has found, though nothing of the head is left.
func TestPagesRememberWhoAsked(t *testing.T) {
	t.Parallel()
	s := provingSurface(t, nil)
	r := request(t, "GET /x HTTP/1.1\r\nHost: inner\r\nX-Forwarded-For: 203.0.113.1\r\nX-Forwarded-Host: hessen.gw.example.de:8443\r\nX-Forwarded-Proto: https\r\n\r\n", onDomain, proxy)
	p := new(exchange.Plan)
	s.Resolve(r, p)
	if !p.Forward || p.Behind == nil || p.Behind.Addr != netip.MustParseAddr("203.0.113.1") || !p.Behind.TLS {
		t.Fatalf("forward %v, behind %+v", p.Forward, p.Behind)
	}
	p.SenderIndex = 3
	r.Head = &message.Head{}
	s.Page(r, 0, exchange.Detail{Backend: -1}, p)
	if p.SenderIndex != 3 || string(p.Sender) != "berlin" {
		t.Errorf("sender %d %s, want 3 berlin", p.SenderIndex, p.Sender)
	}
}

func TestIdentifyingDoesNotAllocate(t *testing.T) {
	mac, stamp := hmac.New(sha256.New, make([]byte, 32)), fmt.Sprint(noon.Unix())
	for _, part := range []string{"pvgate-1", stamp, "berlin", "GET", "hessen.gw.example.de", "/x", "", "", ""} {
		fmt.Fprintf(mac, "%d:%s,", len(part), part)
	}
	signed := fmt.Sprintf("PV-Signature: t=%s,key=berlin,mac=%x\r\n", stamp, mac.Sum(nil))
	for name, r := range map[string]*exchange.Request{
		"behind proxies": request(t, "GET /x HTTP/1.1\r\nHost: inner\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 2001:db8::7, 10.0.0.3\r\nX-Forwarded-Host: hessen.gw.example.de\r\n\r\n", onDomain, proxy),
		"a signature":    request(t, "GET /x HTTP/1.1\r\nHost: hessen.gw.example.de\r\n"+signed+"\r\n", onDomain, direct),
		"a certificate":  withCertificate(request(t, "GET /x HTTP/1.1\r\nHost: hessen.gw.example.de\r\n\r\n", onDomain, direct)),
	} {
		s := provingSurface(t, nil)
		p := &exchange.Plan{Scratch: make([]byte, 0, 4096), Reply: exchange.Reply{Fields: make([]message.Field, 0, 32)}}
		p.BehindProxies()
		if n := testing.AllocsPerRun(200, func() {
			p.Behind, p.Identified, p.Forward, p.Scratch = nil, false, false, p.Scratch[:0]
			s.Resolve(r, p)
			if !p.Forward {
				t.Fatal(string(p.Reply.Body))
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func withCertificate(r *exchange.Request) *exchange.Request {
	r.Certificate = &exchange.Certificate{Fingerprint: berlinFP, Names: []string{"dns:portal.berlin.example"}}
	return r
}

// RT-03: hosts are compared as ASCII bytes. The parser lets no other byte into a host; whoever compares must not fold
// one into ours all the same: a Kelvin sign is no k, a long s no s, and no byte is another with a bit less.
func TestRT03HostsAreComparedAsASCII(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.Listeners[onDomain].Hosts = []string{"gw.example.de", "*.gw.example.de", "kasse.example", "*.sks.example"}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	l := &s.listeners[onDomain]
	for host, want := range map[string]whose{
		"gw.example.de": entry, "GW.Example.DE": entry, "KASSE.example": entry, "a.SKS.example": entry, "hessen.gw.example.de": backends, "HESSEN.GW.EXAMPLE.DE": backends,
		"\u212Aasse.example": nobodys, "ka\u017F\u017Fe.example": nobodys, "a.s\u212As.example": nobodys, "a.\u017Fk\u017F.example": nobodys,
		"he\u017F\u017Fen.gw.example.de": nobodys, "hessen.gw.e\u00D7ample.de": nobodys, "\uFF47\uFF57.example.de": nobodys, "gw\u3002example.de": nobodys,
		"hes\x53en.gw.example.de": backends, "hes\x13en.gw.example.de": nobodys, "hes\xf3en.gw.example.de": nobodys, "[w.example.de": nobodys, "gw.example.de.": nobodys,
		"xn--hessn-kva.gw.example.de": nobodys, "hessen\x00.gw.example.de": nobodys, "@asse.example": nobodys, "kasse\x0eexample": nobodys,
	} {
		if got, _ := s.whose(l, []byte(host), -1); got != want {
			t.Errorf("%q: got %d, want %d", host, got, want)
		}
	}
}

// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/surface"
)

// balanced is the standard gateway behind a balancer that speaks the PROXY protocol.
func balanced(t *testing.T, change func(*gatewaytest.Options)) (*gatewaytest.Gateway, *gatewaytest.Origin) {
	t.Helper()
	peers := []netip.Prefix{netip.MustParsePrefix(proxy + "/32")}
	origin := gatewaytest.NewOrigin(t, nil)
	o := gatewaytest.StandardOptions(t, origin)
	o.Surface = func(s *surface.Options) { s.Listeners[0].ProxyPeers = peers }
	o.Snapshot = func(s *gateway.Snapshot) {
		s.ProxyPeers = [][]netip.Prefix{peers}
		s.Networks.Exempt = peers
	}
	if change != nil {
		change(&o)
	}
	return gatewaytest.Start(t, o), origin
}

func v1(source string) string { return "PROXY TCP4 " + source + " 127.0.0.1 56324 443\r\n" }

func v2(source string) string {
	a := netip.MustParseAddr(source)
	if a.Is4() {
		b := a.As4()
		return "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0f" + string(b[:]) + "\x7f\x00\x00\x01\xdc\x04\x01\xbb" + "\xe0\x00\x00"
	}
	b := a.As16()
	return "\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24" + string(b[:]) + string(b[:]) + "\xdc\x04\x01\xbb"
}

// local is a health check of the balancer itself.
const local = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"

func closed(t *testing.T, g *gatewaytest.Gateway, cause string) float64 {
	t.Helper()
	return g.Samples(t)[fmt.Sprintf("pvgate_connections_closed_total{cause=%q}", cause)]
}

// A PROXY header says whose connection it is: to the portals, and for the networks of senders.
func TestProxyHeaderTellsTheClient(t *testing.T) {
	t.Parallel()
	g, origin := balanced(t, nil)
	for _, tt := range []struct{ name, header, client, sender string }{
		{"version 1", v1("203.0.113.9"), "203.0.113.9", "direct"},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7", "direct"},
		{"version 1, a sender", v1(gatewaytest.Known), gatewaytest.Known, "hessen"},
		{"version 1, unknown", "PROXY UNKNOWN\r\n", proxy, "direct"},
		{"version 2", v2("203.0.113.9"), "203.0.113.9", "direct"},
		{"version 2, IPv6", v2("2001:db8::7"), "2001:db8::7", "direct"},
		{"version 2, a sender", v2(gatewaytest.Known), gatewaytest.Known, "hessen"},
		{"version 2, local", local, proxy, "direct"},
	} {
		get := "GET / HTTP/1.1\r\nHost: " + hessenHost + "\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
		g.Raw(t, proxy, tt.header+get)
		s := origin.Last(t)
		want := tt.client
		if tt.sender != "direct" {
			want = "6.6.6.6, " + tt.client
		}
		if s.Get("X-Forwarded-For") != want || s.Get("PV-Sender") != tt.sender {
			t.Errorf("%s: X-Forwarded-For %q, PV-Sender %q, want %q, %q", tt.name, s.Get("X-Forwarded-For"), s.Get("PV-Sender"), want, tt.sender)
		}
	}
}

// However the bytes come, the header is read whole, and once.
func TestProxyHeaderInPieces(t *testing.T) {
	t.Parallel()
	g, origin := balanced(t, nil)
	get := "GET / HTTP/1.1\r\nHost: " + hessenHost + "\r\n\r\n"
	for _, header := range []string{v1("203.0.113.9"), v2("203.0.113.9")} {
		for _, size := range []int{1, 7, 16, 27, len(header), len(header) + 1} {
			c := dial(t, g, proxy)
			all := header + get
			for i := 0; i < len(all); i += size {
				if _, err := io.WriteString(c, all[i:min(i+size, len(all))]); err != nil {
					t.Fatal(err)
				}
			}
			in := bufio.NewReader(c)
			for range 2 {
				resp, err := http.ReadResponse(in, nil)
				if err != nil || resp.StatusCode != 200 {
					t.Fatalf("%d bytes at a time: %v %v", size, resp, err)
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					t.Fatal(err)
				}
				if got := origin.Last(t).Get("X-Forwarded-For"); got != "203.0.113.9" {
					t.Errorf("%d bytes at a time: client %q", size, got)
				}
				if _, err := io.WriteString(c, get); err != nil {
					t.Fatal(err)
				}
			}
			c.Close()
		}
	}
	if a := g.Raw(t, proxy, v1("203.0.113.9")+v1("203.0.113.9")+get); a.Status != 400 {
		t.Errorf("a second header: %d, want 400: it is no request", a.Status)
	}
}

func dialFrom(g *gatewaytest.Gateway, from string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return d.Dial("tcp", g.Addr)
}

func dial(t *testing.T, g *gatewaytest.Gateway, from string) net.Conn {
	t.Helper()
	c, err := dialFrom(g, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// silent sends bytes and expects the end of the connection without a word.
func silent(t *testing.T, g *gatewaytest.Gateway, from, send string) {
	t.Helper()
	c, err := dialFrom(g, from)
	if err != nil {
		return // reset at once
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, send)
	if b, _ := io.ReadAll(c); len(b) > 0 {
		t.Errorf("from %s, %.40q: answered %.60q", from, send, b)
	}
}

// Who may not send a header is not served, with one or without; who must, and does not, is not either.
func TestProxyHeaderFromStrangersOrMissing(t *testing.T) {
	t.Parallel()
	g, origin := balanced(t, nil)
	get := "GET / HTTP/1.1\r\nHost: " + hessenHost + "\r\nConnection: close\r\n\r\n"
	for _, from := range []string{gatewaytest.Direct, gatewaytest.Known} {
		silent(t, g, from, get)
		silent(t, g, from, v1(gatewaytest.Known)+get)
	}
	if n := closed(t, g, "proxy_untrusted"); n != 4 {
		t.Errorf("%v strangers counted, want 4", n)
	}
	for _, send := range []string{get, "\x16\x03\x01\x02\x00\x01", "PROXY TCP4 203.0.113.9\r\n" + get, strings.Replace(v2("203.0.113.9"), "\x21\x11", "\x31\x11", 1) + get, strings.Repeat("PROXY ", 100)} {
		silent(t, g, proxy, send)
	}
	if n := closed(t, g, "proxy_invalid"); n != 5 {
		t.Errorf("%v wrong headers counted, want 5", n)
	}
	c := dial(t, g, proxy)
	c.Close() // a balancer that looks whether we are there
	if n := len(origin.Requests()); n != 0 {
		t.Errorf("%d requests have arrived", n)
	}
	g.Raw(t, proxy, v1("203.0.113.9")+get)
	if n := closed(t, g, "proxy_invalid"); n != 5 || len(origin.Requests()) != 1 {
		t.Errorf("%v wrong headers counted, %d requests", n, len(origin.Requests()))
	}
}

// A header has the time of a head.
func TestProxyHeaderThatIsLate(t *testing.T) {
	t.Parallel()
	g, origin := balanced(t, func(o *gatewaytest.Options) {
		o.Limits = func(o *gateway.Options) {
			o.Timeouts = conn.DefaultTimeouts()
			o.Timeouts.Head = 300 * time.Millisecond
		}
	})
	for _, send := range []string{"", "PROXY TCP4", v2("203.0.113.9")[:15]} {
		silent(t, g, proxy, send)
	}
	if n := closed(t, g, "proxy_late"); n != 3 || len(origin.Requests()) != 0 {
		t.Errorf("%v late headers counted, want 3; %d requests have arrived", n, len(origin.Requests()))
	}
}

// The bound on the connections of one network holds for those behind the balancer, not for the balancer.
func TestProxiedConnectionsCountForTheirNetwork(t *testing.T) {
	t.Parallel()
	g, _ := balanced(t, func(o *gatewaytest.Options) {
		proxied := o.Snapshot
		o.Snapshot = func(s *gateway.Snapshot) { proxied(s); s.Networks.Most = 2 }
	})
	get := "GET /_pv/health HTTP/1.1\r\nHost: " + hessenHost + "\r\n\r\n"
	var open []net.Conn
	for i := range 5 {
		c := dial(t, g, proxy)
		if _, err := io.WriteString(c, v1("203.0.113."+fmt.Sprint(i))+get); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if served := err == nil && resp.StatusCode == 200; served != (i < 2) {
			t.Errorf("connection %d: served %v", i, served)
		}
		open = append(open, c)
	}
	if n := closed(t, g, "network_limit"); n != 3 {
		t.Errorf("%v refused, want 3", n)
	}
	open[0].Close()
	deadline := time.Now().Add(20 * time.Second)
	for {
		c := dial(t, g, proxy)
		_, _ = io.WriteString(c, v1("203.0.113.9")+get)
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && resp.StatusCode == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a place that was given back is not to be had")
		}
	}
}

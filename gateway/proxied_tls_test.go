// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

// front is a connection whose first bytes are a header, and which sends at most size bytes at a time.
type front struct {
	net.Conn
	header string
	size   int
}

func (f *front) Write(b []byte) (int, error) {
	all := append([]byte(f.header), b...)
	f.header = ""
	for len(all) > 0 {
		n := min(f.size, len(all))
		if _, err := f.Conn.Write(all[:n]); err != nil {
			return 0, err
		}
		all = all[n:]
	}
	return len(b), nil
}

// balancedTLS is a gateway with TLS behind a balancer that passes it on as it is.
func balancedTLS(t *testing.T) (*gatewaytest.Gateway, *gatewaytest.Origin, *gatewaytest.Authority) {
	t.Helper()
	ca := gatewaytest.NewAuthority(t)
	g, origin := balanced(t, func(o *gatewaytest.Options) { o.Protocol = &gatewaytest.Protocol{Name: "TLS", Authority: ca} })
	return g, origin, ca
}

// The PROXY header stands before the handshake, in plaintext; whether the first octets of the handshake come with it or
// later, the client is the one it tells, on every request, and its own words about itself do not count.
func TestProxyHeaderBeforeTLS(t *testing.T) {
	t.Parallel()
	g, origin, ca := balancedTLS(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, tt := range []struct{ header, client, sender string }{
			{v1("203.0.113.9"), "203.0.113.9", "direct"},
			{v2("203.0.113.9"), "203.0.113.9", "direct"},
			{v2("2001:db8::7"), "2001:db8::7", "direct"},
			{v1(gatewaytest.Known), gatewaytest.Known, "hessen"},
			{v2(gatewaytest.Known), gatewaytest.Known, "hessen"},
			{local, proxy, "direct"},
		} {
			for _, size := range []int{1 << 20, len(tt.header) + 1, len(tt.header), 7} {
				what := fmt.Sprintf("%s, %q, %d bytes at a time", tls.VersionName(version), tt.header, size)
				raw := dial(t, g, proxy)
				c := tls.Client(&front{raw, tt.header, size}, &tls.Config{RootCAs: ca.Pool, ServerName: hessenHost, MinVersion: version, MaxVersion: version})
				in := bufio.NewReader(c)
				for range 2 {
					if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+hessenHost+"\r\nPV-Sender: bund\r\n\r\n"); err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					resp, err := http.ReadResponse(in, nil)
					if err != nil || resp.StatusCode != 200 {
						t.Fatalf("%s: %v %v", what, resp, err)
					}
					if _, err := io.Copy(io.Discard, resp.Body); err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					s := origin.Last(t)
					if got := s.Get("X-Forwarded-For"); got != tt.client || s.Get("X-Forwarded-Proto") != "https" || s.Get("PV-Sender") != tt.sender {
						t.Errorf("%s: X-Forwarded-For %q, proto %q, PV-Sender %q; want %q, https, %q", what, got, s.Get("X-Forwarded-Proto"), s.Get("PV-Sender"), tt.client, tt.sender)
					}
				}
				raw.Close()
			}
		}
	}
}

// A header inside the handshake is none, nothing is served without one, and what follows it must be TLS.
func TestProxyHeaderBeforeTLSIsNeeded(t *testing.T) {
	t.Parallel()
	g, origin, ca := balancedTLS(t)
	config := &tls.Config{RootCAs: ca.Pool, ServerName: hessenHost, MinVersion: tls.VersionTLS12}
	get := "GET / HTTP/1.1\r\nHost: " + hessenHost + "\r\n\r\n"
	if err := tls.Client(dial(t, g, proxy), config).Handshake(); err == nil {
		t.Error("a handshake without a header was done")
	}
	silent(t, g, proxy, v1("203.0.113.9")+get)
	silent(t, g, gatewaytest.Known, v1(gatewaytest.Known)+get)
	for cause, want := range map[string]float64{"proxy_invalid": 1, "not_tls": 1, "proxy_untrusted": 1} {
		if n := closed(t, g, cause); n != want {
			t.Errorf("%s: %v counted, want %v", cause, n, want)
		}
	}
	c := tls.Client(&front{dial(t, g, proxy), v1("203.0.113.9"), 1 << 20}, config)
	if _, err := io.WriteString(c, v1(gatewaytest.Known)+get); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 400 {
		t.Errorf("a header inside: %v %v, want 400: it is no request", resp, err)
	}
	if n := len(origin.Requests()); n != 0 {
		t.Errorf("%d requests have arrived", n)
	}
}

// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// H2-15: a connection carries requests for hosts of its own certificate only.
func TestH215AHostOfAnotherCertificateIsMisdirected(t *testing.T) {
	t.Parallel()
	ca := gatewaytest.NewAuthority(t)
	addr, _, _ := secured(t, ca, func(o *tlsconn.Options) { o.TLS.NextProtos = []string{"h2", "http/1.1"} })
	for _, q := range []struct {
		name, host string
		status     int
	}{
		{"a.example", "a.example", 200},
		{"a.example", "A.EXAMPLE:8443", 200},
		{"a.example", "other.example", 200},
		{"a.example", "b.example", 421},
		{"b.example", "b.example", 200},
		{"b.example", "a.example", 421},
	} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool, ServerName: q.name}, ForceAttemptHTTP2: true}
		defer tr.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = q.host
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != q.status || (q.status == 421) != (resp.Header.Get("PV-Reason") == "misdirected") {
			t.Errorf("%q asked for %q by %s: got %d %s, want %d", q.name, q.host, resp.Proto, resp.StatusCode, resp.Header.Get("PV-Reason"), q.status)
		}
	}
}

// Who agrees to no protocol of the listener's ends in the handshake (RFC 7301, section 3.2).
func TestH2WithoutACommonProtocolThereIsNoHandshake(t *testing.T) {
	t.Parallel()
	ca := gatewaytest.NewAuthority(t)
	addr, _, _ := secured(t, ca, func(o *tlsconn.Options) { o.TLS.NextProtos = []string{"h2", "http/1.1"} })
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: ca.Pool, ServerName: "a.example", NextProtos: []string{"spdy/3"}})
	if err == nil {
		c.Close()
		t.Error("there was one")
	}
}

// SPDX-License-Identifier: EUPL-1.2

package gatewaytest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/pvgate/pvgate/gateway/conn"
)

// HTTP3 is the protocol without a stock client's manners: for what speaks on streams of its own.
func HTTP3(t testing.TB) *Protocol {
	return &Protocol{Name: "h3", Authority: NewAuthority(t), HTTP: conn.HTTP3, version: tls.VersionTLS13}
}

// TCP is HTTP/1.1 with the same gateway, which serves both.
func (p *Protocol) TCP() *Protocol {
	return &Protocol{Name: "h1 TLS 1.3", HTTP: conn.HTTP1, Authority: p.Authority, version: tls.VersionTLS13}
}

// DialQUIC connects for HTTP/3. What takes longer than 20 s fails.
func (p *Protocol) DialQUIC(t testing.TB, from, to, name string) *quic.Conn {
	t.Helper()
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from)})
	if err != nil {
		t.Fatal(err)
	}
	transport := &quic.Transport{Conn: udp}
	t.Cleanup(func() {
		_ = transport.Close()
		_ = udp.Close()
	})
	c, err := p.QUIC(t, transport, to, name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// QUIC connects from a transport.
func (p *Protocol) QUIC(t testing.TB, from *quic.Transport, to, name string) (*quic.Conn, error) {
	t.Helper()
	addr, err := net.ResolveUDPAddr("udp4", to)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	secure := p.client(name)
	secure.NextProtos = []string{http3.NextProtoH3}
	c, err := from.Dial(ctx, addr, secure, &quic.Config{MaxIdleTimeout: 20 * time.Second, HandshakeIdleTimeout: 20 * time.Second})
	if err == nil {
		t.Cleanup(func() { _ = c.CloseWithError(0x100, "") })
	}
	return c, err
}

// Resuming is what a client of HTTP/3 dials with that keeps sessions.
func (p *Protocol) Resuming(name string) *tls.Config {
	c := p.client(name)
	c.NextProtos, c.ClientSessionCache = []string{http3.NextProtoH3}, tls.NewLRUClientSessionCache(4)
	return c
}

func (p *Protocol) http3(t testing.TB, name string) http.RoundTripper {
	secure := p.client(name)
	secure.NextProtos = []string{http3.NextProtoH3}
	tr := &http3.Transport{TLSClientConfig: secure, DisableCompression: true}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

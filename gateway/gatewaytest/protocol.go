// SPDX-License-Identifier: EUPL-1.2

package gatewaytest

import (
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/conn"
)

// Protocol is one way to speak to a gateway.
type Protocol struct {
	Name string
	// Authority signed the gateway's certificate; nil without TLS.
	Authority *Authority

	// HTTP is the version that Client speaks, and the only one that Listener does, but for HTTP/1.1 beside HTTP/3; 0 is
	// HTTP/1.1.
	HTTP conn.Protocols
	// WebSocket has Listener offer it, where that takes a word.
	WebSocket bool

	version uint16 // of TLS
}

// Each runs one test body over every protocol.
func Each(t *testing.T, body func(t *testing.T, p *Protocol)) {
	t.Helper()
	each(t, protocols(), body)
}

// EachHTTP1 runs one test body over HTTP/1.1 only, for a reason: what it holds is that protocol's alone, or is held
// elsewhere for the others.
func EachHTTP1(t *testing.T, reason string, body func(t *testing.T, p *Protocol)) {
	t.Helper()
	t.Log("over HTTP/1.1 only:", reason)
	each(t, slices.DeleteFunc(protocols(), func(p *Protocol) bool { return p.HTTP != conn.HTTP1 }), body)
}

func protocols() []*Protocol {
	return []*Protocol{
		{Name: "h1", HTTP: conn.HTTP1},
		{Name: "h1 TLS 1.2", HTTP: conn.HTTP1, version: tls.VersionTLS12},
		{Name: "h1 TLS 1.3", HTTP: conn.HTTP1, version: tls.VersionTLS13},
		{Name: "h2", HTTP: conn.HTTP2, version: tls.VersionTLS13},
		{Name: "h2c", HTTP: conn.HTTP2},
		{Name: "h3", HTTP: conn.HTTP3, version: tls.VersionTLS13},
	}
}

func each(t *testing.T, all []*Protocol, body func(t *testing.T, p *Protocol)) {
	t.Helper()
	for _, p := range all {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			if p.version != 0 {
				p.Authority = NewAuthority(t)
			}
			body(t, p)
		})
	}
}

// Listener is an address that speaks the protocol, with a certificate for these names.
func (p *Protocol) Listener(t testing.TB, names ...string) gateway.Listener {
	t.Helper()
	l := gateway.Listener{Address: "127.0.0.1:0", Protocols: p.HTTP}
	if p.HTTP == conn.HTTP3 {
		l.Protocols |= conn.HTTP1
	}
	if p.WebSocket {
		l.Protocols |= conn.WebSocket
	}
	if p.Authority != nil {
		l.TLS = p.Authority.serve(t, p.alpn(), names...)
	}
	return l
}

// Scheme is that of URLs.
func (p *Protocol) Scheme() string {
	if p.Authority != nil {
		return "https"
	}
	return "http"
}

func (p *Protocol) alpn() string {
	if p.HTTP == conn.HTTP2 {
		return "h2"
	}
	return "http/1.1"
}

func (p *Protocol) client(name string) *tls.Config {
	return &tls.Config{RootCAs: p.Authority.Pool, ServerName: name, MinVersion: tls.VersionTLS12, MaxVersion: p.version, NextProtos: []string{p.alpn()}}
}

// Client returns an HTTP client that follows no redirects; name is that of the certificate.
func (p *Protocol) Client(t testing.TB, name string) *http.Client {
	t.Helper()
	if p.HTTP == conn.HTTP3 {
		return client(p.http3(t, name))
	}
	tr := &http.Transport{DisableCompression: true}
	if p.Authority != nil {
		tr.TLSClientConfig = p.client(name)
	}
	if p.HTTP == conn.HTTP2 {
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetHTTP2(p.Authority != nil)
		tr.Protocols.SetUnencryptedHTTP2(p.Authority == nil)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return client(tr)
}

func client(tr http.RoundTripper) *http.Client {
	return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Dial connects, with a handshake for a name of the certificate if there is one to make. What takes longer than 20 s
// fails.
func (p *Protocol) Dial(t testing.TB, from, to, name string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if p.Authority == nil {
		return c
	}
	secure := tls.Client(c, p.client(name))
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	return secure
}

// SPDX-License-Identifier: EUPL-1.2

package gatewaytest

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
)

// Protocol is one way to speak to a gateway.
type Protocol struct {
	Name string
	// Authority signed the gateway's certificate; nil without TLS.
	Authority *Authority

	version uint16
}

// Each runs one test body over every protocol.
func Each(t *testing.T, body func(t *testing.T, p *Protocol)) {
	t.Helper()
	for _, p := range []*Protocol{{Name: "h1"}, {Name: "h1 TLS 1.2", version: tls.VersionTLS12}, {Name: "h1 TLS 1.3", version: tls.VersionTLS13}} {
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
	l := gateway.Listener{Address: "127.0.0.1:0"}
	if p.Authority != nil {
		l.TLS = p.Authority.Serve(t, names...)
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

func (p *Protocol) client(name string) *tls.Config {
	return &tls.Config{RootCAs: p.Authority.Pool, ServerName: name, MinVersion: tls.VersionTLS12, MaxVersion: p.version}
}

// Client returns an HTTP client that follows no redirects; name is that of the certificate.
func (p *Protocol) Client(t testing.TB, name string) *http.Client {
	t.Helper()
	tr := &http.Transport{DisableCompression: true}
	if p.Authority != nil {
		tr.TLSClientConfig = p.client(name)
	}
	t.Cleanup(tr.CloseIdleConnections)
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

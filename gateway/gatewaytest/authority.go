// SPDX-License-Identifier: EUPL-1.2

package gatewaytest

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/certs/certstest"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// Authority is a certificate authority that lives as long as a test. What it issues is good whatever the clock says, a
// simulated one too.
type Authority struct {
	// Pool trusts it.
	Pool *x509.CertPool

	ca *certstest.Authority
}

// NewAuthority returns one that nobody else trusts.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	ca := certstest.NewAuthority(t, "pvgate test authority")
	return &Authority{Pool: ca.Pool(), ca: ca}
}

// Issue returns a certificate (ECDSA, P-256) for servers and clients. A name is a host, an address, a URI if it holds
// "://", or "cn:" and a common name.
func (a *Authority) Issue(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	leaf := certstest.Leaf{Both: true, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	for _, name := range names {
		if cn, ok := strings.CutPrefix(name, "cn:"); ok {
			leaf.Name = cn
		} else if strings.Contains(name, "://") {
			leaf.URIs = append(leaf.URIs, name)
		} else {
			leaf.Hosts = append(leaf.Hosts, name)
		}
	}
	return a.ca.Issue(t, leaf).TLS
}

// Serve returns what a gateway.Listener takes for TLS with a certificate for these names.
func (a *Authority) Serve(t testing.TB, names ...string) func() *tlsconn.Config {
	t.Helper()
	return a.serve(t, "http/1.1", names...)
}

func (a *Authority) serve(t testing.TB, protocol string, names ...string) func() *tlsconn.Config {
	t.Helper()
	c, err := tlsconn.New(tlsconn.Options{
		TLS:     &tls.Config{Certificates: []tls.Certificate{a.Issue(t, names...)}, MinVersion: tls.VersionTLS12, NextProtos: []string{protocol}},
		Tickets: tlsconn.NewTickets(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() *tlsconn.Config { return c }
}

// Client returns what gateway.Backend takes for TLS to servers that the authority has signed; name is that of their
// certificates. Certificates are shown to those who ask.
func (a *Authority) Client(t testing.TB, name string, certificates ...tls.Certificate) *atomic.Pointer[tlsconn.Client] {
	t.Helper()
	c, err := tlsconn.NewClient(tlsconn.ClientOptions{
		TLS: &tls.Config{RootCAs: a.Pool, ServerName: name, Certificates: certificates}, Sessions: tlsconn.NewSessions(16),
	})
	if err != nil {
		t.Fatal(err)
	}
	p := new(atomic.Pointer[tlsconn.Client])
	p.Store(c)
	return p
}

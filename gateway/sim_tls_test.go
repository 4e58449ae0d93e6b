// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/loop/simsys"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// simIdentity is the certificate of simulated worlds. Ed25519 signs always as long: with other keys the lengths of
// records would be another chance beside the seed.
var simIdentity = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"sim", "gw.example"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
})

// simTLS is a listener's side of simulated TLS.
func simTLS(t *testing.T) func() *tlsconn.Config {
	t.Helper()
	cert, _ := simIdentity()
	c, err := tlsconn.New(tlsconn.Options{
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}, Tickets: tlsconn.NewTickets(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() *tlsconn.Config { return c }
}

// simClientTLS is a client's side.
func simClientTLS(version uint16) *tls.Config {
	_, pool := simIdentity()
	return &tls.Config{
		RootCAs: pool, ServerName: "sim", MinVersion: tls.VersionTLS12, MaxVersion: version,
		CurvePreferences: []tls.CurveID{tls.X25519}, // of lengths that never vary, and cheap
	}
}

// simTrust is the gateway's side towards backends.
func simTrust(t *testing.T) *atomic.Pointer[tlsconn.Client] {
	t.Helper()
	_, pool := simIdentity()
	c, err := tlsconn.NewClient(tlsconn.ClientOptions{
		TLS:      &tls.Config{RootCAs: pool, ServerName: "sim", CurvePreferences: []tls.CurveID{tls.X25519}},
		Sessions: tlsconn.NewSessions(2),
	})
	if err != nil {
		t.Fatal(err)
	}
	p := new(atomic.Pointer[tlsconn.Client])
	p.Store(c)
	return p
}

// accepted is a backend's end of a connection.
func (w *world) accepted(e *simsys.End) farEnd {
	if w.behind == 0 {
		return e
	}
	cert, _ := simIdentity()
	return e.Serve(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, MaxVersion: w.behind}, w.rng.IntN(8) == 0)
}

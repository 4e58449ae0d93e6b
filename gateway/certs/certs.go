// SPDX-License-Identifier: EUPL-1.2

// Package certs turns files of certificates, keys and authorities into what the TLS handshakes of a listener, and with a
// backend, need.
//
// The calls to know: [Load] reads everything that one listener names and returns a [Set], immutable, which chooses by
// server name; [LoadTrust] reads what one backend's connections need; [NewIssuer] gets certificates by ACME. A fault in anything that says whom to trust is an error: a
// listener that was to ask for client certificates never runs without (CVE-2026-27586 was the opposite).
//
// It deliberately watches nothing, does no handshake and knows no configuration: whoever calls Load again when files
// have changed keeps the old Set when the new one has faults.
package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Files are the PEM files of one certificate.
type Files struct {
	Cert string // the certificate, and after it the chain up to below the root
	Key  string
	Name string // how metrics call it; "" is Cert
}

func (f *Files) name() string {
	if f.Name != "" {
		return f.Name
	}
	return f.Cert
}

// ClientAuth says whether clients show certificates.
type ClientAuth uint8

// A verified certificate is one that leads to an authority of Options.Authorities. With Request a client may come
// without one, but not with one that cannot be verified.
const (
	NoClientAuth ClientAuth = iota
	Request
	Require
)

// Options name what one listener needs.
type Options struct {
	// Certificates in the order of trust: of two for the same name the first that a client can use is taken, and the
	// first of all where no name fits.
	Certificates []Files
	// Hosts are those of the listener, also as *.example.de, for warnings; none: it answers any.
	Hosts   []string
	Profile Profile
	// Protocols are what is spoken over TLS, as ALPN names, in the order of preference; nil: http/1.1.
	Protocols []string
	// ClientAuth other than NoClientAuth needs Authorities, a PEM file of certificates.
	ClientAuth  ClientAuth
	Authorities string
	// Issuer gets certificates for Issued, names out of Hosts, by ACME; nil: nobody does.
	Issuer *Issuer
	Issued []string
	// Now is compared with the dates of certificates, for warnings.
	Now time.Time
}

// Fault is what is wrong in a file.
type Fault struct {
	File string // as in Options, "" when the fault is in no file
	Text string // what is wrong and what to do
}

// Faults is the error of [Load].
type Faults []Fault

// Error returns all faults, one a line.
func (f Faults) Error() string {
	var b strings.Builder
	for i, x := range f {
		if i > 0 {
			b.WriteByte('\n')
		}
		if x.File != "" {
			b.WriteString(x.File + ": ")
		}
		b.WriteString(x.Text)
	}
	return b.String()
}

// Expiry is when a certificate ends.
type Expiry struct {
	Name  string
	After time.Time
}

// Set is everything the handshakes of one listener need, of one state of the files. Immutable and safe for concurrent
// use.
type Set struct {
	certificates []*certificate
	exact        map[string][]*certificate // by lower-case name
	wildcards    map[string][]*certificate // "*.example.de" by "example.de"
	issuer       *Issuer
	issued       map[string]*issued
	profile      Profile
	protocols    []string
	auth         ClientAuth
	authorities  *x509.CertPool
	policy       string
}

// certificate is one of the files.
type certificate struct {
	name string
	tls  tls.Certificate
}

// Load reads all files. Warnings are about what works but should be looked at. The error is a [Faults] with everything
// that does not; then there is no Set.
func Load(o Options) (set *Set, warnings []Fault, err error) {
	l := loader{o: &o, set: &Set{
		exact: map[string][]*certificate{}, wildcards: map[string][]*certificate{},
		issuer: o.Issuer, issued: map[string]*issued{}, profile: o.Profile, protocols: o.Protocols, auth: o.ClientAuth,
	}}
	if len(o.Protocols) == 0 {
		l.set.protocols = []string{"http/1.1"}
	}
	for i := range o.Certificates {
		l.certificate(&o.Certificates[i])
	}
	for _, h := range o.Issued {
		l.set.issued[strings.ToLower(h)] = o.Issuer.host(h)
	}
	if len(o.Certificates)+len(o.Issued) == 0 {
		l.fail("", "there is no certificate; name one")
	}
	l.clientAuth()
	l.hosts()
	if len(l.faults) > 0 {
		return nil, l.warnings, l.faults
	}
	return l.set, l.warnings, nil
}

// TLS returns a new configuration for a server that speaks HTTP/1.1. Session tickets are the caller's affair, who binds
// them to [Set.Policy].
func (s *Set) TLS() *tls.Config {
	c := &tls.Config{GetCertificate: s.certificate, NextProtos: slices.Clip(s.protocols), ClientCAs: s.authorities}
	if len(s.issued) > 0 {
		c.NextProtos = append(c.NextProtos, protoACME)
	}
	switch s.auth {
	case Request:
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case Require:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	case NoClientAuth:
	}
	s.profile.apply(c)
	return c
}

// Policy says whom the listener trusts: the mode of client authentication and a digest of the authorities. A session
// that began under one policy must not go on under another (CVE-2025-23419).
func (s *Set) Policy() string { return s.policy }

// Expiries returns when each certificate ends, those of files first.
func (s *Set) Expiries() []Expiry {
	var out []Expiry
	for _, c := range s.certificates {
		out = append(out, Expiry{c.name, c.tls.Leaf.NotAfter})
	}
	for name, i := range s.issued {
		if c := i.certificate(); c != nil {
			out = append(out, Expiry{name, c.Leaf.NotAfter})
		}
	}
	return out
}

var errNoCertificate = errors.New("no certificate for this server name yet")

// certificate is what tls.Config.GetCertificate wants. It never waits.
func (s *Set) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s.issuer != nil && wantsChallenge(hello) {
		return s.issuer.challenge(hello)
	}
	files, own := s.find(strings.ToLower(hello.ServerName))
	if own != nil {
		if c := own.certificate(); c != nil {
			return c, nil
		}
		files = s.certificates // better a wrong name than nobody
	}
	for _, c := range files {
		if hello.SupportsCertificate(&c.tls) == nil {
			return &c.tls, nil
		}
	}
	if len(files) == 0 {
		return nil, errNoCertificate
	}
	return &files[0].tls, nil // the handshake says what the client lacks
}

// find returns the certificates for a lower-case name: those of files that name it, one by ACME, those of files with a
// wildcard for it, all of files.
func (s *Set) find(name string) (files []*certificate, own *issued) {
	if c := s.exact[name]; c != nil {
		return c, nil
	}
	if i := s.issued[name]; i != nil {
		return nil, i
	}
	if i := strings.IndexByte(name, '.'); i > 0 {
		if c := s.wildcards[name[i+1:]]; c != nil {
			return c, nil
		}
	}
	return s.certificates, nil
}

// maxHost is the longest host name there is (RFC 1035, section 2.3.4).
const maxHost = 255

// Same reports whether a connection that was opened for serverName ("" for no name) may carry requests for host: both
// get the same certificate, of several for one name the first. It allocates nothing for server names in lower case.
func (s *Set) Same(serverName string, host []byte) bool {
	var buf [maxHost]byte
	if len(host) > len(buf) {
		return false
	}
	for i, c := range host {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	files, own := s.find(strings.ToLower(serverName))
	asked, ownAsked := s.findBytes(buf[:len(host)])
	return own == ownAsked && (len(files) == 0) == (len(asked) == 0) && (len(files) == 0 || files[0] == asked[0])
}

// findBytes is find without a string: indexing a map by a converted slice does not allocate.
func (s *Set) findBytes(name []byte) (files []*certificate, own *issued) {
	if c := s.exact[string(name)]; c != nil {
		return c, nil
	}
	if i := s.issued[string(name)]; i != nil {
		return nil, i
	}
	for i, c := range name {
		if c != '.' || i == 0 {
			continue
		}
		if c := s.wildcards[string(name[i+1:])]; c != nil {
			return c, nil
		}
		break
	}
	return s.certificates, nil
}

// policyOf is the text that sessions are bound to.
func policyOf(auth ClientAuth, authorities []*x509.Certificate) string {
	if auth == NoClientAuth {
		return "none"
	}
	return fmt.Sprintf("%d %s", auth, digest(authorities))
}

// digest names certificates in their order.
func digest(all []*x509.Certificate) string {
	sum := sha256.New()
	for _, c := range all {
		own := sha256.Sum256(c.Raw)
		sum.Write(own[:])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

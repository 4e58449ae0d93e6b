// SPDX-License-Identifier: EUPL-1.2

package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/pvgate/pvgate/gateway/keyring"
)

// maxFile bounds a PEM file: a bundle of all public authorities is a tenth of it.
const maxFile = 4 << 20

// loader is the state of one Load.
type loader struct {
	o        *Options
	set      *Set
	faults   Faults
	warnings []Fault
}

func (l *loader) fail(file, format string, args ...any) {
	l.faults = append(l.faults, Fault{file, fmt.Sprintf(format, args...)})
}

func (l *loader) warn(file, format string, args ...any) {
	l.warnings = append(l.warnings, Fault{file, fmt.Sprintf(format, args...)})
}

// read returns a whole file.
func (l *loader) read(file string) ([]byte, bool) {
	data, err := keyring.File(file, maxFile)
	if err != nil {
		l.fail(file, "%v", err)
	}
	return data, err == nil
}

// blocks returns the PEM blocks of a file. pem.Decode passes over a block that it cannot read, so they are counted:
// what looks like one must be one.
func blocks(data []byte) ([]*pem.Block, error) {
	var found []*pem.Block
	begun := bytes.Count(data, []byte("-----BEGIN "))
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		found = append(found, b)
	}
	switch {
	case begun == 0:
		return nil, errors.New("holds no PEM block (-----BEGIN …); convert it: openssl x509 -inform DER, openssl pkcs12")
	case len(found) != begun:
		return nil, fmt.Errorf("holds %d PEM blocks of which only %d can be read; it is damaged or cut off", begun, len(found))
	}
	return found, nil
}

// chain reads a file of certificates and nothing else.
func chain(data []byte) ([]*x509.Certificate, error) {
	found, err := blocks(data)
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for i, b := range found {
		if b.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d is %s; only certificates belong here", i+1, b.Type)
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", i+1, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// certificate reads one pair and enters it under its names.
func (l *loader) certificate(f *Files) {
	pair, certificates, ok := l.pair(f)
	if !ok {
		return
	}
	c := &certificate{name: f.name(), tls: pair}
	l.set.certificates = append(l.set.certificates, c)
	for _, name := range pair.Leaf.DNSNames {
		name = strings.ToLower(name)
		if rest, ok := strings.CutPrefix(name, "*."); ok {
			l.set.wildcards[rest] = append(l.set.wildcards[rest], c)
		} else {
			l.set.exact[name] = append(l.set.exact[name], c)
		}
	}
	l.look(f, certificates)
}

// pair reads a certificate with its chain and its key.
func (l *loader) pair(f *Files) (pair tls.Certificate, certificates []*x509.Certificate, ok bool) {
	certPEM, okCert := l.read(f.Cert)
	keyPEM, okKey := l.read(f.Key)
	if okCert {
		var err error
		if certificates, err = chain(certPEM); err != nil {
			l.fail(f.Cert, "%v", err)
			okCert = false
		}
	}
	if okKey {
		if problem := keyProblem(keyPEM); problem != "" {
			l.fail(f.Key, "%s", problem)
			okKey = false
		}
	}
	if !okCert || !okKey {
		return pair, nil, false
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		l.fail(f.Key, "does not go with %s: %s", f.Cert, strings.TrimPrefix(err.Error(), "tls: "))
		return pair, nil, false
	}
	pair.Leaf = certificates[0]
	if keyring.Exposed(f.Key) {
		l.warn(f.Key, "everybody on this machine may read the key; chmod 600 or 640")
	}
	return pair, certificates, true
}

// keyProblem says what hinders the use of a key, before anything is compared.
func keyProblem(data []byte) string {
	found, err := blocks(data)
	if err != nil {
		return err.Error()
	}
	for _, b := range found {
		if b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != "" {
			return "is encrypted, and nobody is there to be asked for the password; store it open, readable only for pvgate: openssl pkey"
		}
		if b.Type == "PRIVATE KEY" || strings.HasSuffix(b.Type, " PRIVATE KEY") {
			return ""
		}
	}
	return fmt.Sprintf("holds no private key but %s; name the key's file", found[0].Type)
}

// look warns about what works, but not for everybody or not for long.
func (l *loader) look(f *Files, certificates []*x509.Certificate) {
	leaf := certificates[0]
	switch now := l.o.Now; {
	case now.After(leaf.NotAfter):
		l.warn(f.Cert, "the certificate ended on %s; clients refuse it", leaf.NotAfter.Format("2006-01-02 15:04"))
	case now.Before(leaf.NotBefore):
		l.warn(f.Cert, "the certificate begins on %s; clients refuse it until then", leaf.NotBefore.Format("2006-01-02 15:04"))
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		l.warn(f.Cert, "the certificate has no names (subjectAltName); clients refuse it")
	}
	for i := 1; i < len(certificates); i++ {
		if err := certificates[i-1].CheckSignatureFrom(certificates[i]); err != nil {
			l.warn(f.Cert, "certificate %d of the chain is not signed by certificate %d; write the server's first, then each one's issuer", i, i+1)
		}
	}
	if problem := l.o.Profile.judge(leaf); problem != "" {
		l.warn(f.Cert, "%s", problem)
	}
}

// hosts warns about hosts of the listener that no certificate names.
func (l *loader) hosts() {
	if len(l.faults) > 0 {
		return // what is missing is said already
	}
	for _, h := range l.o.Hosts {
		h = strings.ToLower(h)
		if _, ok := l.set.issued[h]; ok || l.names(h) {
			continue
		}
		file := ""
		if len(l.o.Certificates) > 0 {
			file = l.o.Certificates[0].Cert
		}
		l.warn(file, "no certificate of the listener names its host %s; clients refuse it there", h)
	}
}

// names reports whether a certificate of a file names a host of the listener; a wildcard host wants a wildcard.
func (l *loader) names(h string) bool {
	for _, c := range l.set.certificates {
		if rest, ok := strings.CutPrefix(h, "*."); ok {
			if len(l.set.wildcards[rest]) > 0 {
				return true
			}
		} else if c.tls.Leaf.VerifyHostname(strings.Trim(h, "[]")) == nil {
			return true
		}
	}
	return false
}

// clientAuth reads the authorities of clients.
func (l *loader) clientAuth() {
	var all []*x509.Certificate
	if l.o.ClientAuth != NoClientAuth {
		if l.set.authorities, all = l.authorities(l.o.Authorities); all == nil {
			return
		}
	}
	l.set.policy = policyOf(l.o.ClientAuth, all)
}

// authorities reads those of a file, nil on a fault. Everything that is not as it should be is one: with an authority
// fewer, somebody is kept out or, without any, everybody might be let in.
func (l *loader) authorities(file string) (*x509.CertPool, []*x509.Certificate) {
	data, ok := l.read(file)
	if !ok {
		return nil, nil
	}
	all, err := chain(data)
	if err != nil {
		l.fail(file, "%v", err)
		return nil, nil
	}
	pool := x509.NewCertPool()
	for i, c := range all {
		if !c.BasicConstraintsValid || !c.IsCA {
			l.fail(file, "certificate %d (%s) is no authority's (CA:TRUE is missing); name the authority that signs the certificates", i+1, c.Subject)
		}
		if l.o.Now.After(c.NotAfter) {
			l.warn(file, "certificate %d (%s) ended on %s; whom it signed is refused", i+1, c.Subject, c.NotAfter.Format("2006-01-02 15:04"))
		}
		pool.AddCert(c)
	}
	return pool, all
}

// judge says what a profile has against a certificate, "" for nothing.
func (p Profile) judge(leaf *x509.Certificate) string {
	var bits, want int
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		bits, want = key.N.BitLen(), p.rsaBits()
	case *ecdsa.PublicKey:
		bits, want = key.Curve.Params().BitSize, 256
	default:
		return "the certificate's key is neither RSA nor ECDSA; browsers refuse it"
	}
	if bits < want {
		return fmt.Sprintf("the certificate's key has %d bits; profile %s wants %d", bits, p, want)
	}
	return ""
}

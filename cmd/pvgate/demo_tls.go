// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// The files of the demo's TLS, in the folder of its configuration.
const (
	demoCA          = "ca.pem"
	demoCertificate = "tls.pem"
	demoKey         = "tls.key"
)

// demoLife is how long the demo's certificates are good.
const demoLife = 30 * 24 * time.Hour

// writeDemoTLS writes a certificate for a domain and all hosts below it, its key, and the certificate of the CA that
// signed it. The CA's key is thrown away: whoever trusts the CA trusts this one certificate.
func writeDemoTLS(dir, domain string, now time.Time) error {
	authority := &x509.Certificate{
		Subject: pkix.Name{CommonName: "pvgate demo (trust it nowhere else)"}, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign, PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{domain},
	}
	ca, caKey, err := newDemoCertificate(authority, nil, nil, now)
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain, "*." + domain}, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, key, err := newDemoCertificate(server, authority, caKey, now)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("the demo's key: %w", err)
	}
	return errors.Join(
		writePEM(filepath.Join(dir, demoCA), "CERTIFICATE", ca),
		writePEM(filepath.Join(dir, demoCertificate), "CERTIFICATE", cert),
		writePEM(filepath.Join(dir, demoKey), "PRIVATE KEY", der),
	)
}

// newDemoCertificate makes a key and a certificate for it, signed by a parent, or by itself where that is nil.
func newDemoCertificate(t, parent *x509.Certificate, signer crypto.Signer, now time.Time) ([]byte, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("the demo's key: %w", err)
	}
	if parent == nil {
		parent, signer = t, key
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, nil, err
	}
	t.NotBefore, t.NotAfter = now.Add(-time.Hour), now.Add(demoLife)
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, nil, fmt.Errorf("the demo's certificate: %w", err)
	}
	return der, key, nil
}

func writePEM(name, kind string, der []byte) error {
	return os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

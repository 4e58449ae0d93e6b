// SPDX-License-Identifier: EUPL-1.2

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"time"
)

// TrustOptions name what connections to one backend need.
type TrustOptions struct {
	// Name is that of the backend's certificate, a host or an address.
	Name string
	// Authorities is a PEM file of those that may have signed it; "" for the system's.
	Authorities string
	// Certificate is shown to a backend that asks for one; nil: none is.
	Certificate *Files
	// Now is compared with the dates of certificates, for warnings.
	Now time.Time
}

// Trust is what connections to one backend need, of one state of the files. Immutable.
type Trust struct {
	TLS *tls.Config
	// Policy names whom TLS trusts and what it shows: a session that began under one policy must not go on under another.
	Policy string
	// Expiry is that of the certificate which is shown; nil without one.
	Expiry *Expiry
}

// LoadTrust reads the files, as [Load].
func LoadTrust(o TrustOptions) (trust *Trust, warnings []Fault, err error) {
	l := loader{o: &Options{Now: o.Now}}
	t := &Trust{TLS: &tls.Config{ServerName: o.Name}, Policy: o.Name + " system"}
	if o.Authorities != "" {
		var all []*x509.Certificate
		t.TLS.RootCAs, all = l.authorities(o.Authorities)
		t.Policy = o.Name + " " + digest(all)
	}
	if o.Certificate != nil {
		pair, certificates, ok := l.pair(o.Certificate)
		if ok {
			l.shown(o.Certificate, certificates[0])
			t.TLS.Certificates = []tls.Certificate{pair}
			t.Expiry = &Expiry{o.Certificate.name(), certificates[0].NotAfter}
			t.Policy += " " + digest(certificates)
		}
	}
	if len(l.faults) > 0 {
		return nil, l.warnings, l.faults
	}
	return t, l.warnings, nil
}

// shown warns of a certificate that backends refuse.
func (l *loader) shown(f *Files, c *x509.Certificate) {
	switch now := l.o.Now; {
	case now.After(c.NotAfter):
		l.warn(f.Cert, "the certificate ended on %s; backends refuse it", c.NotAfter.Format("2006-01-02 15:04"))
	case now.Before(c.NotBefore):
		l.warn(f.Cert, "the certificate begins on %s; backends refuse it until then", c.NotBefore.Format("2006-01-02 15:04"))
	}
	for _, use := range c.ExtKeyUsage {
		if use == x509.ExtKeyUsageClientAuth || use == x509.ExtKeyUsageAny {
			return
		}
	}
	if len(c.ExtKeyUsage) > 0 {
		l.warn(f.Cert, "the certificate is not for clients (extendedKeyUsage clientAuth is missing); backends refuse it")
	}
}

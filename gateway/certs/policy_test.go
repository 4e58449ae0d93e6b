// SPDX-License-Identifier: EUPL-1.2

package certs_test

import (
	"crypto/tls"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/certs"
	"github.com/pvgate/pvgate/gateway/certs/certstest"
)

// Whatever is wrong with what says whom to trust, there is no set: the listener does not run without asking for
// certificates, nor with fewer authorities than were written.
func TestCP05FaultyTrustIsNoTrust(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	server := f.pair("gw", certstest.Leaf{Hosts: []string{"gw.example.de"}})
	leaf := f.ca.Issue(t, certstest.Leaf{Hosts: []string{"client.example"}, Client: true})
	broken := slices.Concat([]byte("-----BEGIN CERTIFICATE-----\n"), []byte("%%%%\n"), []byte("-----END CERTIFICATE-----\n"))
	for name, c := range map[string]struct{ file, want string }{
		"not named":         {"", "cannot be read"},
		"missing":           {filepath.Join(f.dir, "none.pem"), "no such file"},
		"unreadable":        {f.dir, "is no regular file"},
		"empty":             {f.file("empty.pem"), "holds no PEM block"},
		"text":              {f.file("text.pem", []byte("our CA\n")), "holds no PEM block"},
		"a key":             {f.file("key.pem", leaf.KeyPEM), "block 1 is PRIVATE KEY"},
		"a key beside":      {f.file("beside.pem", f.ca.PEM, leaf.KeyPEM), "block 2 is PRIVATE KEY"},
		"no authority":      {f.file("leaf.pem", leaf.CertPEM), "is no authority's"},
		"one of two":        {f.file("two.pem", f.ca.PEM, leaf.CertPEM), "certificate 2 ("},
		"damaged first":     {f.file("first.pem", broken, f.ca.PEM), "holds 2 PEM blocks of which only 1"},
		"damaged last":      {f.file("last.pem", f.ca.PEM, broken), "holds 2 PEM blocks of which only 1"},
		"cut off":           {f.file("cut.pem", f.ca.PEM, f.ca.PEM[:300]), "holds 2 PEM blocks of which only 1"},
		"no DER":            {f.file("der.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), "certificate 1 cannot be read"},
		"binary, converted": {f.file("ca.der", f.ca.Cert.Raw), "holds no PEM block"},
	} {
		for _, mode := range []certs.ClientAuth{certs.Request, certs.Require} {
			set, _, err := certs.Load(certs.Options{Certificates: []certs.Files{server}, ClientAuth: mode, Authorities: c.file, Now: time.Now()})
			var faults certs.Faults
			if set != nil || !errors.As(err, &faults) {
				t.Errorf("%s: set %v, error %v; want faults and no set", name, set, err)
				continue
			}
			if faults[0].File != c.file || !strings.Contains(faults[0].Text, c.want) {
				t.Errorf("%s: %v; want %s: %s", name, err, c.file, c.want)
			}
		}
	}
}

func TestClientsAreAskedForCertificates(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	server := f.pair("gw", certstest.Leaf{Hosts: []string{"gw.example.de"}})
	portals, strangers := certstest.NewAuthority(t, "Portals"), certstest.NewAuthority(t, "Strangers")
	authorities := f.file("portals.pem", []byte("# the Länder's\n"), portals.PEM)
	known := portals.Issue(t, certstest.Leaf{Hosts: []string{"portal.hessen.example"}, Client: true})
	unknown := strangers.Issue(t, certstest.Leaf{Hosts: []string{"portal.hessen.example"}, Client: true})
	old := portals.Issue(t, certstest.Leaf{Hosts: []string{"portal.hessen.example"}, Client: true, NotAfter: time.Now().Add(-time.Minute)})
	for name, c := range map[string]struct {
		mode     certs.ClientAuth
		shown    *certstest.Pair
		ok       bool
		verified bool
	}{
		"not asked":           {certs.NoClientAuth, known, true, false},
		"request, none":       {certs.Request, nil, true, false},
		"request, known":      {certs.Request, known, true, true},
		"request, unknown":    {certs.Request, unknown, false, false},
		"request, ended":      {certs.Request, old, false, false},
		"require, none":       {certs.Require, nil, false, false},
		"require, known":      {certs.Require, known, true, true},
		"require, unknown":    {certs.Require, unknown, false, false},
		"require, a server's": {certs.Require, portals.Issue(t, certstest.Leaf{Hosts: []string{"x.example"}}), false, false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			o := certs.Options{Certificates: []certs.Files{server}, ClientAuth: c.mode}
			if c.mode != certs.NoClientAuth {
				o.Authorities = authorities
			}
			config, verified := load(t, o).TLS(), false
			config.VerifyConnection = func(cs tls.ConnectionState) error {
				verified = len(cs.VerifiedChains) > 0
				return nil
			}
			client := &tls.Config{ServerName: "gw.example.de", RootCAs: f.ca.Pool(), MaxVersion: version, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if c.shown == nil {
					return new(tls.Certificate), nil
				}
				return &c.shown.TLS, nil // whatever the server names
			}}
			_, err, theirs := shake(t, config, client)
			if ok := err == nil && theirs == nil; ok != c.ok || verified != c.verified {
				t.Errorf("%s, %s: client %v, server %v, verified %v; want ok %v, verified %v", name, tls.VersionName(version), err, theirs, verified, c.ok, c.verified)
			}
		}
	}
}

// Sessions are bound to the policy: every change of whom is trusted is another.
func TestPoliciesDiffer(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	server := []certs.Files{f.pair("gw", certstest.Leaf{Hosts: []string{"gw.example.de"}})}
	a, b := certstest.NewAuthority(t, "A"), certstest.NewAuthority(t, "B")
	fileA, fileB, fileAB := f.file("a.pem", a.PEM), f.file("b.pem", b.PEM), f.file("ab.pem", a.PEM, b.PEM)
	seen := map[string]string{}
	for name, o := range map[string]certs.Options{
		"none": {}, "request a": {ClientAuth: certs.Request, Authorities: fileA}, "require a": {ClientAuth: certs.Require, Authorities: fileA},
		"require b": {ClientAuth: certs.Require, Authorities: fileB}, "require ab": {ClientAuth: certs.Require, Authorities: fileAB},
	} {
		o.Certificates = server
		policy := load(t, o).Policy()
		if other, twice := seen[policy]; twice {
			t.Errorf("%s and %s are one policy", name, other)
		}
		if policy != load(t, o).Policy() {
			t.Errorf("%s: the same files make two policies", name)
		}
		seen[policy] = name
	}
}

// The profiles in handshakes: what a client that can only do one thing gets.
func TestProfiles(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	files := []certs.Files{f.pair("gw", certstest.Leaf{Hosts: []string{"gw.example.de"}}), f.pair("rsa", certstest.Leaf{Hosts: []string{"gw.example.de"}, RSABits: 3072})}
	for name, c := range map[string]struct {
		client       *tls.Config
		byDefault    bool
		bsi          bool
		wantGroup    tls.CurveID // 0 = any
		wantsVersion uint16
	}{
		"TLS 1.1":            {client: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}},
		"TLS 1.2 AES-GCM":    {client: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}}, byDefault: true, bsi: true},
		"TLS 1.2 ChaCha":     {client: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}}, byDefault: true},
		"TLS 1.2 CBC":        {client: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, byDefault: true},
		"TLS 1.2 RSA":        {client: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}},
		"X25519":             {client: &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}, byDefault: true},
		"P-256":              {client: &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP256}}, byDefault: true, bsi: true, wantGroup: tls.CurveP256},
		"P-384":              {client: &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}}, byDefault: true, bsi: true, wantGroup: tls.CurveP384},
		"P-521":              {client: &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP521}}, byDefault: true},
		"X25519MLKEM768":     {client: &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}}, byDefault: true, bsi: true},
		"SecP256r1MLKEM768":  {client: &tls.Config{CurvePreferences: []tls.CurveID{tls.SecP256r1MLKEM768}}, byDefault: true, bsi: true},
		"SecP384r1MLKEM1024": {client: &tls.Config{CurvePreferences: []tls.CurveID{tls.SecP384r1MLKEM1024}}, byDefault: true, bsi: true},
		"browser":            {client: &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256}}, byDefault: true, bsi: true, wantGroup: tls.X25519MLKEM768, wantsVersion: tls.VersionTLS13},
	} {
		for profile, want := range map[certs.Profile]bool{certs.Default: c.byDefault, certs.BSI: c.bsi} {
			client := c.client.Clone()
			client.ServerName, client.RootCAs = "gw.example.de", f.ca.Pool()
			cs, err, _ := shake(t, load(t, certs.Options{Certificates: files, Profile: profile}).TLS(), client)
			if (err == nil) != want {
				t.Errorf("%s, profile %s: %v; want an agreement: %v", name, profile, err, want)
			}
			if err == nil && c.wantGroup != 0 && cs.CurveID != c.wantGroup {
				t.Errorf("%s, profile %s: group %v, want %v", name, profile, cs.CurveID, c.wantGroup)
			}
			if err == nil && c.wantsVersion != 0 && cs.Version != c.wantsVersion {
				t.Errorf("%s, profile %s: %s, want %s", name, profile, tls.VersionName(cs.Version), tls.VersionName(c.wantsVersion))
			}
		}
	}
}

// SPDX-License-Identifier: EUPL-1.2

package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/certs"
	"github.com/pvgate/pvgate/gateway/certs/certstest"
)

// folder is where a test's files are.
type folder struct {
	t   *testing.T
	dir string
	ca  *certstest.Authority
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	return &folder{t, t.TempDir(), certstest.NewAuthority(t, "Test CA")}
}

// pair makes a certificate and writes it.
func (f *folder) pair(base string, l certstest.Leaf) certs.Files {
	f.t.Helper()
	cert, key := f.ca.Issue(f.t, l).Write(f.t, f.dir, base)
	return certs.Files{Cert: cert, Key: key, Name: base}
}

// file writes any other file.
func (f *folder) file(name string, data ...[]byte) string {
	f.t.Helper()
	name = filepath.Join(f.dir, name)
	if err := os.WriteFile(name, slices.Concat(data...), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return name
}

func load(t *testing.T, o certs.Options) *certs.Set {
	t.Helper()
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	set, warnings, err := certs.Load(o)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("error %v, warnings %v; want neither", err, warnings)
	}
	return set
}

// shake does a handshake and returns what the client saw. The errors are the client's and the server's.
func shake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error, error) {
	t.Helper()
	a, b := connected(t)
	s, c := tls.Server(a, server), tls.Client(b, client)
	ended := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x")) // under TLS 1.3 a client hears only now that it was refused
		}
		_ = a.CloseWrite()
		ended <- err
	}()
	err := c.Handshake()
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	_ = b.CloseWrite()
	return c.ConnectionState(), err, <-ended
}

// connected returns the ends of a TCP connection: one whose two sides may write at once, as a refusing server and its client do.
// Both are closed when the test ends, so that an alert is read before its connection is reset.
func connected(t *testing.T) (accepted, dialed *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if dialed, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	if accepted, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*net.TCPConn{accepted, dialed} {
		t.Cleanup(func() { _ = c.Close() })
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	return accepted, dialed
}

func TestCertificatesAreChosenByName(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	set := load(t, certs.Options{Certificates: []certs.Files{
		f.pair("first", certstest.Leaf{Hosts: []string{"gw.example.de"}}),
		f.pair("wild", certstest.Leaf{Hosts: []string{"*.gw.example.de"}}),
		f.pair("own", certstest.Leaf{Hosts: []string{"Marburg.gw.example.de", "marburg.example"}}),
	}})
	served := map[string]string{}
	for asked, want := range map[string]string{
		"gw.example.de": "gw.example.de", "GW.Example.DE": "gw.example.de", "hessen.gw.example.de": "*.gw.example.de",
		"marburg.gw.example.de": "Marburg.gw.example.de", "MARBURG.EXAMPLE": "Marburg.gw.example.de",
		// A wildcard stands for one label; what nobody names and no name at all get the first.
		"a.b.gw.example.de": "gw.example.de", "elsewhere.example": "gw.example.de", "": "gw.example.de",
	} {
		cs, err, _ := shake(t, set.TLS(), &tls.Config{ServerName: asked, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatalf("%q: %v", asked, err)
		}
		got := cs.PeerCertificates[0].DNSNames[0]
		if got != want {
			t.Errorf("%q gets the certificate of %s, want that of %s", asked, got, want)
		}
		served[asked] = got
		if cs.NegotiatedProtocol != "" {
			t.Errorf("%q: protocol %q without being asked", asked, cs.NegotiatedProtocol)
		}
	}
	for asked, got := range served {
		for other, theirs := range served {
			if other == "" {
				continue
			}
			if same := set.Same(asked, []byte(other)); same != (got == theirs) {
				t.Errorf("Same(%q, %q) is %v, but they get %s and %s", asked, other, same, got, theirs)
			}
		}
	}
}

// Of two certificates for one name a client gets the one it can use.
func TestRSAIsForThoseWhoKnowNothingElse(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	set := load(t, certs.Options{Certificates: []certs.Files{
		f.pair("ec", certstest.Leaf{Hosts: []string{"gw.example.de"}}),
		f.pair("rsa", certstest.Leaf{Hosts: []string{"gw.example.de"}, RSABits: 2048}),
	}})
	for suite, want := range map[uint16]x509.PublicKeyAlgorithm{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: x509.ECDSA, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: x509.RSA,
	} {
		cs, err, _ := shake(t, set.TLS(), &tls.Config{
			ServerName: "gw.example.de", RootCAs: f.ca.Pool(), MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := cs.PeerCertificates[0].PublicKeyAlgorithm; got != want {
			t.Errorf("%s gets a certificate with %v, want %v", tls.CipherSuiteName(suite), got, want)
		}
	}
}

func TestSameDoesNotAllocate(t *testing.T) {
	f := newFolder(t)
	set := load(t, certs.Options{Certificates: []certs.Files{
		f.pair("first", certstest.Leaf{Hosts: []string{"gw.example.de"}}), f.pair("wild", certstest.Leaf{Hosts: []string{"*.gw.example.de"}}),
	}})
	host := []byte("Marburg.gw.example.de")
	if n := testing.AllocsPerRun(100, func() { set.Same("hessen.gw.example.de", host) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestExpiriesNameTheCertificates(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	end := time.Now().Add(100 * time.Hour).Truncate(time.Second).UTC()
	named := f.pair("gw", certstest.Leaf{Hosts: []string{"gw.example.de"}, NotAfter: end})
	named.Name = ""
	got := load(t, certs.Options{Certificates: []certs.Files{named}}).Expiries()
	if len(got) != 1 || got[0].Name != named.Cert || !got[0].After.Equal(end) {
		t.Errorf("%v; want %s at %v", got, named.Cert, end)
	}
}

// The fault of each file is told with the file and with what to do; nothing of a key is told.
func TestFaultsOfCertificates(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	good := f.ca.Issue(t, certstest.Leaf{Hosts: []string{"gw.example.de"}})
	other := f.ca.Issue(t, certstest.Leaf{Hosts: []string{"gw.example.de"}})
	goodCert, goodKey := good.Write(t, f.dir, "good")
	otherCert, otherKey := other.Write(t, f.dir, "other")
	cut := f.file("cut.pem", good.CertPEM[:len(good.CertPEM)/2])
	for name, c := range map[string]struct{ cert, key, file, want string }{
		"missing cert":     {filepath.Join(f.dir, "none.pem"), goodKey, "none.pem", "cannot be read: no such file or directory"},
		"missing key":      {goodCert, filepath.Join(f.dir, "none.key"), "none.key", "cannot be read: no such file or directory"},
		"folder":           {f.dir, goodKey, f.dir, "is no regular file"},
		"empty cert":       {f.file("empty.pem"), goodKey, "empty.pem", "holds no PEM block"},
		"binary cert":      {f.file("der.pem", good.TLS.Leaf.Raw), goodKey, "der.pem", "holds no PEM block"},
		"cut off":          {cut, goodKey, "cut.pem", "holds 1 PEM blocks of which only 0 can be read"},
		"cut off chain":    {f.file("half.pem", good.CertPEM, good.CertPEM[:200]), goodKey, "half.pem", "holds 2 PEM blocks of which only 1"},
		"key for cert":     {goodKey, goodKey, "good.key", "block 1 is PRIVATE KEY; only certificates belong here"},
		"both in one":      {f.file("both.pem", good.CertPEM, good.KeyPEM), goodKey, "both.pem", "block 2 is PRIVATE KEY"},
		"damaged cert":     {f.file("bad.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), goodKey, "bad.pem", "certificate 1 cannot be read"},
		"cert for key":     {goodCert, otherCert, "other.pem", "holds no private key but CERTIFICATE"},
		"encrypted key":    {goodCert, f.file("enc.key", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")), "enc.key", "is encrypted"},
		"key of another":   {goodCert, otherKey, "other.key", "does not go with " + goodCert + ": private key does not match public key"},
		"empty key":        {goodCert, f.file("empty.key"), "empty.key", "holds no PEM block"},
		"key that is none": {goodCert, f.file("bad.key", []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")), "bad.key", "does not go with"},
	} {
		set, _, err := certs.Load(certs.Options{Certificates: []certs.Files{{Cert: c.cert, Key: c.key}}, Now: time.Now()})
		var faults certs.Faults
		if set != nil || !errors.As(err, &faults) {
			t.Errorf("%s: set %v, error %v; want faults and no set", name, set, err)
			continue
		}
		if len(faults) != 1 || !strings.HasSuffix(faults[0].File, c.file) || !strings.Contains(faults[0].Text, c.want) {
			t.Errorf("%s: %v; want %s: %s", name, err, c.file, c.want)
		}
	}
	if set, _, err := certs.Load(certs.Options{Now: time.Now()}); set != nil || err == nil {
		t.Error("a listener without any certificate was loaded")
	}
}

// All faults are told at once.
func TestFaultsAreToldTogether(t *testing.T) {
	t.Parallel()
	_, _, err := certs.Load(certs.Options{
		Certificates: []certs.Files{{Cert: "/none/a.pem", Key: "/none/a.key"}, {Cert: "/none/b.pem", Key: "/none/b.key"}},
		ClientAuth:   certs.Require, Authorities: "/none/ca.pem", Now: time.Now(),
	})
	if n := strings.Count(err.Error(), "no such file"); n != 5 {
		t.Errorf("%d faults told of 5:\n%v", n, err)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	now := time.Now()
	stranger := certstest.NewAuthority(t, "Stranger")
	leaf := f.ca.Issue(t, certstest.Leaf{Hosts: []string{"gw.example.de"}})
	cert, key := leaf.Write(t, f.dir, "leaf")
	open := f.file("open.key", leaf.KeyPEM)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    certs.Options
		want string
	}{
		"expired": {certs.Options{Certificates: []certs.Files{f.pair("old", certstest.Leaf{Hosts: []string{"a.example"}, NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(-24 * time.Hour)})}}, "the certificate ended on"},
		"early":   {certs.Options{Certificates: []certs.Files{f.pair("new", certstest.Leaf{Hosts: []string{"a.example"}, NotBefore: now.Add(time.Hour)})}}, "the certificate begins on"},
		"no name": {certs.Options{Certificates: []certs.Files{f.pair("cn", certstest.Leaf{Name: "a.example"})}}, "has no names"},
		"weak":    {certs.Options{Certificates: []certs.Files{f.pair("weak", certstest.Leaf{Hosts: []string{"a.example"}, RSABits: 1024})}}, "has 1024 bits; profile default wants 2048"},
		"bsi":     {certs.Options{Profile: certs.BSI, Certificates: []certs.Files{f.pair("rsa", certstest.Leaf{Hosts: []string{"a.example"}, RSABits: 2048})}}, "has 2048 bits; profile bsi wants 3000"},
		"order":   {certs.Options{Certificates: []certs.Files{{Cert: f.file("order.pem", leaf.CertPEM, stranger.PEM), Key: key}}}, "certificate 1 of the chain is not signed by certificate 2"},
		"open":    {certs.Options{Certificates: []certs.Files{{Cert: cert, Key: open}}}, "everybody on this machine may read the key"},
		"host":    {certs.Options{Hosts: []string{"gw.example.de", "b.example"}, Certificates: []certs.Files{{Cert: cert, Key: key}}}, "names its host b.example"},
		"wild":    {certs.Options{Hosts: []string{"gw.example.de", "*.gw.example.de"}, Certificates: []certs.Files{{Cert: cert, Key: key}}}, "names its host *.gw.example.de"},
	} {
		c.o.Now = now
		set, warnings, err := certs.Load(c.o)
		if err != nil || set == nil {
			t.Errorf("%s: %v; a warning is no error", name, err)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0].Text, c.want) {
			t.Errorf("%s: warnings %v; want one: %s", name, warnings, c.want)
		}
	}
	// Nothing is said about what is as it should be: a chain in order, a host below a wildcard, an address.
	full := f.pair("full", certstest.Leaf{Hosts: []string{"*.gw.example.de", "192.0.2.1", "2001:db8::1"}})
	data, err := os.ReadFile(full.Cert)
	if err != nil {
		t.Fatal(err)
	}
	f.file("full.pem", data, f.ca.PEM)
	load(t, certs.Options{Certificates: []certs.Files{full}, Hosts: []string{"*.gw.example.de", "a.gw.example.de", "192.0.2.1", "[2001:db8::1]"}})
}

// SPDX-License-Identifier: EUPL-1.2

package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/certs"
	"github.com/pvgate/pvgate/gateway/certs/certstest"
)

// journal is a log that can be asked.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// site is a server as an issuer needs it: TLS by a set, and what is asked in http-01.
type site struct {
	ca      *certstest.CA
	cache   string
	log     journal
	issuer  *certs.Issuer
	address string // of TLS
	asked   sync.Map
}

// newSite serves TLS for the names, or has pebble find nobody at the port of tls-alpn-01.
func newSite(t *testing.T, cache string, http01, tlsALPN bool, names ...string) *site {
	t.Helper()
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{cache: cache, address: secure.Addr().String()}
	tlsPort := secure.Addr().(*net.TCPAddr).Port
	if !tlsALPN {
		tlsPort = certstest.Ports(t, 1)[0]
	}
	s.ca = certstest.Pebble(t, web.Addr().(*net.TCPAddr).Port, tlsPort)
	s.issuer = s.newIssuer(t, http01)
	set := load(t, certs.Options{Issuer: s.issuer, Issued: names, Hosts: names})
	insecure := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.URL.Path, "/.well-known/acme-challenge/")
		answer := s.issuer.Challenge([]byte(token))
		s.asked.Store(token, string(answer))
		_, _ = w.Write(answer)
	})}
	go func() { _ = insecure.Serve(web) }()
	server := &http.Server{TLSConfig: set.TLS(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = server.Serve(tls.NewListener(secure, set.TLS())) }()
	t.Cleanup(func() {
		_ = insecure.Close()
		_ = server.Close()
	})
	return s
}

func (s *site) newIssuer(t *testing.T, http01 bool) *certs.Issuer {
	t.Helper()
	i, err := certs.NewIssuer(certs.IssuerOptions{
		Directory: s.ca.Directory, Authorities: s.ca.Authorities, Mail: "ops@example.de", Cache: s.cache, HTTP01: http01,
		Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// served returns the certificate that a client of the site gets.
func (s *site) served(name string) (*tls.ConnectionState, error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", s.address, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	cs := c.ConnectionState()
	return &cs, nil
}

func TestACMEOverTLS(t *testing.T) {
	t.Parallel()
	s := newSite(t, filepath.Join(t.TempDir(), "acme"), false, true, "gw.example.de", "other.example.de")
	if _, err := s.served("gw.example.de"); err == nil {
		t.Error("a handshake has a certificate before there is one")
	}
	s.issuer.Serve(patience(t), []string{"gw.example.de", "other.example.de"})
	for _, name := range []string{"gw.example.de", "other.example.de"} {
		cs, err := s.served(name)
		if err != nil {
			t.Fatalf("%v\n%s", err, &s.log)
		}
		leaf := cs.PeerCertificates[0]
		if leaf.VerifyHostname(name) != nil || !strings.Contains(leaf.Issuer.CommonName, "Pebble") || len(cs.PeerCertificates) < 2 {
			t.Errorf("%s gets a certificate for %v by %s, chain of %d", name, leaf.DNSNames, leaf.Issuer, len(cs.PeerCertificates))
		}
	}
	// A second process finds them in the cache, also when the CA is away: here it may not be asked for anything.
	again, err := certs.NewIssuer(certs.IssuerOptions{Directory: "https://127.0.0.1:1/dir", Cache: s.cache, Log: slog.New(slog.NewTextHandler(&s.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	again.Serve(patience(t), []string{"gw.example.de"})
	set := load(t, certs.Options{Issuer: again, Issued: []string{"gw.example.de"}})
	if got := set.Expiries(); len(got) != 1 || got[0].Name != "gw.example.de" || got[0].After.Before(time.Now()) {
		t.Errorf("expiries of the second process: %v", got)
	}
	// The challenge is gone, and asking for it gets nobody anywhere.
	if c, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", s.address, &tls.Config{ServerName: "gw.example.de", NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true}); err == nil {
		_ = c.Close()
		t.Error("a challenge nobody waits for was answered")
	}
	if st, err := os.Stat(s.cache); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the cache's folder is %v, %v; want mode 700", st.Mode(), err)
	}
}

func TestACMEOverHTTP(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir(), true, false, "gw.example.de")
	s.issuer.Serve(patience(t), []string{"gw.example.de"})
	if _, err := s.served("gw.example.de"); err != nil {
		t.Fatalf("%v\n%s", err, &s.log)
	}
	asked := 0
	s.asked.Range(func(token, answer any) bool {
		asked++
		if !strings.HasPrefix(answer.(string), token.(string)+".") {
			t.Errorf("token %s was answered with %q", token, answer)
		}
		// The manager takes a token back on a goroutine of its own.
		left := s.issuer.Challenge([]byte(token.(string)))
		for end := time.Now().Add(20 * time.Second); left != nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
			left = s.issuer.Challenge([]byte(token.(string)))
		}
		if left != nil {
			t.Errorf("token %s is still answered: %q", token, left)
		}
		return true
	})
	if asked == 0 {
		t.Error("nobody asked for a token")
	}
	if s.issuer.Challenge([]byte("unknown")) != nil {
		t.Error("an unknown token is answered")
	}
}

// Without an answer from the CA there is no certificate, one line in the log and a later try, and handshakes do not wait.
func TestACMEFails(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	var log journal
	i, err := certs.NewIssuer(certs.IssuerOptions{Directory: "https://127.0.0.1:1/dir", Cache: t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	i.Serve(patience(t), []string{"gw.example.de"})
	if !strings.Contains(log.String(), "no certificate by ACME; trying again") || !strings.Contains(log.String(), "gw.example.de") {
		t.Errorf("the log says %q", &log)
	}
	alone := load(t, certs.Options{Issuer: i, Issued: []string{"gw.example.de"}})
	if _, err, theirs := shake(t, alone.TLS(), &tls.Config{ServerName: "gw.example.de", InsecureSkipVerify: true}); err == nil || theirs == nil {
		t.Error("a handshake has a certificate that nobody has given")
	}
	// Meanwhile a certificate of a file does, though it has another name.
	both := load(t, certs.Options{Issuer: i, Issued: []string{"gw.example.de"}, Certificates: []certs.Files{f.pair("other", certstest.Leaf{Hosts: []string{"other.example.de"}})}})
	if cs, err, _ := shake(t, both.TLS(), &tls.Config{ServerName: "gw.example.de", InsecureSkipVerify: true}); err != nil || cs.PeerCertificates[0].DNSNames[0] != "other.example.de" {
		t.Errorf("%v; want the certificate of the file", err)
	}
	if both.Same("gw.example.de", []byte("other.example.de")) {
		t.Error("a connection for a name by ACME may carry requests for one of a file")
	}
}

func TestACMENeedsAFolderAndFaultlessAuthorities(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	for name, o := range map[string]certs.IssuerOptions{
		"a file for the folder": {Cache: f.file("file")},
		"empty authorities":     {Cache: t.TempDir(), Authorities: f.file("empty.pem")},
		"missing authorities":   {Cache: t.TempDir(), Authorities: filepath.Join(f.dir, "none.pem")},
	} {
		if i, err := certs.NewIssuer(o); err == nil {
			i.Close()
			t.Errorf("%s: no error", name)
		} else if !errors.As(err, new(certs.Faults)) {
			t.Errorf("%s: %s", name, fmt.Sprintf("%T", err))
		}
	}
}

// SPDX-License-Identifier: EUPL-1.2

package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/pvgate/pvgate/gateway/keyring"
)

// protoACME is the protocol a CA offers, alone, when it validates a name over TLS (RFC 8737).
const protoACME = acme.ALPNProto

// LetsEncrypt is the directory of Let's Encrypt.
const LetsEncrypt = autocert.DefaultACMEDirectory

// The issuer asks for a certificate again after a failure, at first soon: whoever points a name here sees it within a
// minute. Let's Encrypt allows five failures an hour. A certificate that was renewed is seen when it is next looked at.
const (
	retryFirst = time.Minute
	retryMost  = time.Hour
	lookAgain  = time.Minute
)

// IssuerOptions say where certificates come from.
type IssuerOptions struct {
	// Directory is the URL of the CA's ACME directory.
	Directory string
	// Mail is where the CA writes to; "" = nowhere.
	Mail string
	// Cache is a folder, made if it is missing, of the account's key and the certificates with their keys. Nodes may
	// share it.
	Cache string
	// Authorities is a PEM file of those who may vouch for the directory's own server; "" = the system's.
	Authorities string
	// HTTP01 says that [Issuer.Challenge] is asked on port 80 of the names.
	HTTP01 bool
	// Log is told of certificates got and not got.
	Log *slog.Logger
}

// Issuer gets and renews certificates by ACME (RFC 8555), in the background: handshakes take what is there and never
// wait for a CA. It outlives Sets. Safe for concurrent use. Making one accepts the CA's terms of service.
type Issuer struct {
	manager *autocert.Manager
	log     *slog.Logger
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	tokens  atomic.Pointer[map[string][]byte] // answers of http-01 that are waited for, by token; replaced, never written

	mu    sync.Mutex
	hosts map[string]*issued
}

// issued is the certificate of one name.
type issued struct {
	current atomic.Pointer[tls.Certificate]
	stop    context.CancelFunc // of who gets it; nil when nobody does
}

func (i *issued) certificate() *tls.Certificate { return i.current.Load() }

// NewIssuer checks the options; it asks no one for anything yet.
func NewIssuer(o IssuerOptions) (*Issuer, error) {
	if err := writable(o.Cache); err != nil {
		return nil, Faults{{o.Cache, fmt.Sprintf("cannot keep certificates: %v; without a folder that pvgate may write each start would ask the CA anew", err)}}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if o.Authorities != "" {
		data, err := keyring.File(o.Authorities, maxFile)
		var all []*x509.Certificate
		if err == nil {
			all, err = chain(data)
		}
		if err != nil {
			return nil, Faults{{o.Authorities, err.Error()}}
		}
		pool := x509.NewCertPool()
		for _, c := range all {
			pool.AddCert(c)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	i := &Issuer{log: o.Log, hosts: map[string]*issued{}}
	i.ctx, i.cancel = context.WithCancel(context.Background())
	i.tokens.Store(&map[string][]byte{})
	i.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Email: o.Mail, Cache: &store{autocert.DirCache(o.Cache), i}, HostPolicy: i.wanted,
		Client: &acme.Client{DirectoryURL: o.Directory, UserAgent: "pvgate", HTTPClient: &http.Client{
			Timeout: 30 * time.Second, Transport: endable{i.ctx, transport},
		}},
	}
	if o.HTTP01 {
		i.manager.HTTPHandler(nil) // says that http-01 can be answered; the handler itself is not for loops
	}
	return i, nil
}

// endable asks nothing any more when the issuer is closed: the manager takes no context of ours.
type endable struct {
	ctx  context.Context
	next http.RoundTripper
}

func (e endable) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := e.ctx.Err(); err != nil {
		return nil, err
	}
	return e.next.RoundTrip(r)
}

// writable makes the folder and tries it. The error is without its path.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return errors.Unwrap(err)
	}
	f, err := os.CreateTemp(dir, ".try-*")
	if err != nil {
		return errors.Unwrap(err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// Serve gets certificates for these names from now on, and for no others. Names that are new are waited for as long as
// ctx allows, so that what lies in the cache is there when Serve returns.
func (i *Issuer) Serve(ctx context.Context, names []string) {
	i.mu.Lock()
	var began []chan struct{}
	for name, h := range i.hosts {
		if h.stop != nil && !slices.Contains(names, name) {
			h.stop()
			h.stop = nil
		}
	}
	for _, name := range names {
		h := i.hostLocked(name)
		if h.stop != nil {
			continue
		}
		own, stop := context.WithCancel(i.ctx)
		h.stop = stop
		tried := make(chan struct{})
		began = append(began, tried)
		go i.keep(own, name, h, tried)
	}
	i.mu.Unlock()
	for _, tried := range began {
		select {
		case <-tried:
		case <-ctx.Done():
			return
		}
	}
}

// Close stops getting certificates: what is under way ends with its next question to the CA. Certificates that are
// there stay usable.
func (i *Issuer) Close() { i.cancel() }

// host returns the place of a name's certificate; of nobody's where there is no issuer.
func (i *Issuer) host(name string) *issued {
	if i == nil {
		return new(issued)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.hostLocked(strings.ToLower(name))
}

func (i *Issuer) hostLocked(name string) *issued {
	h := i.hosts[name]
	if h == nil {
		h = new(issued)
		i.hosts[name] = h
	}
	return h
}

// wanted is the manager's host policy.
func (i *Issuer) wanted(_ context.Context, name string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if h := i.hosts[name]; h == nil || h.stop == nil {
		return fmt.Errorf("%s is no host of a listener with acme", name)
	}
	return nil
}

// keep has a certificate for a name and sees it renewed, until ctx ends. It closes tried after the first try.
func (i *Issuer) keep(ctx context.Context, name string, h *issued, tried chan struct{}) {
	retry := retryFirst
	for {
		c, err := i.manager.GetCertificate(&tls.ClientHelloInfo{
			ServerName: name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		})
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		wait := lookAgain
		switch old := h.certificate(); {
		case ctx.Err() != nil:
		case err != nil:
			i.log.Error("no certificate by ACME; trying again", "host", name, "error", err.Error(), "in", retry.String())
			wait, retry = retry, min(4*retry, retryMost)
		case old == nil || !bytes.Equal(old.Certificate[0], c.Certificate[0]):
			h.current.Store(c)
			retry = retryFirst
			i.log.Info("certificate by ACME", "host", name, "until", c.Leaf.NotAfter)
		}
		if tried != nil {
			close(tried)
			tried = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// wantsChallenge reports whether a CA validates a name with this handshake.
func wantsChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == protoACME
}

// challenge returns the certificate that a CA wants to see in tls-alpn-01, out of memory.
func (i *Issuer) challenge(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return i.manager.GetCertificate(hello)
}

// Challenge returns what a CA wants to read at /.well-known/acme-challenge/{token} in http-01; nil: nobody asked for
// that token. It neither waits nor allocates.
func (i *Issuer) Challenge(token []byte) []byte { return (*i.tokens.Load())[string(token)] }

// changeTokens replaces the tokens; the manager's lock keeps it from being called twice at a time.
func (i *Issuer) changeTokens(change func(map[string][]byte)) {
	next := maps.Clone(*i.tokens.Load())
	change(next)
	i.tokens.Store(&next)
}

// store is the manager's cache: a folder, but what is needed to answer a challenge stays in memory, from where loops
// and handshakes may take it. It knows the manager's names for these: a test asks a real CA.
type store struct {
	autocert.Cache
	issuer *Issuer
}

const (
	suffixHTTP  = "+http-01"
	suffixToken = "+token"
)

func (s *store) Get(ctx context.Context, key string) ([]byte, error) {
	if strings.HasSuffix(key, suffixHTTP) || strings.HasSuffix(key, suffixToken) {
		return nil, autocert.ErrCacheMiss
	}
	return s.Cache.Get(ctx, key)
}

func (s *store) Put(ctx context.Context, key string, data []byte) error {
	if token, ok := strings.CutSuffix(key, suffixHTTP); ok {
		s.issuer.changeTokens(func(m map[string][]byte) { m[token] = data })
		return nil
	}
	if strings.HasSuffix(key, suffixToken) {
		return nil
	}
	return s.Cache.Put(ctx, key, data)
}

func (s *store) Delete(ctx context.Context, key string) error {
	if token, ok := strings.CutSuffix(key, suffixHTTP); ok {
		s.issuer.changeTokens(func(m map[string][]byte) { delete(m, token) })
		return nil
	}
	if strings.HasSuffix(key, suffixToken) {
		return nil
	}
	return s.Cache.Delete(ctx, key)
}

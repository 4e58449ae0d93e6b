// SPDX-License-Identifier: EUPL-1.2

// Package fetch brings the file of a registry from where it is published: a path of this machine, or a web server.
//
// [Get] brings one file and tells when it has not changed; a transfer that broke off goes on where it was, as long as the
// server still has the same file. [Client] is the HTTP client for those who ask in another way. Both hold a [Policy]: which
// addresses may be asked, and that an answer comes at all and not drop by drop. What is wrong is a *source.Refusal with
// its cause. The package does not know what is in a file, keeps no times and does not ask again later.
package fetch

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/registry"
)

// Policy says what may be asked, and how long an answer may take.
type Policy struct {
	HTTP    bool                   // allow: [http]: without TLS too
	Address registry.AddressPolicy // where to connect; an address that is written as such in the URL always may be
	Roots   *x509.CertPool         // whom to believe; nil = the system's
	// Stall is the longest time to the head of an answer, and the time in which MinBytes must come of its body.
	Stall time.Duration // 0 = DefaultStall
	// Idle is how many connections wait for a further request; 0 = 2.
	Idle int
	// Before is called before each request, redirects and resumptions included; an error takes its place. It may wait.
	Before func(context.Context) error
}

// The bounds of every request.
const (
	DefaultStall = 30 * time.Second
	MinBytes     = 64 << 10 // in each Stall, unless the body ends

	dialTimeout  = 10 * time.Second
	maxRedirects = 3
	maxHead      = 64 << 10
)

// errSlow ends a body that comes drop by drop.
var errSlow = errors.New("less came than a working server sends")

// AddressError says that a connection to an address was refused.
type AddressError struct {
	Address netip.Addr
	Kind    string // registry.SpecialAddress
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("%s is a %s address; allow: [private] at the source would permit private ones", e.Address, e.Kind)
}

// RedirectError says that a server wanted to send us where we do not go.
type RedirectError struct{ To string }

func (e *RedirectError) Error() string {
	return fmt.Sprintf("redirects to %s; only the same scheme and host are followed, write that address if it is right", e.To)
}

// errScheme is a URL without TLS that needs it.
var errScheme = errors.New("http is not allowed; want https, or allow: [http] at the source")

// Client makes an HTTP client that holds the policy: no scheme, address or redirect beyond it, no proxy of the environment
// (it would decide where to connect), HTTP/1.1, nothing compressed. Its bodies end with an error when they come too slowly.
// Whoever makes one calls CloseIdleConnections at the end.
func Client(p Policy) *http.Client {
	if p.Stall <= 0 {
		p.Stall = DefaultStall
	}
	idle := cmp.Or(p.Idle, 2)
	var only1 http.Protocols
	only1.SetHTTP1(true)
	return &http.Client{
		Transport: &transport{p, &http.Transport{
			DialContext: p.dial, TLSHandshakeTimeout: p.Stall, ResponseHeaderTimeout: p.Stall, MaxResponseHeaderBytes: maxHead,
			TLSClientConfig: &tls.Config{RootCAs: p.Roots, MinVersion: tls.VersionTLS12}, Protocols: &only1, DisableCompression: true,
			MaxIdleConns: idle, MaxIdleConnsPerHost: idle, IdleConnTimeout: max(p.Stall, DefaultStall),
		}},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if first := via[0].URL; r.URL.Scheme != first.Scheme || r.URL.Host != first.Host || len(via) > maxRedirects {
				return &RedirectError{Shown(r.URL.Redacted())}
			}
			return nil
		},
	}
}

// dial connects to addresses that the policy allows, and to one that is written as such.
func (p *Policy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	allowed := p.Address
	if host, _, err := net.SplitHostPort(address); err == nil {
		_, err = netip.ParseAddr(host)
		allowed.Literal = allowed.Literal || err == nil
	}
	return Dial(ctx, network, address, allowed, min(dialTimeout, p.Stall))
}

// Dial connects to addresses that a policy allows. It looks at each address just before the connect, so a name that
// changes its address in between gains nothing. Where it refuses one the error is an [AddressError].
func Dial(ctx context.Context, network, address string, allowed registry.AddressPolicy, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("no address: %w", err)
		}
		if kind := allowed.Refuses(at.Addr()); kind != "" {
			return &AddressError{at.Addr(), kind}
		}
		return nil
	}}
	return d.DialContext(ctx, network, address)
}

// transport adds to a transport what concerns each single request.
type transport struct {
	policy Policy
	base   *http.Transport
}

func (t *transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && (r.URL.Scheme != "http" || !t.policy.HTTP) {
		return nil, errScheme
	}
	if t.policy.Before != nil {
		if err := t.policy.Before(r.Context()); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(r.Context())
	resp, err := t.base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = watch(cancel, resp.Body, t.policy.Stall)
	return resp, nil
}

// body is the body of an answer, ended when too little of it comes.
type body struct {
	io.ReadCloser
	stall  time.Duration
	read   atomic.Int64
	seen   int64 // of read, a stall ago; the timer's own
	slow   atomic.Bool
	cancel context.CancelFunc
	timer  *time.Timer
}

func watch(cancel context.CancelFunc, rc io.ReadCloser, stall time.Duration) *body {
	b := &body{ReadCloser: rc, stall: stall, cancel: cancel}
	b.timer = time.AfterFunc(time.Hour, b.look)
	b.timer.Reset(stall) // the timer is in its place before look runs
	return b
}

// look comes once in a stall.
func (b *body) look() {
	n := b.read.Load()
	if n-b.seen < MinBytes {
		b.slow.Store(true)
		b.cancel()
		return
	}
	b.seen = n
	b.timer.Reset(b.stall)
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	if err != nil {
		b.timer.Stop()
		if b.slow.Load() && !errors.Is(err, io.EOF) {
			err = errSlow
		}
	}
	return n, err
}

func (b *body) Close() error {
	b.timer.Stop()
	b.cancel()
	return b.ReadCloser.Close()
}

// SPDX-License-Identifier: EUPL-1.2

package links

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/fetch"
)

const (
	// requestTime bounds one request, from the connect to what is wanted of the answer.
	requestTime = 20 * time.Second
	maxHead     = 64 << 10
)

// question is one request.
type question struct {
	method, url string
	near        bool            // private addresses and this machine may be asked too
	body        func(io.Reader) // reads what it wants of a 2xx; nil: nothing is read
}

// answer is what there is to know of a response.
type answer struct {
	status   int
	location string
	retry    time.Duration // Retry-After; 0 = it does not say
}

// asking sends one request and does not follow redirects.
type asking func(ctx context.Context, q question) (answer, error)

// wire asks by HTTP/1.1, each time on a connection of its own, that no proxy of the environment leads elsewhere.
type wire struct {
	agent    string
	patience time.Duration
	public   *http.Transport
	near     *http.Transport
}

func newWire(agent string, roots *x509.CertPool, patience time.Duration) *wire {
	var only1 http.Protocols
	only1.SetHTTP1(true)
	to := func(allowed registry.AddressPolicy) *http.Transport {
		return &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return fetch.Dial(ctx, network, address, allowed, patience)
			},
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: patience, Protocols: &only1,
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHead,
		}
	}
	return &wire{agent, patience, to(registry.AddressPolicy{}), to(registry.AddressPolicy{Private: true, Loopback: true})}
}

// ask is an asking.
func (w *wire) ask(ctx context.Context, q question) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, q.method, q.url, nil)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("User-Agent", w.agent)
	r.Header.Set("Accept", "*/*")
	r.Header.Set("Accept-Language", "de")
	if q.method == http.MethodGet && q.body == nil {
		r.Header.Set("Range", "bytes=0-0")
	}
	t := w.public
	if q.near {
		t = w.near
	}
	resp, err := t.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close() // and with it the connection, whatever is still to come
	if q.body != nil && resp.StatusCode/100 == 2 {
		q.body(resp.Body)
		if ctx.Err() != nil {
			return answer{}, ctx.Err()
		}
	}
	return answer{resp.StatusCode, resp.Header.Get("Location"), retryAfter(resp.Header.Get("Retry-After"))}, nil
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3).
func retryAfter(value string) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// failure is the result that an error of a request means.
func failure(err error) Result {
	var (
		refused     *fetch.AddressError
		name        *net.DNSError
		certificate *tls.CertificateVerificationError
		noTLS       tls.RecordHeaderError
		alert       tls.AlertError
		network     net.Error
	)
	switch {
	case errors.As(err, &refused):
		return Address
	case errors.As(err, &name):
		return DNS
	case errors.As(err, &certificate), errors.As(err, &noTLS), errors.As(err, &alert), strings.Contains(err.Error(), "tls: "):
		return TLS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return Timeout
	}
	return Unreachable
}

// unsaid says whether a server took a request and then said nothing that is HTTP: some do so at HEAD.
func unsaid(err error) bool {
	var op *net.OpError
	return failure(err) == Unreachable && !(errors.As(err, &op) && op.Op == "dial")
}

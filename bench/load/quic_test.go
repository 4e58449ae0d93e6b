// SPDX-License-Identifier: EUPL-1.2

package load_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/pvgate/pvgate/bench/load"
)

// startQUIC is a server over HTTP/3 that answers every request with a kilobyte, and what it was sent.
func startQUIC(t *testing.T) netip.AddrPort {
	t.Helper()
	certs := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(certs.Close)
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &http3.Server{
		TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: certs.TLS.Certificates}),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(make([]byte, 1024))
			_, _ = io.Copy(w, r.Body)
		}),
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(udp) }()
	t.Cleanup(func() { _ = s.Close(); _ = udp.Close(); <-ended })
	return udp.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestQUICConnectionsGetEveryAnswer(t *testing.T) {
	t.Parallel()
	addr := startQUIC(t)
	config := &tls.Config{InsecureSkipVerify: true}
	post := []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789")
	for _, c := range []struct {
		rate     float64
		requests []byte
		length   int64
	}{{0, get("/"), 1024}, {0, post, 1034}, {2000, get("/"), 1024}} {
		res, err := load.Run(context.Background(), load.Options{
			Address: addr, TLS: config, Conns: 2, QUIC: true, Streams: 4, Count: 200, Rate: c.rate, WantStatus: 200, WantLength: c.length, Requests: [][]byte{c.requests},
		})
		if err != nil || res.Err() != nil || res.Good < 193 || res.Good > 208 || res.Latency.Count() != res.Good {
			t.Errorf("rate %v: %d good, %d latencies, %v, %v", c.rate, res.Good, res.Latency.Count(), res.Err(), err)
		}
	}
}

func TestQUICFailuresAreCounted(t *testing.T) {
	t.Parallel()
	addr := startQUIC(t)
	res, err := load.Run(context.Background(), load.Options{
		Address: addr, TLS: &tls.Config{InsecureSkipVerify: true}, Conns: 1, QUIC: true, Streams: 2, Count: 20, WantLength: 1, Requests: [][]byte{get("/")},
	})
	if err != nil || res.Wrong == 0 || res.Good > 0 || res.Err() == nil {
		t.Errorf("%d good, %d wrong, %v", res.Good, res.Wrong, err)
	}
}

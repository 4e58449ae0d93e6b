// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/certs/certstest"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// TLS to backends, with real sockets and crypto/tls at the other end.

const portal = "portal.example"

var tlsVersions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// behindTLS makes the connections to the only backend TLS.
func behindTLS(client *atomic.Pointer[tlsconn.Client]) func(*gateway.Options, *gateway.Snapshot) {
	return func(_ *gateway.Options, s *gateway.Snapshot) { s.Backends[0].TLS = client }
}

func TestRequestsAndAnswersPassWholeOverTLSToBackends(t *testing.T) {
	t.Parallel()
	ca := gatewaytest.NewAuthority(t)
	for name, version := range tlsVersions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.URL.Query().Get("chunked") != "" {
					w.(http.Flusher).Flush()
				}
				_, _ = w.Write(body)
			}))
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, portal)}, MinVersion: version, MaxVersion: version}
			srv.StartTLS()
			defer srv.Close()
			_, addr := start(t, srv.Listener.Addr().String(), behindTLS(ca.Client(t, portal)))
			c := client(t)
			for _, size := range []int{0, 1, 100, 16<<10 - 1, 16 << 10, 64 << 10, 5 << 20} {
				for _, chunkedIn := range []bool{false, true} {
					for _, query := range []string{"", "?chunked=1"} {
						body := bytes.Repeat([]byte("abcdefgh"), size/8+1)[:size]
						var in io.Reader = bytes.NewReader(body)
						if chunkedIn {
							in = struct{ io.Reader }{in}
						}
						resp, err := c.Post("http://"+addr+"/echo"+query, "text/plain", in)
						if err != nil {
							t.Fatal(err)
						}
						got, err := io.ReadAll(resp.Body)
						resp.Body.Close()
						if err != nil || resp.StatusCode != 200 || !bytes.Equal(got, body) {
							t.Fatalf("%d octets, chunked %v%s: got %d, %d octets (%v)", size, chunkedIn, query, resp.StatusCode, len(got), err)
						}
					}
				}
			}
		})
	}
}

// Each fault of a handshake has its reason, and nothing of the request is sent.
func TestFaultsOfHandshakesWithBackends(t *testing.T) {
	t.Parallel()
	ca, stranger := gatewaytest.NewAuthority(t), gatewaytest.NewAuthority(t)
	root := certstest.NewAuthority(t, "of one that has ended")
	ended := root.Issue(t, certstest.Leaf{Hosts: []string{portal}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0)}).TLS
	good := ca.Issue(t, portal)
	serve := func(c *tls.Config) func(net.Conn) {
		return func(nc net.Conn) {
			s := tls.Server(nc, c)
			if s.Handshake() == nil {
				_, _ = io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				_, _ = io.Copy(io.Discard, s)
			}
		}
	}
	say := func(text string) func(net.Conn) {
		return func(nc net.Conn) {
			_, _ = nc.Read(make([]byte, 4096))
			_, _ = io.WriteString(nc, text)
			_, _ = io.Copy(io.Discard, nc)
		}
	}
	trust := ca.Client(t, portal)
	asks := &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool, MaxVersion: tls.VersionTLS12}
	asks13 := &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool, MinVersion: tls.VersionTLS13}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		trust *atomic.Pointer[tlsconn.Client]
		want  string
	}{
		"good":                         {serve(&tls.Config{Certificates: []tls.Certificate{good}}), trust, ""},
		"by address":                   {serve(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "127.0.0.1")}}), ca.Client(t, "127.0.0.1"), ""},
		"of another name":              {serve(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "other.example")}}), trust, "tls_certificate"},
		"of another address":           {serve(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "127.0.0.2")}}), ca.Client(t, "127.0.0.1"), "tls_certificate"},
		"of an unknown authority":      {serve(&tls.Config{Certificates: []tls.Certificate{stranger.Issue(t, portal)}}), trust, "tls_certificate"},
		"of the public authorities":    {serve(&tls.Config{Certificates: []tls.Certificate{good}}), clientOf(t, &tls.Config{ServerName: portal}), "tls_certificate"},
		"that has ended":               {serve(&tls.Config{Certificates: []tls.Certificate{ended}}), clientOf(t, &tls.Config{ServerName: portal, RootCAs: root.Pool()}), "tls_certificate"},
		"no certificate shown, 1.2":    {serve(asks), trust, "tls_failed"},
		"no certificate shown, 1.3":    {serve(asks13), trust, "tls_failed"},
		"a stranger's shown, 1.2":      {serve(asks), ca.Client(t, portal, stranger.Issue(t, "gateway")), "tls_failed"},
		"a stranger's shown, 1.3":      {serve(asks13), ca.Client(t, portal, stranger.Issue(t, "gateway")), "tls_failed"},
		"ours shown, 1.2":              {serve(asks), ca.Client(t, portal, ca.Issue(t, "gateway")), ""},
		"ours shown, 1.3":              {serve(asks13), ca.Client(t, portal, ca.Issue(t, "gateway")), ""},
		"of another protocol":          {serve(&tls.Config{Certificates: []tls.Certificate{good}, NextProtos: []string{"x/1"}}), trust, "tls_failed"},
		"of an old version":            {serve(&tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}), trust, "tls_failed"},
		"no TLS":                       {say("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"), trust, "tls_failed"},
		"garbage":                      {say(strings.Repeat("\x16\x03\x03\x00\x02zz", 100)), trust, "tls_failed"},
		"an alert":                     {say("\x15\x03\x03\x00\x02\x02\x28"), trust, "tls_failed"},
		"an end":                       {func(net.Conn) {}, trust, "tls_failed"},
		"an end in mid-handshake":      {func(c net.Conn) { _, _ = io.WriteString(c, "\x16\x03\x03\x01\x00\x02") }, trust, "tls_failed"},
		"a reset":                      {func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); _ = c.(*net.TCPConn).SetLinger(0) }, trust, "tls_failed"},
		"more than a handshake can be": {say(strings.Repeat("\x16\x03\x03\x40\x00\x02\x00\xff\xff"+strings.Repeat("z", 16<<10-4), 5)), trust, "tls_failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ln := gatewaytest.Listen(t)
			var conns atomic.Int32
			go func() {
				for {
					nc, err := ln.Accept()
					if err != nil {
						return
					}
					conns.Add(1)
					go func() { defer nc.Close(); c.serve(nc) }()
				}
			}()
			defer ln.Close()
			_, addr := start(t, ln.Addr().String(), behindTLS(c.trust))
			resp, err := client(t).Post("http://"+addr+"/x", "text/plain", strings.NewReader("an application"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("PV-Reason"); got != c.want || (resp.StatusCode == 502) != (c.want != "") {
				t.Errorf("got %d %q, want %q", resp.StatusCode, got, c.want)
			}
			if n := conns.Load(); n != 1 {
				t.Errorf("%d connections for one POST", n)
			}
		})
	}
}

func clientOf(t *testing.T, c *tls.Config) *atomic.Pointer[tlsconn.Client] {
	t.Helper()
	made, err := tlsconn.NewClient(tlsconn.ClientOptions{TLS: c})
	if err != nil {
		t.Fatal(err)
	}
	p := new(atomic.Pointer[tlsconn.Client])
	p.Store(made)
	return p
}

// watched is a TLS origin that notes how many of its connections were resumed.
func watched(t *testing.T, ca *gatewaytest.Authority, version uint16, script gatewaytest.Script) (o *gatewaytest.Origin, full, resumed *atomic.Int32) {
	t.Helper()
	full, resumed = new(atomic.Int32), new(atomic.Int32)
	return gatewaytest.NewSecureOrigin(t, &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(t, portal)}, MinVersion: version, MaxVersion: version,
		VerifyConnection: func(s tls.ConnectionState) error {
			if s.DidResume {
				resumed.Add(1)
			} else {
				full.Add(1)
			}
			return nil
		},
	}, script), full, resumed
}

func get(t *testing.T, addr string) (status int, reason string) {
	t.Helper()
	resp, err := client(t).Get("http://" + addr + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header.Get("PV-Reason")
}

func TestSessionsWithBackendsAreResumedByAllLoops(t *testing.T) {
	t.Parallel()
	ca := gatewaytest.NewAuthority(t)
	for name, version := range tlsVersions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, full, resumed := watched(t, ca, version, func(*gatewaytest.Seen) string { return gatewaytest.OK("ok", "Connection: close") })
			_, addr := start(t, o.Addr, behindTLS(ca.Client(t, portal)))
			for range 10 {
				if status, why := get(t, addr); status != 200 {
					t.Fatal(status, why)
				}
			}
			if full.Load() != 1 || resumed.Load() != 9 {
				t.Errorf("%d full handshakes, %d resumed, want 1 and 9", full.Load(), resumed.Load())
			}
		})
	}
}

// When the files that say whom to trust have changed, nothing goes on that was begun before: neither connections nor
// sessions.
func TestConnectionsToBackendsEndWithTheirTrust(t *testing.T) {
	t.Parallel()
	ca, other := gatewaytest.NewAuthority(t), gatewaytest.NewAuthority(t)
	o, full, resumed := watched(t, ca, tls.VersionTLS13, nil)
	sessions := tlsconn.NewSessions(10)
	of := func(a *gatewaytest.Authority, policy string) *tlsconn.Client {
		c, err := tlsconn.NewClient(tlsconn.ClientOptions{TLS: &tls.Config{RootCAs: a.Pool, ServerName: portal}, Policy: policy, Sessions: sessions})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	trust := new(atomic.Pointer[tlsconn.Client])
	trust.Store(of(ca, "a"))
	_, addr := start(t, o.Addr, behindTLS(trust), func(o *gateway.Options, _ *gateway.Snapshot) { o.Loops = 1 })
	for range 3 {
		if status, why := get(t, addr); status != 200 {
			t.Fatal(status, why)
		}
	}
	if full.Load() != 1 || resumed.Load() != 0 {
		t.Fatalf("%d handshakes, %d resumed, want one", full.Load(), resumed.Load())
	}
	trust.Store(of(other, "b"))
	if status, why := get(t, addr); status != 502 || why != "tls_certificate" {
		t.Errorf("with an authority that has not signed it: got %d %s", status, why)
	}
	trust.Store(of(ca, "a"))
	if status, why := get(t, addr); status != 200 || resumed.Load() != 1 {
		t.Errorf("after the change was taken back: got %d %s, %d resumed", status, why, resumed.Load())
	}
}

// RP-06: where an answer ends by closing, only close_notify says that it is whole.
func TestRP06AnswersAreWholeOnlyWithCloseNotify(t *testing.T) {
	t.Parallel()
	ca := gatewaytest.NewAuthority(t)
	for i, c := range []struct {
		answer string
		notify bool
		whole  bool
	}{
		{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf an answer", false, false},
		{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na whole answer", true, true},
		{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 14\r\n\r\na whole answer", false, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nhalf an answer", true, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n", false, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", true, false},
	} {
		ln := gatewaytest.Listen(t)
		go func() {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, portal)}})
			_, _ = s.Read(make([]byte, 4096))
			_, _ = io.WriteString(s, c.answer)
			if c.notify {
				_ = s.CloseWrite()
			}
			nc.Close()
		}()
		_, addr := start(t, ln.Addr().String(), behindTLS(ca.Client(t, portal)))
		resp, err := client(t).Get("http://" + addr + "/x")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		ln.Close()
		if (err == nil) != c.whole {
			t.Errorf("%d: got %v, want it whole: %v", i, err, c.whole)
		}
	}
}

// A slow client holds back a backend behind TLS as any other, and gets everything.
func TestBackPressureReachesBackendsBehindTLS(t *testing.T) {
	t.Parallel()
	ca := gatewaytest.NewAuthority(t)
	const size = 64 << 20
	var sent atomic.Int64
	ln := tls.NewListener(gatewaytest.Listen(t), &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, portal)}})
	defer ln.Close()
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		_, _ = nc.Read(make([]byte, 4096))
		_, err = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		for piece := make([]byte, 64<<10); err == nil && sent.Load() < size; {
			var n int
			n, err = nc.Write(piece)
			sent.Add(int64(n))
		}
	}()
	_, addr := start(t, ln.Addr().String(), behindTLS(ca.Client(t, portal)))
	resp, err := client(t).Get("http://" + addr + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for before := int64(-1); before != sent.Load(); {
		before = sent.Load()
		time.Sleep(300 * time.Millisecond)
	}
	if n := sent.Load(); n >= size {
		t.Fatalf("all %d octets were taken for a client that reads none", n)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
		t.Errorf("got %d octets, %v", n, err)
	}
}

// RP-05: an endpoint with which there is no TLS has got nothing of a request: another one gets it, forms too, once, and at the
// cost of the budget. An only endpoint is not asked twice.
func TestRP05TLSThatFailsLeadsToAnotherEndpoint(t *testing.T) {
	t.Parallel()
	ca := gatewaytest.NewAuthority(t)
	serve := func(pair tls.Certificate, h http.HandlerFunc) (at netip.AddrPort, handshakes *atomic.Int32) {
		handshakes = new(atomic.Int32)
		srv := httptest.NewUnstartedServer(h)
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		srv.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			handshakes.Add(1)
			return &pair, nil
		}}
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return netip.MustParseAddrPort(srv.Listener.Addr().String()), handshakes
	}
	for _, size := range []int{4, 200 << 10} {
		var forms atomic.Int32
		good, _ := serve(ca.Issue(t, portal), func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || len(body) != size {
				t.Errorf("a form of %d octets: %v", len(body), err)
			}
			forms.Add(1)
			w.Header().Set("Connection", "close") // or the other endpoint is asked no more
		})
		bad, asked := serve(ca.Issue(t, "other.example"), func(http.ResponseWriter, *http.Request) { t.Error("a form came to a stranger") })
		for _, alone := range []bool{false, true} {
			s, addr := start(t, "127.0.0.1:1", behindTLS(ca.Client(t, portal)), func(_ *gateway.Options, snap *gateway.Snapshot) {
				o := endpoint.Options{Pick: endpoint.Weighted, Endpoints: []endpoint.Spec{{URL: "bad", Addresses: []netip.AddrPort{bad}, Weight: 1e6}}}
				if !alone {
					o.Endpoints = append(o.Endpoints, endpoint.Spec{URL: "good", Addresses: []netip.AddrPort{good}})
				}
				snap.Backends[0].Endpoints = new(endpoint.Book).Group("", o)
			})
			asked.Store(0)
			forms.Store(0)
			const n = 6
			failed, asker := 0, client(t)
			for range n {
				resp, err := asker.Post("http://"+addr+"/", "", bytes.NewReader(make([]byte, size)))
				if err != nil || resp.StatusCode != 200 { // who is refused may still be writing
					failed++
				}
				if err == nil {
					resp.Body.Close()
				}
			}
			st, err := s.Stats()
			if err != nil {
				t.Fatal(err)
			}
			if !alone && (failed != 0 || forms.Load() != n || asked.Load() == 0 || st.Pools.Repeats != uint64(asked.Load())) {
				t.Errorf("%d of %d forms failed, %d came to the good endpoint; the other was asked %d times; %+v", failed, n, forms.Load(), asked.Load(), st.Pools)
			}
			if alone && (failed != n || asked.Load() > n || st.Pools.Repeats+st.Pools.Withheld != 0) {
				t.Errorf("%d of %d forms failed at an only endpoint, which was asked %d times; %+v", failed, n, asked.Load(), st.Pools)
			}
		}
	}
}

// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

// moved is how many octets went from socket to socket without a copy.
func moved(t *testing.T, s *gateway.Server) (n uint64) {
	t.Helper()
	st, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for i := range st.Loops {
		n += st.Loops[i].Spliced
		if p := st.Loops[i].Pipes; p != 0 {
			t.Errorf("%d pipes still hold something", p)
		}
	}
	return n
}

// Large bodies are moved wherever nobody has to see their octets, and copied where somebody has: encrypted ones, chunked
// ones, those of HTTP/2 and HTTP/3. Both ways they arrive whole and are counted whole.
func TestLargeBodiesAreMovedAndNotCopied(t *testing.T) {
	t.Parallel()
	const size = 5 << 20
	body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	ca := gatewaytest.NewAuthority(t)
	for _, behind := range []bool{false, true} {
		gatewaytest.Each(t, func(t *testing.T, p *gatewaytest.Protocol) {
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				in, err := io.ReadAll(r.Body)
				if err != nil || !bytes.Equal(in, body) && len(in) > 0 {
					t.Errorf("the backend got %d octets, %v", len(in), err)
				}
				switch r.URL.Path {
				case "/length":
					w.Header().Set("Content-Length", fmt.Sprint(size))
				case "/close":
					w.Header().Set("Connection", "close")
					w.Header().Set("Transfer-Encoding", "identity")
				}
				if r.URL.Path != "/none" {
					_, _ = w.Write(body)
				}
			}))
			if behind {
				srv.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, portal)}}
				srv.StartTLS()
			} else {
				srv.Start()
			}
			defer srv.Close()
			edits := []func(*gateway.Options, *gateway.Snapshot){over(t, p)}
			if behind {
				edits = append(edits, behindTLS(ca.Client(t, portal)))
			}
			s, addr := start(t, srv.Listener.Addr().String(), edits...)
			c := p.Client(t, "a.example")
			plain := !behind && p.Name == "h1"
			for _, x := range []struct {
				path    string
				up      io.Reader
				down    int
				expects bool // that it is moved
			}{
				{"/length", nil, size, plain},
				{"/chunked", nil, size, false},
				{"/close", nil, size, false}, // chunked for a client of HTTP/1.1
				{"/none", bytes.NewReader(body), 0, plain},
				{"/none", struct{ io.Reader }{bytes.NewReader(body)}, 0, false},
				{"/length", bytes.NewReader(body), size, plain},
			} {
				before := moved(t, s)
				req, err := http.NewRequest("POST", p.Scheme()+"://"+addr+x.path, x.up)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || len(got) != x.down || x.down > 0 && !bytes.Equal(got, body) {
					t.Fatalf("%s: got %d octets of %d, %v", x.path, len(got), x.down, err)
				}
				n := moved(t, s) - before
				if x.expects && n < size/2 || !x.expects && n > 0 {
					t.Errorf("%s: %d octets were moved", x.path, n)
				}
			}
			st, err := s.Stats()
			if err != nil {
				t.Fatal(err)
			}
			if b := st.Meter.Backends[0]; b.BytesIn != 3*size || b.BytesOut != 4*size {
				t.Errorf("%d octets in and %d out were counted", b.BytesIn, b.BytesOut)
			}
		})
	}
}

// A Unix socket takes and gives bodies that are moved, too; and whatever has carried one carries the next.
func TestConnectionsThatBodiesWereMovedOverAreUsedAgain(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			var connects, pauses atomic.Int32
			var last atomic.Pointer[time.Time] // when the last answer had not yet ended
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if l := last.Load(); l != nil && time.Since(*l) > time.Second/2 { // after a second without a request a form takes a new connection
					pauses.Add(1)
				}
				if in, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(in, body) {
					t.Errorf("the backend got %d octets, %v", len(in), err)
				}
				w.Header().Set("Content-Length", fmt.Sprint(size))
				now := time.Now()
				last.Store(&now)
				_, _ = w.Write(body)
			}))
			srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					connects.Add(1)
				}
			}
			edit := func(*gateway.Options, *gateway.Snapshot) {}
			if network == "unix" {
				path := filepath.Join(t.TempDir(), "s")
				ln, err := net.Listen("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				srv.Listener.Close()
				srv.Listener = ln
				edit = func(_ *gateway.Options, s *gateway.Snapshot) {
					s.Backends[0].Endpoints = new(endpoint.Book).Group("", endpoint.Options{
						Endpoints: []endpoint.Spec{{URL: "unix:" + path, Network: endpoint.Unix, Host: path}},
					})
				}
			}
			srv.Start()
			defer srv.Close()
			s, addr := start(t, "127.0.0.1:1", func(o *gateway.Options, snap *gateway.Snapshot) {
				o.Loops = 1
				if network == "tcp" {
					snap.Backends[0].Endpoints = gatewaytest.Fixed([]netip.AddrPort{netip.MustParseAddrPort(srv.Listener.Addr().String())})
				}
				edit(o, snap)
			})
			const n = 50
			asker := client(t)
			for range n {
				resp, err := asker.Post("http://"+addr+"/", "", bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || !bytes.Equal(got, body) {
					t.Fatalf("%d octets, %d, %v", len(got), resp.StatusCode, err)
				}
			}
			if m := moved(t, s); m < n*size {
				t.Errorf("%d octets were moved of %d", m, 2*n*size)
			}
			if c := connects.Load(); c > 1+pauses.Load() {
				t.Errorf("%d connections for %d requests with %d pauses", c, n, pauses.Load())
			}
		})
	}
}

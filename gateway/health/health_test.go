// SPDX-License-Identifier: EUPL-1.2

package health

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pvgate/pvgate/gateway/endpoint"
)

const often = 10 * time.Millisecond

var began = time.Now()

func mono() int64 { return int64(time.Since(began)) }

func groupAt(k *endpoint.Book, addresses ...string) *endpoint.Group {
	var o endpoint.Options
	for _, a := range addresses {
		at := netip.MustParseAddrPort(strings.TrimPrefix(strings.TrimPrefix(a, "https://"), "http://"))
		o.Endpoints = append(o.Endpoints, endpoint.Spec{URL: a, Addresses: []netip.AddrPort{at}})
	}
	return k.Group("b", o)
}

// eventually waits until an endpoint is in a state.
func eventually(t *testing.T, e *endpoint.Endpoint, want endpoint.State) {
	t.Helper()
	for range 2000 {
		if s, _ := e.State(); s == want {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s, _ := e.State()
	t.Fatalf("it is %v after 10 s, want %v", s, want)
}

func start(t *testing.T) *Checker {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	c := New(mono)
	t.Cleanup(func() {
		c.Close()
		if err := goleak.Find(leaks); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestStatusDecides: only answers from 200 to 399 are good; redirects are such, and are not followed; what is asked is the
// path at the backend's host.
func TestStatusDecides(t *testing.T) {
	var status atomic.Int64
	var strange atomic.Value
	status.Store(200)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.RequestURI() != "/health?deep=1" || r.Host != "portal.example" {
			strange.Store(fmt.Sprint(r.Method, r.Host, r.URL))
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(status.Load()))
	}))
	defer s.Close()
	c := start(t)
	g := groupAt(new(endpoint.Book), s.URL)
	c.Apply([]Target{{Group: g, Check: Check{Path: "/health?deep=1", Host: "portal.example", Every: often}}})
	for _, good := range []int64{302, 204, 399} {
		for _, bad := range []int64{503, 404, 500} {
			status.Store(bad)
			eventually(t, g.At(0), endpoint.Unhealthy)
			status.Store(good)
			eventually(t, g.At(0), endpoint.Returning)
		}
	}
	if q := strange.Load(); q != nil {
		t.Errorf("asked %v", q)
	}
}

// TestConnectionsAreEnoughWithoutAPath: by TCP and by Unix sockets.
func TestConnectionsAreEnoughWithoutAPath(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		at := "127.0.0.1:0"
		if network == "unix" {
			at = filepath.Join(t.TempDir(), "s")
		}
		ln, err := net.Listen(network, at)
		if err != nil {
			t.Fatal(err)
		}
		at = ln.Addr().String()
		var g *endpoint.Group
		if network == "unix" {
			g = new(endpoint.Book).Group("b", endpoint.Options{Endpoints: []endpoint.Spec{{URL: "unix:" + at, Network: endpoint.Unix, Host: at}}})
		} else {
			g = groupAt(new(endpoint.Book), at)
		}
		c := start(t)
		c.Apply([]Target{{Group: g, Check: Check{Every: often}}})
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, g.At(0), endpoint.Unhealthy)
		if ln, err = net.Listen(network, at); err != nil {
			t.Fatal(err)
		}
		eventually(t, g.At(0), endpoint.Returning)
		_ = ln.Close()
	}
}

// TestTLSIsThatOfTheTraffic: who shows a certificate that is not trusted is not healthy.
func TestTLSIsThatOfTheTraffic(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	trust := x509.NewCertPool()
	trust.AddCert(s.Certificate())
	var config atomic.Pointer[tls.Config]
	config.Store(&tls.Config{RootCAs: x509.NewCertPool(), ServerName: "example.com"})
	g := groupAt(new(endpoint.Book), s.URL)
	c := start(t)
	c.Apply([]Target{{Group: g, Check: Check{Every: often}, TLS: config.Load}})
	eventually(t, g.At(0), endpoint.Unhealthy)
	config.Store(&tls.Config{RootCAs: trust, ServerName: "example.com"})
	eventually(t, g.At(0), endpoint.Returning)
}

// TestSnapshotsStartAndStopChecks: an endpoint that goes on being checked keeps what was found; one whose check is gone is
// taken for healthy.
func TestSnapshotsStartAndStopChecks(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := ln.Addr().String()
	_ = ln.Close()
	c, k := start(t), new(endpoint.Book)
	g := groupAt(k, dead)
	k.Apply([]*endpoint.Group{g})
	check := Check{Every: often}
	c.Apply([]Target{{Group: g, Check: check}})
	eventually(t, g.At(0), endpoint.Unhealthy)
	next := groupAt(k, "127.0.0.1:1", dead)
	k.Apply([]*endpoint.Group{next})
	c.Apply([]Target{{Group: next, Check: check}})
	if s, _ := next.At(1).State(); s != endpoint.Unhealthy {
		t.Errorf("after a reload it is %v", s)
	}
	eventually(t, next.At(0), endpoint.Unhealthy)
	c.Apply([]Target{{Group: next, Check: Check{Every: 2 * often}}})
	if s, _ := next.At(1).State(); s != endpoint.Unhealthy {
		t.Errorf("with another check it is %v", s)
	}
	c.Apply(nil)
	if s, _ := next.At(1).State(); s != endpoint.Returning {
		t.Errorf("unchecked it is %v", s)
	}
}

// TestOneFailureIsNone: it takes three in a row, and two good ones to come back.
func TestOneFailureIsNone(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%3 != 0 { // two bad, one good
			w.WriteHeader(500)
		}
	}))
	defer s.Close()
	g := groupAt(new(endpoint.Book), s.URL)
	// A check that a busy machine makes late is a bad one, so each has all the time that one may have.
	r := &runner{checker: New(mono), endpoint: g.At(0), check: Check{Path: "/", Host: "a", Every: longest}}
	r.at.Store(&seat{group: g})
	for n.Load() < 20 {
		r.once(t.Context())
		if s, _ := g.At(0).State(); s != endpoint.InService {
			t.Fatalf("after %d checks it is %v", n.Load(), s)
		}
	}
}

// TestSilenceIsAFailure: who takes connections and says nothing is not healthy where a path is asked for.
func TestSilenceIsAFailure(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c := start(t)
	g := groupAt(new(endpoint.Book), ln.Addr().String())
	c.Apply([]Target{{Group: g, Check: Check{Path: "/", Host: "a", Every: often}}})
	eventually(t, g.At(0), endpoint.Unhealthy)
}

// TestRS07LocalFailuresSayNothing of an endpoint.
func TestRS07LocalFailuresSayNothing(t *testing.T) {
	for _, n := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if !local(&net.OpError{Op: "dial", Err: fmt.Errorf("connect: %w", n)}) {
			t.Errorf("%v counts against the endpoint", n)
		}
	}
	g := groupAt(new(endpoint.Book), "127.0.0.1:1")
	r := &runner{checker: New(mono), endpoint: g.At(0)}
	r.at.Store(&seat{group: g})
	for range 2 * fall {
		r.judge(syscall.EMFILE)
	}
	if s, _ := g.At(0).State(); s != endpoint.InService {
		t.Errorf("for want of our descriptors it is %v", s)
	}
	if local(syscall.ECONNREFUSED) || local(nil) {
		t.Error("what is the endpoint's own does not count")
	}
}

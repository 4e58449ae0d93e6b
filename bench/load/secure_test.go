// SPDX-License-Identifier: EUPL-1.2

package load_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvgate/pvgate/bench/load"
)

// startSecure is a server over TLS that answers every request with a kilobyte.
func startSecure(t *testing.T) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1024)) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// startHTTP1 is one that knows no HTTP/2.
func startHTTP1(t *testing.T) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func TestSecureConnectionsGetEveryAnswer(t *testing.T) {
	t.Parallel()
	addr := startSecure(t)
	var resumed, handshakes atomic.Int64
	config := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		handshakes.Add(1)
		if s.DidResume {
			resumed.Add(1)
		}
		return nil
	}}
	for _, each := range []bool{false, true} {
		handshakes.Store(0)
		var more []string
		if each {
			more = []string{"Connection: close\r\n"}
		}
		res, err := load.Run(context.Background(), load.Options{
			Address: addr, TLS: config, Conns: 4, Count: 100, ReconnectEach: each, WantStatus: 200, WantLength: 1024, Requests: [][]byte{get("/", more...)},
		})
		if err != nil || res.Err() != nil || res.Good < 100 || res.Good > 104 || res.Latency.Count() != res.Good {
			t.Errorf("each %v: %d good, %d latencies, %v, %v", each, res.Good, res.Latency.Count(), res.Err(), err)
		}
		if n := handshakes.Load(); !each && n != 4 || each && n < 100 {
			t.Errorf("each %v: %d handshakes", each, n)
		}
	}
	if n := resumed.Load(); n > 0 {
		t.Errorf("%d sessions were resumed: their handshakes cost less", n)
	}
}

func TestSecureConnectionsCarryMoreThanARecord(t *testing.T) {
	t.Parallel()
	const long = 1 << 20
	var whole atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err == nil && n == long {
			whole.Add(1)
		}
		_, _ = w.Write(make([]byte, long))
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	o := load.Options{
		Address: netip.MustParseAddrPort(s.Listener.Addr().String()), TLS: &tls.Config{InsecureSkipVerify: true}, Conns: 3, Count: 12,
		WantStatus: 200, WantLength: long,
		Requests: [][]byte{append([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "+strconv.Itoa(long)+"\r\n\r\n"), make([]byte, long)...)},
	}
	for _, keep := range []bool{true, false} {
		s.Config.SetKeepAlivesEnabled(keep)
		whole.Store(0)
		res, err := load.Run(context.Background(), o)
		if err != nil || res.Err() != nil || res.Good < 12 || whole.Load() < 12 || keep != (res.Reconnects == 0) || res.BytesIn < 12*long {
			t.Errorf("kept %v: %d good, %d whole, %d reconnects, %d octets, %v, %v", keep, res.Good, whole.Load(), res.Reconnects, res.BytesIn, res.Err(), err)
		}
	}
}

// What a header block says is what its request says, on every stream, whether the requests differ in their paths only or not.
func TestStreamsSayWhatTheirRequestsSay(t *testing.T) {
	t.Parallel()
	ask := func(path, host, accept string) []byte {
		return []byte("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nAccept: " + accept + "\r\nCookie: a=b\r\n\r\n")
	}
	for name, c := range map[string]struct {
		requests [][]byte
		want     []string
	}{
		"paths":  {[][]byte{ask("/a", "one", "x"), ask("/b", "one", "x"), ask("/missing", "one", "x")}, []string{"one /a x a=b", "one /b x a=b", "one /missing x a=b"}},
		"hosts":  {[][]byte{ask("/a", "one", "y"), ask("/a", "two", "y")}, []string{"one /a y a=b", "two /a y a=b"}},
		"fields": {[][]byte{ask("/a", "one", "z"), ask("/a", "one", "")}, []string{"one /a z a=b", "one /a  a=b"}},
	} {
		var mu sync.Mutex
		seen := map[string]int{}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen[r.Host+" "+r.URL.Path+" "+r.Header.Get("Accept")+" "+r.Header.Get("Cookie")]++
			mu.Unlock()
			if r.URL.Path == "/missing" {
				http.NotFound(w, r)
			}
		}))
		s.EnableHTTP2 = true
		s.StartTLS()
		res, err := load.Run(context.Background(), load.Options{
			Address: netip.MustParseAddrPort(s.Listener.Addr().String()), TLS: &tls.Config{InsecureSkipVerify: true}, Conns: 1, Streams: 3, Count: 30, WantLength: -1, Requests: c.requests,
		})
		s.Close()
		mu.Lock()
		if err != nil || res.Failed() > 0 || len(seen) != len(c.want) || (res.Statuses[4] > 0) != (name == "paths") {
			t.Errorf("%s: %d kinds of request, statuses %v, %v, %v", name, len(seen), res.Statuses, res.Err(), err)
		}
		for _, w := range c.want {
			if seen[w] < 30/len(c.want)-3 {
				t.Errorf("%s: %q came %d times of %v", name, w, seen[w], seen)
			}
		}
	}
}

func TestStreamsGetEveryAnswer(t *testing.T) {
	t.Parallel()
	addr := startSecure(t)
	var handshakes atomic.Int64
	config := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { handshakes.Add(1); return nil }}
	res, err := load.Run(context.Background(), load.Options{
		Address: addr, TLS: config, Conns: 2, Streams: 8, Count: 1000, WantStatus: 200, WantLength: 1024, Requests: [][]byte{get("/a"), get("/b")},
	})
	if err != nil || res.Err() != nil || res.Good < 1000 || res.Good > 1000+2*64 || res.Latency.Count() != res.Good || res.Statuses[2] != res.Good {
		t.Errorf("%d good, %d latencies, %v, %v", res.Good, res.Latency.Count(), res.Err(), err)
	}
	if n := handshakes.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	for name, o := range map[string]load.Options{
		"a body":         {Requests: [][]byte{[]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")}},
		"no TLS":         {TLS: nil, Requests: [][]byte{get("/")}},
		"new each time":  {ReconnectEach: true, Requests: [][]byte{get("/")}},
		"no HTTP at all": {Requests: [][]byte{[]byte("hello")}},
	} {
		o.Address, o.Conns, o.Streams, o.Count = addr, 1, 1, 1
		if name != "no TLS" {
			o.TLS = config
		}
		if _, err := load.Run(context.Background(), o); err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}

func TestSecureFailuresAreCounted(t *testing.T) {
	t.Parallel()
	addr := startSecure(t)
	plain, _ := startOrigin(t)
	for name, o := range map[string]load.Options{
		"other length": {Address: addr, WantLength: 1},
		"no TLS there": {Address: plain, WantLength: -1},
		"no answers":   {Address: addr, WantLength: 1, Streams: 2},
		"no HTTP/2":    {Address: startHTTP1(t), WantLength: -1, Streams: 2},
		"nobody there": {Address: netip.MustParseAddrPort("127.0.0.1:1"), WantLength: -1},
	} {
		o.TLS, o.Conns, o.Duration, o.Timeout = &tls.Config{InsecureSkipVerify: true}, 2, 1500*time.Millisecond, 100*time.Millisecond
		o.Requests = [][]byte{get("/0")}
		if res, err := load.Run(context.Background(), o); err != nil || res.Failed() == 0 || res.Good > 0 || res.Err() == nil {
			t.Errorf("%s: %d good, %d failed, %v", name, res.Good, res.Failed(), err)
		}
	}
	o := load.Options{Address: addr, TLS: &tls.Config{InsecureSkipVerify: true}, Conns: 1, Rate: 10, Duration: time.Second, Requests: [][]byte{get("/")}}
	if _, err := load.Run(context.Background(), o); err == nil {
		t.Error("an open loop over TLS is not refused")
	}
}

// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/gatewaytest"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/surface"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/registry/lookup"
	"github.com/pvgate/pvgate/routing"
)

// slowSource is a registry that answers when the test lets it.
type slowSource struct {
	asked  atomic.Int64
	answer chan string // a URL for the asked area; "" is a failure
}

func (*slowSource) Name() string { return "pvog" }

func (s *slowSource) Look(ctx context.Context, k lookup.Key) (lookup.Answer, lookup.Quota, error) {
	s.asked.Add(1)
	select {
	case <-ctx.Done():
		return lookup.Answer{}, lookup.Quota{}, ctx.Err()
	case url := <-s.answer:
		if url == "" {
			return lookup.Answer{}, lookup.Quota{}, errors.New("broken")
		}
		return lookup.Answer{Entries: []registry.Entry{{Leistung: k.Leistung, URL: url}}}, lookup.Quota{}, nil
	}
}

// lookedUp is the start of a gateway whose routes all have to be looked up; the backend is behind.example.
func lookedUp(t testing.TB, s *slowSource, p gateway.Parking, o lookup.Options) func(*gateway.Options, *gateway.Snapshot) {
	t.Helper()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		t.Fatal(err)
	}
	o.Source = s
	cache := lookup.New(o)
	t.Cleanup(cache.Close)
	return func(_ *gateway.Options, snap *gateway.Snapshot) {
		table, problems := routing.Compile(routing.Input{
			Areas: areas, Sources: []string{"operator", "marktplatz", "pvog"}, Marktplatz: 1, Lookups: []int{2},
			Backends: []routing.Backend{{Name: "origin", Hosts: []string{"behind.example"}, Proxy: true}},
		})
		if table == nil {
			t.Fatal(problems)
		}
		made, err := surface.New(surface.Options{
			Domain: "a.example", Listeners: []surface.Listener{{Any: true}}, Table: table, Lookups: []surface.Lookup{{Source: 2, Cache: cache}},
			Backends: []surface.Backend{{Name: "origin", Proxy: true, Limit: new(limit.Backend)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		snap.Resolver, snap.Parking = made, p
	}
}

// parked waits until so many requests wait.
func parked(t testing.TB, s *gateway.Server, n int) {
	t.Helper()
	eventually(t, func() string {
		if waiting := stats(t, s).Parked; waiting != n {
			return fmt.Sprintf("%d wait, want %d", waiting, n)
		}
		return ""
	})
}

// parkedOrRefused waits until so many requests wait or have been refused over HTTP/2, and returns how many have been.
func parkedOrRefused(t testing.TB, s *gateway.Server, n int) (refused int) {
	t.Helper()
	eventually(t, func() string {
		st := stats(t, s)
		refused = int(st.Meter.Codes[exchange.HTTP2][503])
		if st.Parked+refused == n {
			return ""
		}
		return fmt.Sprintf("%d wait and %d were refused, want %d", st.Parked, refused, n)
	})
	return refused
}

const augsburg = "/leistung/99050012104000/097610000000"

// Over every protocol a request waits for a look-up with what has come of its body, is answered by what is found, is told
// when nothing is, and leaves its place with its client.
func TestLookupsOverEveryProtocol(t *testing.T) {
	t.Parallel()
	gatewaytest.Each(t, func(t *testing.T, p *gatewaytest.Protocol) {
		back := origin(t, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %d", r.URL.Path, r.Header.Get("PV-ARS"), len(b))
		})
		source := &slowSource{answer: make(chan string)}
		s, address := start(t, back, over(t, p), lookedUp(t, source, gateway.Parking{Most: 4, Wait: time.Minute}, lookup.Options{Timeout: time.Minute, Rate: 1000, Burst: 1000}))
		client := p.Client(t, "a.example")
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		ask := func(ctx context.Context, method, path, body string) <-chan string {
			answered := make(chan string, 1)
			r, err := http.NewRequestWithContext(ctx, method, p.Scheme()+"://"+address+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "a.example"
			go func() {
				res, err := client.Do(r)
				if err != nil {
					answered <- err.Error()
					return
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				if err != nil {
					b = append(b, err.Error()...)
				}
				answered <- res.Status[:4] + res.Header.Get("Location") + res.Header.Get("PV-Reason") + " " + string(b)
			}()
			return answered
		}
		get, post := ask(t.Context(), "GET", augsburg, ""), ask(t.Context(), "POST", augsburg+"/antrag", strings.Repeat("x", 30_000))
		parked(t, s, 2)
		ctx, cancel := context.WithCancel(t.Context())
		gone := ask(ctx, "GET", augsburg, "")
		parked(t, s, 3)
		cancel()
		<-gone
		parked(t, s, 2)
		source.answer <- "https://behind.example/form"
		if got := <-get; !strings.HasPrefix(got, "303 http") || !strings.Contains(got, "://origin.a.example/form") {
			t.Errorf("GET got %.100q", got)
		}
		if got := <-post; !strings.HasSuffix(got, " /form/antrag 097610000000 30000") || !strings.HasPrefix(got, "200 ") {
			t.Errorf("POST got %.100q", got)
		}
		if n := source.asked.Load(); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
		if got := <-ask(t.Context(), "GET", augsburg, ""); !strings.HasPrefix(got, "303 ") || source.asked.Load() != 1 {
			t.Errorf("asked again: got %.100q after %d calls", got, source.asked.Load())
		}
		failing := ask(t.Context(), "GET", "/leistung/99036026017000/097610000000", "")
		parked(t, s, 1)
		source.answer <- ""
		if got := <-failing; !strings.HasPrefix(got, "503 registry_unavailable") {
			t.Errorf("a look-up that failed: got %.100q", got)
		} else if want := `"source":"` + (*slowSource)(nil).Name() + `"`; !strings.Contains(got, want) {
			t.Errorf("a look-up that failed: got %q, want %s in it", got, want)
		}
		if got := <-ask(t.Context(), "GET", augsburg, ""); !strings.HasPrefix(got, "303 ") {
			t.Errorf("a known key: got %.100q", got)
		}
		parked(t, s, 0)
	})
}

// Who waits in vain, and who may not wait, is told which source there is no answer from.
func TestARequestThatCannotWaitIsToldForWhom(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]gateway.Parking{"nobody may wait": {}, "the time is over": {Most: 1, Wait: 20 * time.Millisecond}} {
		source := &slowSource{answer: make(chan string)}
		_, address := start(t, "127.0.0.1:1", lookedUp(t, source, p, lookup.Options{Timeout: time.Minute}))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+augsburg, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "a.example"
		res, err := client(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if want := `"source":"` + source.Name() + `"`; err != nil || res.StatusCode != 503 || !strings.Contains(string(b), want) {
			t.Errorf("%s: %d, %q, %v; want 503 with %s", name, res.StatusCode, b, err, want)
		}
		res.Body.Close()
	}
}

// Ten thousand requests that wait at once cost what they are allowed to, and what they held is given back. Not parallel: it
// weighs.
func TestTenThousandRequestsWaitForLookups(t *testing.T) { //nolint:paralleltest // see above
	const connections, pipeline, size = 250, 40, 1 << 10
	const waiting = connections * pipeline
	source := &slowSource{answer: make(chan string)}
	s, address := start(t, "127.0.0.1:1", lookedUp(t, source, gateway.Parking{Most: waiting, Wait: time.Minute}, lookup.Options{Timeout: time.Minute, Waiters: waiting}),
		func(o *gateway.Options, _ *gateway.Snapshot) {
			o.Listen = []gateway.Listener{{Address: "127.0.0.1:0", Protocols: conn.HTTP2}}
		})
	before := heap()
	var all []*h2Streams
	refused := 0
	for i := range connections { // not all at once: a loop that is behind refuses some
		c := dialH2(t, address)
		defer c.Close()
		c.ask(t, augsburg, pipeline, size)
		all = append(all, c)
		for {
			more := parkedOrRefused(t, s, (i+1)*pipeline+refused) - refused
			if more == 0 {
				break
			}
			if refused += more; refused > waiting/10 {
				t.Fatalf("%d are refused, %d of them on connection %d", refused, more, i)
			}
			if got := c.statuses(t, more); got["503"] != more {
				t.Fatalf("%d do not wait: %v", more, got)
			}
			c.ask(t, augsburg, more, size)
		}
	}
	each := (heap() - before) / waiting
	t.Logf("%d wait, each with a head of %d octets: %d octets of heap", waiting, size, each)
	if each > 16<<10 {
		t.Errorf("each costs %d octets, want 16 KiB at most for a head of 1 KiB", each)
	}
	over := dialH2(t, address)
	defer over.Close()
	over.ask(t, augsburg, 1, 0)
	if got := over.statuses(t, 1); got["503"] != 1 {
		t.Errorf("one more got %v, want 503", got)
	}
	source.answer <- "https://www.augsburg.de/gewerbe"
	for _, c := range all {
		if got := c.statuses(t, pipeline); got["303"] != pipeline {
			t.Fatalf("got %v", got)
		}
	}
	parked(t, s, 0)
	if n := source.asked.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

// Of a request that waits no more is held than may be, whatever its head is made of and however much of its body came.
func TestOneThatWaitsHoldsNoMoreThanMay(t *testing.T) { //nolint:paralleltest // as the one above
	const n, body = 100, 60_000
	language := "Accept-Language: " + strings.Repeat("x", 28<<10)
	var fields strings.Builder // many and short ones cost more than their octets
	for range 80 {
		fields.WriteString("\r\na: b")
	}
	for name, head := range map[string]string{
		"one large field":   "POST " + augsburg + "/antrag HTTP/1.1\r\nHost: a.example\r\n" + language,
		"all that it keeps": "POST " + augsburg + "/" + strings.Repeat("a", 3<<10) + "?" + strings.Repeat("b", 4<<10) + " HTTP/1.1\r\nHost: a.example\r\n" + language[:20<<10] + fields.String(),
	} {
		t.Run(name, func(t *testing.T) {
			source := &slowSource{answer: make(chan string)}
			s, address := start(t, "127.0.0.1:1", lookedUp(t, source, gateway.Parking{Most: 2 * n, Wait: time.Minute}, lookup.Options{Timeout: time.Minute, Waiters: 2 * n}))
			waiting := 0
			wait := func(message string) int64 {
				before := heap()
				for range n {
					c, err := net.Dial("tcp", address)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { c.Close() })
					if _, err := io.WriteString(c, message); err != nil {
						t.Fatal(err)
					}
					waiting++
					parked(t, s, waiting)
				}
				time.Sleep(50 * time.Millisecond) // for what comes of bodies
				return (heap() - before) / n
			}
			small := wait("GET " + augsburg + " HTTP/1.1\r\nHost: a.example\r\n\r\n")
			large := wait(head + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", body) + strings.Repeat("x", body))
			t.Logf("a small one costs %d octets of heap, a large one %d", small, large)
			const most = exchange.MaxHeld + 16<<10 // the allocator rounds head and body up to its pages
			if large-small > most {
				t.Errorf("a large one costs %d octets more than a small one, want %d at most", large-small, most)
			}
			parked(t, s, waiting)
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// h2Streams is a client of HTTP/2 that asks much at once.
type h2Streams struct {
	net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	fields *hpack.Encoder
	next   uint32
}

func dialH2(t testing.TB, address string) *h2Streams {
	t.Helper()
	over, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := &h2Streams{Conn: over, framer: http2.NewFramer(over, over), next: 1}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.fields = hpack.NewEncoder(&c.block)
	if _, err = io.WriteString(over, http2.ClientPreface); err == nil {
		err = c.framer.WriteSettings()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask sends n requests with so many octets of fields.
func (c *h2Streams) ask(t testing.TB, path string, n, size int) {
	t.Helper()
	for range n {
		c.block.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "a.example"}, {":path", path}, {"x-large", strings.Repeat("x", size)}} {
			_ = c.fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true})
		}
		if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: c.block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
		c.next += 2
	}
}

// statuses reads n answers.
func (c *h2Streams) statuses(t testing.TB, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < n; {
		f, err := c.framer.ReadFrame()
		if err != nil {
			t.Fatalf("after %d answers: %v", i, err)
		}
		if h, ok := f.(*http2.MetaHeadersFrame); ok {
			got[h.PseudoValue("status")]++
			i++
		}
	}
	return got
}

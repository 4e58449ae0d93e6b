// SPDX-License-Identifier: EUPL-1.2

package metrics_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/gatewaytest"
)

const host = gatewaytest.Domain

func at(leistung, area string) string { return "GET /leistung/" + leistung + "/" + area }

func wants(t *testing.T, samples map[string]float64, want map[string]float64) {
	t.Helper()
	for name, v := range want {
		if samples[name] != v {
			t.Errorf("%s is %v, want %v", name, samples[name], v)
		}
	}
}

func TestRequestsAreCountedWhereTheyBelong(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	for _, line := range []string{
		at(gatewaytest.Gewerbe, gatewaytest.Marburg), // configured, redirect
		at(gatewaytest.Bund, gatewaytest.Marburg),    // implicit
		at(gatewaytest.Meldung, "01"),                // implicit
		at(gatewaytest.Kfz, gatewaytest.Marburg),     // no_route
		"POST /leistung/" + gatewaytest.Down + "/06", // connect_refused
		"GET /_pv/health",
	} {
		g.Ask(t, host, line)
	}
	g.Ask(t, "hessen."+host, "GET /x", "PV-Sender: forged", "X_Forwarded_For: 1", "X-PVP-UserID: me", "Forwarded: for=1")
	g.Ask(t, host, at(gatewaytest.Gewerbe, gatewaytest.Marburg), "PV-ARS: 01", "pv.ars: 01") // no backend asked, counted all the same
	g.Raw(t, gatewaytest.Direct, "GET / HTTP/1.1\r\nHost : x\r\n\r\n")
	wants(t, g.Samples(t), map[string]float64{
		`pvgate_requests_total{code="200",proto="h1"}`:                           2,
		`pvgate_requests_total{code="303",proto="h1"}`:                           4,
		`pvgate_requests_total{code="400",proto="h1"}`:                           1,
		`pvgate_requests_total{code="404",proto="h1"}`:                           1,
		`pvgate_requests_total{code="502",proto="h1"}`:                           1,
		`pvgate_backend_requests_total{backend="marburg",class="3xx"}`:           2,
		`pvgate_backend_requests_total{backend="other",class="3xx"}`:             2,
		`pvgate_backend_requests_total{backend="hessen",class="2xx"}`:            1,
		`pvgate_backend_requests_total{backend="dead",class="none"}`:             1,
		`pvgate_backend_failures_total{backend="dead",reason="connect_refused"}`: 1,
		`pvgate_reasons_total{land="06",reason="handover"}`:                      3,
		`pvgate_reasons_total{land="01",reason="handover"}`:                      1,
		`pvgate_reasons_total{land="06",reason="no_route"}`:                      1,
		`pvgate_reasons_total{land="06",reason="connect_refused"}`:               1,
		`pvgate_reasons_total{land="none",reason="bad_request"}`:                 1,
		`pvgate_requests_refused_total{reason="bad_request"}`:                    1,
		`pvgate_headers_removed_total{kind="pv"}`:                                2,
		`pvgate_headers_removed_total{kind="alias"}`:                             2,
		`pvgate_headers_removed_total{kind="identity"}`:                          1,
		`pvgate_headers_removed_total{kind="forwarded"}`:                         1,
	})
}

// The shared backend's limit answers 503, whoever asks, and says when to come back.
func TestLimitedByTheBackendIs503WithRetryAfter(t *testing.T) {
	t.Parallel()
	g, origin := gatewaytest.Standard(t, nil)
	for _, line := range []string{"POST /leistung/" + gatewaytest.Strict + "/06", at(gatewaytest.StrictPage, "06")} {
		for i := range 3 {
			a := g.Ask(t, host, line)
			if i == 0 {
				if a.Status >= 400 {
					t.Errorf("%s: the first got %d %s", line, a.Status, a.Reason())
				}
				continue
			}
			wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
			if a.Status != 503 || a.Reason() != "backend_limited" || err != nil || wait < 1 || wait > 3600 {
				t.Errorf("%s: %d %s, Retry-After %q; want 503 backend_limited, 1 to 3600", line, a.Status, a.Reason(), a.Header.Get("Retry-After"))
			}
			if a.Doc["retry_after"] != float64(wait) || a.Doc["limit"] != "1/h" || a.Doc["fault"] != "backend" {
				t.Errorf("%s: %s", line, a.Body)
			}
		}
	}
	if n := len(origin.Requests()); n != 1 {
		t.Errorf("%d requests have reached the backend, want 1", n)
	}
	wants(t, g.Samples(t), map[string]float64{
		`pvgate_limited_total{backend="narrow",whose="backend"}`:                       2,
		`pvgate_limited_total{backend="narrowpage",whose="backend"}`:                   2,
		`pvgate_backend_failures_total{backend="narrow",reason="backend_limited"}`:     2,
		`pvgate_backend_failures_total{backend="narrowpage",reason="backend_limited"}`: 2,
		`pvgate_backend_in_flight{backend="narrow"}`:                                   0,
	})
}

func TestBusyBackendIs503WithRetryAfter(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	origin := gatewaytest.NewOrigin(t, func(*gatewaytest.Seen) string {
		close(entered)
		<-leave
		return gatewaytest.OK("late")
	})
	o := gatewaytest.StandardOptions(t, origin)
	for i := range o.Backends {
		if o.Backends[i].Name == "hessen" {
			o.Backends[i].Limits.InFlight = 1
		}
	}
	g := gatewaytest.Start(t, o)
	release := sync.OnceFunc(func() { close(leave) })
	t.Cleanup(release) // the origin ends after its requests
	first := make(chan *gatewaytest.Answer, 1)
	go func() {
		defer close(first) // also when Ask ends the test
		first <- g.Ask(t, "hessen."+host, "GET /slow")
	}()
	select {
	case <-entered:
	case a := <-first:
		t.Fatalf("was answered without the backend: %v", a)
	}
	a := g.Ask(t, "hessen."+host, "GET /x")
	if wait, err := strconv.Atoi(a.Header.Get("Retry-After")); a.Status != 503 || a.Reason() != "backend_busy" || err != nil || wait < 1 {
		t.Errorf("%d %s, Retry-After %q; want 503 backend_busy, 1 or more", a.Status, a.Reason(), a.Header.Get("Retry-After"))
	}
	wants(t, g.Samples(t), map[string]float64{
		`pvgate_limited_total{backend="hessen",whose="backend"}`: 1,
		`pvgate_backend_in_flight{backend="hessen"}`:             1,
		`pvgate_backend_in_flight_limit{backend="hessen"}`:       1,
	})
	release()
	if a := <-first; a == nil || a.Status != 200 || a.Body != "late" {
		t.Errorf("the request inside got %v", a)
	}
	wants(t, g.Samples(t), map[string]float64{`pvgate_backend_in_flight{backend="hessen"}`: 0})
}

// OB-02: whatever clients invent, hosts, paths, methods, keys, names of fields, makes no series.
func TestOB02RandomRequestsMakeNoSeries(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	requests := 20_000
	if testing.Short() {
		requests = 2_000
	}
	random := rand.New(rand.NewPCG(1, 2))
	invented := func() string {
		word := func() string { return strconv.FormatUint(random.Uint64(), 36) }
		method, where, target := "GET", host, "/"
		switch random.IntN(7) {
		case 0:
			where = word() + ".example"
		case 1:
			where = word() + "." + host
		case 2:
			target = "/" + word() + "/" + word()
		case 3:
			method = strings.ToUpper(word())
			target = "/leistung/" + gatewaytest.Gewerbe + "/" + gatewaytest.Marburg
		case 4:
			target = fmt.Sprintf("/leistung/99%012d/%s", random.Uint64N(1e12), gatewaytest.Marburg)
		case 5:
			target = fmt.Sprintf("/leistung/%s/%012d", gatewaytest.Gewerbe, random.Uint64N(1e12))
		case 6:
			where, target = "hessen."+host, "/"+word()+"?"+word()
		}
		return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nX-%s: %s\r\nPV-%s: 1\r\n\r\n", method, target, where, word(), word(), word())
	}
	storm(t, g, 500, invented) // every kind has come several times
	before := len(g.Samples(t))
	storm(t, g, requests, invented)
	// What may still come on are buckets of nothing and classes of kinds: none, for their labels are closed sets that
	// the first round has filled. A reason that needs luck (an invented key that exists) is the only allowance.
	after := len(g.Samples(t))
	if after > before+8 {
		t.Errorf("%d series after 500 requests, %d after %d more", before, after, requests)
	}
	if text := len(g.Exposition(t)); text >= 1<<20 {
		t.Errorf("/metrics has %d bytes, want less than 1 MiB", text)
	}
	for name := range g.Samples(t) {
		if strings.Contains(name, "example") {
			t.Errorf("series %s holds what a client sent", name)
		}
	}
}

// storm sends requests over a few connections until n are answered.
func storm(t *testing.T, g *gatewaytest.Gateway, n int, request func() string) {
	t.Helper()
	for n > 0 {
		var in strings.Builder
		var methods []string
		for range min(n, 50) {
			r := request()
			method, _, _ := strings.Cut(r, " ")
			methods = append(methods, method)
			in.WriteString(r)
		}
		n -= burst(t, g.Addr, in.String(), methods)
	}
}

// burst sends pipelined requests and returns how many were answered before the gateway closed the connection.
func burst(t *testing.T, addr, in string, methods []string) (answered int) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return len(methods)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(c, in) }()
	answers := bufio.NewReader(c)
	for _, method := range methods {
		resp, err := http.ReadResponse(answers, &http.Request{Method: method})
		if err != nil {
			t.Errorf("after %d answers: %v", answered, err)
			return len(methods)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		if answered++; resp.Close {
			break
		}
	}
	return answered
}

// OB-03: a scrape asks each loop for one turn: it is a message in the loop's mailbox that adds a few hundred kilobytes
// of counters, no lock is taken on the request path, and no loop waits for another or for the scraper. So requests and
// scrapes beside each other both end, and nothing is counted twice or lost.
func TestOB03ScrapesBesideTrafficLoseNothing(t *testing.T) {
	t.Parallel()
	g, _ := gatewaytest.Standard(t, nil)
	const clients, each = 4, 300
	var traffic sync.WaitGroup
	for range clients {
		traffic.Go(func() {
			storm(t, g, each, func() string { return "GET /_pv/health HTTP/1.1\r\nHost: " + host + "\r\n\r\n" })
		})
	}
	done := make(chan struct{})
	go func() { traffic.Wait(); close(done) }()
	const served = `pvgate_requests_total{code="200",proto="h1"}`
	last := 0.0
	for going := true; going; {
		select {
		case <-done:
			going = false
		default:
		}
		now := g.Samples(t)[served]
		if now < last {
			t.Fatalf("%v requests after %v: a counter went back", now, last)
		}
		last = now
	}
	if got := g.Samples(t)[served]; got != clients*each {
		t.Errorf("%v requests counted, %d served", got, clients*each)
	}
}

// BenchmarkOB03 is a request over a kept connection, without and with a scraper that never rests.
func BenchmarkOB03(b *testing.B) {
	for name, scrape := range map[string]bool{"quiet": false, "scraped": true} {
		b.Run(name, func(b *testing.B) {
			origin := gatewaytest.NewOrigin(b, nil)
			g := gatewaytest.Start(b, gatewaytest.StandardOptions(b, origin))
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for scrape {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
						_, _ = g.Metrics.Gather()
					}
				}
			}()
			c, err := net.Dial("tcp", g.Addr)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			answers := bufio.NewReader(c)
			for b.Loop() {
				if _, err := io.WriteString(c, "GET /_pv/health HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
					b.Fatal(err)
				}
				resp, err := http.ReadResponse(answers, nil)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
			}
			close(stop)
			<-stopped
		})
	}
}

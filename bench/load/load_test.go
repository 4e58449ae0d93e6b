// SPDX-License-Identifier: EUPL-1.2

package load_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pvgate/pvgate/bench/load"
	"github.com/pvgate/pvgate/bench/origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startOrigin(t *testing.T) (netip.AddrPort, *origin.Server) {
	t.Helper()
	s, err := origin.New(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Addr(), s
}

// startScript accepts connections and hands each with its number to serve.
func startScript(t *testing.T, serve func(i int, c net.Conn, r *bufio.Reader)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				serve(i, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

func get(path string, more ...string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: o\r\n" + strings.Join(more, "") + "\r\n")
}

func TestClosedLoopGetsEveryAnswer(t *testing.T) {
	t.Parallel()
	post := func(n int) []byte {
		return fmt.Appendf(nil, "POST /1k HTTP/1.1\r\nHost: o\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
	}
	for _, c := range []struct {
		name string
		o    load.Options
	}{
		{"one connection", load.Options{Conns: 1, Requests: [][]byte{get("/1k"), get("/a/1k")}, WantLength: 1024}},
		{"many", load.Options{Conns: 50, Requests: [][]byte{get("/0")}, WantLength: 0}},
		{"large answers", load.Options{Conns: 4, Requests: [][]byte{get("/1m")}, WantLength: 1 << 20}},
		{"large bodies", load.Options{Conns: 4, Requests: [][]byte{post(1 << 20)}, WantLength: 1024}},
		{"a connection each", load.Options{Conns: 3, Requests: [][]byte{get("/1k", "Connection: close\r\n")}, ReconnectEach: true, WantLength: 1024}},
		{"server closes", load.Options{Conns: 3, Requests: [][]byte{get("/1k", "Connection: close\r\n")}, WantLength: 1024}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var s *origin.Server
			c.o.Address, s = startOrigin(t)
			c.o.Count, c.o.WantStatus = 300, 200
			res, err := load.Run(context.Background(), c.o)
			if err != nil {
				t.Fatal(err)
			}
			if err := res.Err(); err != nil {
				t.Error(err)
			}
			if res.Good < 300 || res.Good != res.Latency.Count() || res.Good != res.Statuses[2] {
				t.Errorf("good %d, latencies %d, 2xx %d; want ≥ 300 and equal", res.Good, res.Latency.Count(), res.Statuses[2])
			}
			if got := s.Requests(); got < res.Good || got > res.Good+uint64(c.o.Conns) {
				t.Errorf("origin answered %d, load counted %d", got, res.Good)
			}
		})
	}
}

func TestEveryKindOfFailureIsCountedAsSuch(t *testing.T) {
	t.Parallel()
	answer := func(text string) func(int, net.Conn, *bufio.Reader) {
		return func(_ int, c net.Conn, r *bufio.Reader) {
			for {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				if text == "" {
					_, _ = r.ReadByte() // until the client gives up
					return
				}
				if _, err := io.WriteString(c, strings.TrimSuffix(text, "EOF")); err != nil || strings.HasSuffix(text, "EOF") {
					return
				}
			}
		}
	}
	for _, c := range []struct {
		name, answer string
		count        func(*load.Result) uint64
	}{
		{"status", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", func(r *load.Result) uint64 { return r.Wrong }},
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", func(r *load.Result) uint64 { return r.Wrong }},
		{"no HTTP", "HELLO WORLD, THIS IS\r\n\r\n", func(r *load.Result) uint64 { return r.Invalid }},
		{"surplus", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc", func(r *load.Result) uint64 { return r.Invalid }},
		{"cut head", "HTTP/1.1 200 OK\r\nContent-LeEOF", func(r *load.Result) uint64 { return r.Lost }},
		{"cut body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcEOF", func(r *load.Result) uint64 { return r.Lost }},
		{"silent", "", func(r *load.Result) uint64 { return r.TimedOut }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := load.Options{Conns: 2, Requests: [][]byte{get("/")}, Count: 6, WantStatus: 200, WantLength: 1, Timeout: 10 * time.Millisecond}
			if c.answer != "" {
				o.Timeout = time.Minute
			}
			o.Address = startScript(t, answer(c.answer))
			res, err := load.Run(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.count(&res); got < 6 || got != res.Failed() || res.Good != 0 || res.Err() == nil {
				t.Errorf("got %d of that kind, %+v", got, res.Err())
			}
		})
	}
}

func TestChunkedInterimAndUnboundedAnswersAreRead(t *testing.T) {
	t.Parallel()
	texts := []string{
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\ncontent-length:  5 \r\n\r\nabcde",
		"HTTP/1.1 200 OK\r\n\r\nabcde",
	}
	addr := startScript(t, func(i int, c net.Conn, r *bufio.Reader) {
		for k := i; ; k++ {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			text := texts[k%len(texts)]
			for j := range len(text) {
				if _, err := io.WriteString(c, text[j:j+1]); err != nil {
					return
				}
			}
			if k%len(texts) == 2 {
				return
			}
		}
	})
	res, err := load.Run(context.Background(), load.Options{Address: addr, Conns: 1, Requests: [][]byte{get("/")}, Count: 30, WantStatus: 200, WantLength: 5})
	if err != nil || res.Err() != nil || res.Good < 30 {
		t.Errorf("got %d good, %v, %v; want 30", res.Good, res.Err(), err)
	}
}

func TestOpenLoopKeepsItsScheduleWhileTheServerStalls(t *testing.T) {
	t.Parallel()
	const stall = 150 * time.Millisecond
	addr := startScript(t, func(_ int, c net.Conn, r *bufio.Reader) {
		for k := 0; ; k++ {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			if k == 20 {
				time.Sleep(stall) // the stall is what is tested, nothing waits for it
			}
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
				return
			}
		}
	})
	res, err := load.Run(context.Background(), load.Options{
		Address: addr, Conns: 1, Requests: [][]byte{get("/")}, Rate: 1000, Duration: 300 * time.Millisecond, WantLength: 0,
	})
	if err != nil || res.Err() != nil {
		t.Fatal(err, res.Err())
	}
	if res.Good != 300 {
		t.Errorf("got %d answers, want 300: the schedule must not wait for the server", res.Good)
	}
	if got := res.Latency.Max(); got < stall {
		t.Errorf("longest latency %v, want ≥ %v", got, stall)
	}
	// One request met the stall; a hundred others were due meanwhile and must show it too.
	if got := res.Latency.Quantile(0.8); got < stall/10 {
		t.Errorf("80 %% latency is %v: the requests that had to wait were counted from when they left", got)
	}
}

func TestOpenLoopCountsWhatDoesNotFitTheBacklog(t *testing.T) {
	t.Parallel()
	addr := startScript(t, func(_ int, _ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) })
	res, err := load.Run(context.Background(), load.Options{
		Address: addr, Conns: 1, Requests: [][]byte{get("/")}, Rate: 2000, Duration: 50 * time.Millisecond, Timeout: 500 * time.Millisecond, MaxBacklog: 9, WantLength: 0,
	})
	if err != nil {
		t.Fatal(err)
	}
	if res.Missed != 90 || res.TimedOut != 10 || res.Good != 0 {
		t.Errorf("missed %d, timed out %d, good %d; want 90, 10, 0", res.Missed, res.TimedOut, res.Good)
	}
}

func TestPoissonScheduleIsDecidedByItsSeed(t *testing.T) {
	t.Parallel()
	addr, _ := startOrigin(t)
	run := func(seed uint64) uint64 {
		res, err := load.Run(context.Background(), load.Options{
			Address: addr, Conns: 8, Requests: [][]byte{get("/0")}, Rate: 5000, Poisson: true, Seed: seed, Duration: 40 * time.Millisecond, WantLength: 0,
		})
		if err != nil || res.Err() != nil {
			t.Fatal(err, res.Err())
		}
		return res.Good
	}
	a, b, c := run(1), run(1), run(2)
	if a != b || a == c || a < 100 || a > 300 {
		t.Errorf("got %d, %d with one seed and %d with another; want equal, different, about 200", a, b, c)
	}
}

func TestBeginAndEndEncloseTheMeasuredTime(t *testing.T) { //nolint:paralleltest // who has no processor sends nothing in a warm-up
	addr, s := startOrigin(t)
	var first, last uint64
	var began, ended int
	res, err := load.Run(context.Background(), load.Options{
		Address: addr, Conns: 2, Requests: [][]byte{get("/0")}, WarmUp: 100 * time.Millisecond, Duration: 50 * time.Millisecond, WantLength: 0,
		Begin: func() { began++; first = s.Requests() },
		End:   func() { ended++; last = s.Requests() },
	})
	if err != nil || began != 1 || ended != 1 {
		t.Fatalf("%v, begin called %d times, end %d", err, began, ended)
	}
	if first == 0 {
		t.Error("nothing was sent in the warm-up")
	}
	if d := last - first; res.Good == 0 || d+4 < res.Good || d > res.Good+4 {
		t.Errorf("origin answered %d in the measured time, load counted %d", d, res.Good)
	}
	if res.Elapsed < 50*time.Millisecond {
		t.Errorf("elapsed %v, want ≥ 50ms", res.Elapsed)
	}
}

func TestRefusedConnectionsAreFailures(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddrPort("127.0.0.1:1") // a port that was free a moment ago may be another test's by now
	res, err := load.Run(context.Background(), load.Options{Address: addr, Conns: 2, Requests: [][]byte{get("/")}, Duration: 10 * time.Millisecond})
	if err != nil || res.Refused == 0 || res.Err() == nil {
		t.Errorf("got %+v, %v; want refused connections", res.Err(), err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	addr, _ := startOrigin(t)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	_, err := load.Run(ctx, load.Options{Address: addr, Conns: 1, Requests: [][]byte{get("/0")}, Duration: time.Hour, WantLength: -1})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	good := load.Options{Address: netip.MustParseAddrPort("127.0.0.1:1"), Conns: 1, Requests: [][]byte{get("/")}, Count: 1}
	for name, spoil := range map[string]func(*load.Options){
		"no address":  func(o *load.Options) { o.Address = netip.AddrPort{} },
		"no conns":    func(o *load.Options) { o.Conns = 0 },
		"no requests": func(o *load.Options) { o.Requests = nil },
		"no end":      func(o *load.Options) { o.Count = 0 },
		"bad rate":    func(o *load.Options) { o.Rate = -1 },
		"bad first":   func(o *load.Options) { o.First = -1 },
	} {
		o := good
		spoil(&o)
		if _, err := load.Run(context.Background(), o); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/meter"
	"github.com/pvgate/pvgate/gateway/surface"
	"github.com/pvgate/pvgate/gateway/upstream"
	"github.com/pvgate/pvgate/registry"
	"github.com/pvgate/pvgate/routing"
)

const (
	benchRequest = "GET /svc/99000004007007/region/091000011000/1k HTTP/1.1\r\nHost: 127.0.0.1:10140\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\nAccept: application/json, text/plain, */*\r\nAccept-Language: de-DE,de;q=0.9,en;q=0.8\r\n" +
		"X-Correlation-Id: 6f1c1c0e-7a39-4a1e-9a0b-2f6f0f3f1a11\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\r\n"
	benchAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: 1024\r\n\r\n"
)

// peer is who is at the other end.
type peer uint8

const (
	client peer = iota
	dialing
	backend
)

// loopback is a kernel whose clients ask again as soon as they are answered, and whose backends answer at once: what is
// left is what a request costs beside the system calls.
type loopback struct {
	loop.Kernel // what is not called
	start       time.Time
	fds         []peer // by descriptor
	gens        []uint32
	ready       []int32
	request     string
	answer      []byte
	answered    int
	waiting     int // connections to accept
	hosts       int // of which each request names the next in turn, by the four digits at digitsAt of request; 0: it is as it is
	digitsAt    int
	turn        int
}

func (k *loopback) Now() (int64, time.Time) {
	t := time.Now()
	return int64(t.Sub(k.start)), t
}

func (k *loopback) Worked() int64 { return 0 }
func (k *loopback) Woken() bool   { return false }

// Peek finds nothing: these backends speak only when they are asked.
func (k *loopback) Peek(int32) syscall.Errno { return syscall.EAGAIN }

func (k *loopback) open(p peer) int32 {
	k.fds, k.gens = append(k.fds, p), append(k.gens, 0)
	return int32(len(k.fds) - 1)
}

func (k *loopback) Add(fd int32, gen uint32) syscall.Errno {
	k.gens[fd] = gen
	if fd > 0 {
		k.ready = append(k.ready, fd)
	}
	return 0
}

// Poll reports a few at a time, as a busy kernel does.
func (k *loopback) Poll(events []loop.Event) int {
	n := min(len(k.ready), 8)
	for i, fd := range k.ready[:n] {
		events[i] = loop.Event{FD: fd, Gen: k.gens[fd], Flags: loop.EventRead}
		if k.fds[fd] == dialing {
			events[i].Flags, k.fds[fd] = loop.EventWrite, backend
		}
	}
	k.ready = append(k.ready[:0], k.ready[n:]...)
	return n
}

func (k *loopback) Wait(events []loop.Event, _ int64) (n, sleeps int) {
	if k.waiting > 0 {
		events[0] = loop.Event{FD: 0, Gen: k.gens[0], Flags: loop.EventRead}
		return 1, 0
	}
	return k.Poll(events), 0
}

func (k *loopback) Accept(int32) (int32, netip.AddrPort, syscall.Errno) {
	if k.waiting == 0 {
		return 0, netip.AddrPort{}, syscall.EAGAIN
	}
	k.waiting--
	return k.open(client), netip.MustParseAddrPort("192.0.2.1:4000"), 0
}

func (k *loopback) Socket(loop.Family) (int32, syscall.Errno)   { return k.open(dialing), 0 }
func (k *loopback) Connect(int32, netip.AddrPort) syscall.Errno { return 0 }
func (k *loopback) SocketError(int32) syscall.Errno             { return 0 }
func (k *loopback) Wake()                                       {}
func (k *loopback) Close(int32)                                 {}
func (k *loopback) Release()                                    {}
func (k *loopback) Write(fd int32, b []byte) (int, syscall.Errno) {
	if k.fds[fd] == client {
		k.answered++
	}
	k.ready = append(k.ready, fd)
	return len(b), 0
}

func (k *loopback) Read(fd int32, b []byte) (int, syscall.Errno) {
	if k.fds[fd] == backend {
		return copy(b, k.answer), 0
	}
	n := copy(b, k.request)
	if k.hosts > 0 {
		k.turn = (k.turn + 1) % k.hosts
		for i, left := k.digitsAt+3, k.turn; i >= k.digitsAt; i, left = i-1, left/10 {
			b[i] = byte('0' + left%10)
		}
	}
	return n, 0
}

// BenchmarkRequest is a proxied request of 64 connections that are kept alive, without the kernel's part.
func BenchmarkRequest(b *testing.B) {
	benchmarkRequests(b, benchRequest, limit.Limits{Rate: limit.Quota{Requests: 1e6, Burst: 1e6}, InFlight: 1e4}, 200)
}

// BenchmarkShed is the same where the backend has no place: requests are refused. It must be cheap, or refusing would be what
// there is no time for.
func BenchmarkShed(b *testing.B) {
	full := limit.Limits{InFlight: 1}
	b.Run("document", func(b *testing.B) { benchmarkRequests(b, benchRequest, full, 503) })
	b.Run("page", func(b *testing.B) {
		benchmarkRequests(b, strings.Replace(benchRequest, "Accept: application/json", "Accept: text/html", 1), full, 503)
	})
	b.Run("entry", func(b *testing.B) {
		_, rest, _ := strings.Cut(benchRequest, "\r\n")
		benchmarkRequests(b, "POST /leistung/99050012104000/06 HTTP/1.1\r\nContent-Length: 0\r\n"+rest, full, 503)
	})
}

func benchmarkRequests(b *testing.B, request string, limits limit.Limits, status int) {
	b.Helper()
	k := &loopback{start: time.Now(), request: request, answer: append([]byte(benchAnswer), bytes.Repeat([]byte("x"), 1024)...), waiting: 64}
	var book limit.Book
	state := book.Backend("origin")
	if err := book.Apply(map[string]limit.Limits{"origin": limits}, 0); err != nil {
		b.Fatal(err)
	}
	if status != 200 {
		state.Admit(0)
	}
	table := benchTable(b)
	face, err := surface.New(surface.Options{
		Domain: "gw.bench.example", Table: table, Listeners: []surface.Listener{{Any: true, Default: "origin"}},
		Backends: []surface.Backend{{Name: "origin", Title: "Land Hessen", Proxy: true, Limit: state}},
	})
	if err != nil {
		b.Fatal(err)
	}
	s, err := assemble(Options{Loops: 1, NewKernel: func(time.Time) (loop.Kernel, error) { return k, nil }}, &Snapshot{
		Resolver: face, Via: "pvgate-gw.bench.example", Backends: []Backend{{
			Name: "origin", Host: "127.0.0.1:9000", Endpoints: fixed([]netip.AddrPort{simBack}), Limiter: state,
			Timeouts: upstream.Timeouts{Connect: time.Second, FirstByte: time.Minute, Idle: time.Minute, Keep: time.Minute},
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	n := s.nodes[0]
	if err := n.listen(k.open(client), 0, Listener{}); err != nil {
		b.Fatal(err)
	}
	for k.answered < 1000 {
		n.loop.Turn()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for end := k.answered + b.N; k.answered < end; {
		n.loop.Turn()
	}
	b.StopTimer()
	var all meter.Meter
	if n.meter.AddTo(&all); all.Codes[exchange.HTTP1][status] < uint64(b.N) {
		b.Fatalf("%d of %d requests were answered with %d; others: %v", all.Codes[exchange.HTTP1][status], b.N, status, all.Reasons)
	}
}

// benchTable leads Gewerbe anmelden in Hessen to the backend.
func benchTable(b *testing.B) *routing.Table {
	b.Helper()
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		b.Fatal(err)
	}
	leistung, err := registry.ParseLeistung("99050012104000")
	if err != nil {
		b.Fatal(err)
	}
	hessen, err := areas.EntryArea("06")
	if err != nil {
		b.Fatal(err)
	}
	table, _ := routing.Compile(routing.Input{
		Areas: areas, Sources: []string{"files"}, Backends: []routing.Backend{{Name: "origin", Proxy: true}},
		Entries: []registry.Entry{{Leistung: leistung, Area: hessen, Title: "Gewerbe anmelden", Backend: "origin", Path: "/", Origin: registry.Origin{File: "a.yaml", Line: 1}}},
	})
	return table
}

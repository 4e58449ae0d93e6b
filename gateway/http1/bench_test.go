// SPDX-License-Identifier: EUPL-1.2

//go:build !pvgate_lenient

package http1_test

import (
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/message"
)

// A form as a browser sends it.
const browser = "GET /leistung/99050012104000/065340014014/antrag?schritt=2 HTTP/1.1\r\n" +
	"Host: gw.portal.example\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
	"Accept-Language: de,en-US;q=0.7,en;q=0.3\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: sitzung=6f1e2d3c4b5a69788796a5b4c3d2e1f0; sprache=de\r\n" +
	"\r\n"

const answer = "HTTP/1.1 200 OK\r\n" +
	"Server: amt\r\n" +
	"Date: Sat, 21 Nov 2026 11:00:00 GMT\r\n" +
	"Content-Type: text/html; charset=utf-8\r\n" +
	"Content-Length: 1024\r\n" +
	"Cache-Control: no-store\r\n" +
	"\r\n"

func serveOnce(s *http1.Server, in []byte, h *message.Head) http1.Event {
	for {
		n, ev, _ := s.Feed(in, h)
		if in = in[n:]; ev == http1.End || ev == http1.Failed || ev == http1.More {
			return ev
		}
	}
}

func chunkedBody(size, count int) []byte {
	b := []byte("POST / HTTP/1.1\r\nHost: amt.example\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range count {
		b = http1.AppendChunk(b, []byte(strings.Repeat("x", size)))
	}
	return append(b, http1.LastChunk...)
}

func BenchmarkServer(b *testing.B) {
	for _, c := range []struct {
		name string
		in   []byte
	}{
		{"7fields", []byte(browser)},
		{"1field", []byte("GET / HTTP/1.1\r\nHost: amt.example\r\n\r\n")},
		{"chunked64x1KiB", chunkedBody(1024, 64)},
		{"chunked1024x2", chunkedBody(2, 1024)},
	} {
		b.Run(c.name, func(b *testing.B) {
			limits := http1.DefaultLimits()
			var s http1.Server
			s.Init(&limits)
			var h message.Head
			b.ReportAllocs()
			b.SetBytes(int64(len(c.in)))
			for b.Loop() {
				if ev := serveOnce(&s, c.in, &h); ev != http1.End {
					b.Fatal(ev, s.Cause())
				}
			}
		})
	}
}

// The price of a client that sends its head octet by octet, per octet.
func BenchmarkServerOctetByOctet(b *testing.B) {
	limits := http1.DefaultLimits()
	var s http1.Server
	s.Init(&limits)
	var h message.Head
	in := []byte(browser)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		for i := range in {
			s.Feed(in[:i+1], &h)
		}
		s.Feed(nil, &h)
	}
}

func BenchmarkClient(b *testing.B) {
	limits := http1.DefaultLimits()
	var c http1.Client
	c.Init(&limits)
	var h message.Head
	in := append([]byte(answer), make([]byte, 1024)...)
	b.ReportAllocs()
	for b.Loop() {
		c.Start(false, false)
		rest := in
		for ev := http1.More; ev != http1.End; {
			var n int
			if n, ev, _ = c.Feed(rest, &h); ev == http1.Failed {
				b.Fatal(c.Cause())
			}
			rest = rest[n:]
		}
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	limits := http1.DefaultLimits()
	var s http1.Server
	s.Init(&limits)
	var h message.Head
	s.Feed([]byte(browser), &h)
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		http1.AppendRequest(buf, &h, h.Target)
	}
}

func TestMachinesDoNotAllocate(t *testing.T) {
	limits := http1.DefaultLimits()
	var s http1.Server
	s.Init(&limits)
	var c http1.Client
	c.Init(&limits)
	var h message.Head
	request, body, response := []byte(browser), chunkedBody(10, 10), append([]byte(answer), make([]byte, 1024)...)
	serveOnce(&s, request, &h) // grows h.Fields
	if n := testing.AllocsPerRun(100, func() {
		serveOnce(&s, request, &h)
		serveOnce(&s, body, &h)
		c.Start(false, false)
		for rest := response; ; {
			k, ev, _ := c.Feed(rest, &h)
			if rest = rest[k:]; ev == http1.End {
				break
			}
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
	if !c.Reusable() {
		t.Error("the response was not read to its end")
	}
}

// Twice the length must not cost much more than twice the looks at octets, also
// when they come one by one: the machine's memory of how far it has looked is
// what makes it so. Counted, not timed: a head that arrives octet by octet is
// parsed once per line and once at its end.
func TestPiecemealHeadsAreParsedTwiceAtMost(t *testing.T) {
	t.Parallel()
	limits := http1.DefaultLimits()
	limits.Fields, limits.Head = 1<<20, 1<<24
	grown := func(lines int) int {
		var s http1.Server
		s.Init(&limits)
		var h message.Head
		in := []byte("GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", lines) + "\r\n")
		parsed := 0
		for i := range in {
			s.Feed(in[:i+1], &h)
			if in[i] == '\n' {
				parsed += len(h.Fields)
			}
		}
		return parsed
	}
	if small, large := grown(100), grown(200); large > small*5/2 {
		t.Errorf("100 lines: %d fields parsed, 200 lines: %d", small, large)
	}
}

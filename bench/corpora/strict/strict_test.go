// SPDX-License-Identifier: EUPL-1.2

package strict_test

import (
	"testing"

	"github.com/pvgate/pvgate/bench/corpora/strict"
)

func TestRequests(t *testing.T) {
	t.Parallel()
	const post = "POST /a HTTP/1.1\r\nHost: portal.example\r\n"
	for _, c := range []struct {
		name, in string
		level    strict.Level
		want     int
		rest     strict.Status
		cause    string
	}{
		{name: "nothing", in: "", rest: strict.Complete},
		{name: "one", in: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", want: 1},
		{name: "pipelined", in: "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n", want: 2},
		{name: "after close nothing counts", in: "GET / HTTP/1.0\r\n\r\nGET /b HTTP/1.1\r\n", want: 1},
		{name: "length", in: post + "Content-Length: 3\r\n\r\nabc", want: 1},
		{name: "short body", in: post + "Content-Length: 4\r\n\r\nabc", rest: strict.Incomplete},
		{name: "chunked", in: post + "Transfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nX: y\r\n\r\n", want: 1},
		{name: "chunk extension forwarded", in: post + "Transfer-Encoding: chunked\r\n\r\n3;a\r\nabc\r\n0\r\n\r\n", level: strict.Forwarded, rest: strict.Bad, cause: "chunk extension forwarded"},
		{name: "no last chunk", in: post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", rest: strict.Incomplete},
		{name: "chunk too long", in: post + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", rest: strict.Bad, cause: "no CRLF after the chunk"},
		{name: "both framings", in: post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", rest: strict.Bad, cause: "Transfer-Encoding beside Content-Length"},
		{name: "bare LF", in: "GET / HTTP/1.1\nHost: a\r\n\r\n", rest: strict.Bad, cause: "bare LF in request line"},
		{name: "folding", in: "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", rest: strict.Bad, cause: "line folding in header"},
		{name: "space before colon", in: "GET / HTTP/1.1\r\nHost : a\r\n\r\n", rest: strict.Bad, cause: "field name in header"},
		{name: "absolute form", in: "GET http://a:80/b HTTP/1.1\r\nHost: a:80\r\n\r\n", want: 1},
		{name: "absolute form forwarded", in: "GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", level: strict.Forwarded, rest: strict.Bad, cause: "target is not in origin form"},
		{name: "hop-by-hop forwarded", in: "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", level: strict.Forwarded, rest: strict.Bad, cause: "hop-by-hop field TE forwarded"},
		{name: "two spaces forwarded", in: "GET / HTTP/1.1\r\nHost:  a\r\n\r\n", level: strict.Forwarded, rest: strict.Bad, cause: "field line is not in the one spelling"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := strict.Requests([]byte(c.in), c.level)
			if len(s.Requests) != c.want || (!s.Closed && s.Rest != c.rest) || s.Fault.Cause != c.cause {
				t.Errorf("got %d requests, rest %v, cause %q; want %d, %v, %q", len(s.Requests), s.Rest, s.Fault.Cause, c.want, c.rest, c.cause)
			}
			// A clean message is never called Bad while it is still coming.
			if c.rest == strict.Complete {
				for n := range len(c.in) {
					if s := strict.Requests([]byte(c.in[:n]), c.level); s.Rest == strict.Bad {
						t.Errorf("the first %d bytes are called bad: %v", n, s.Fault)
					}
				}
			}
		})
	}
}

func TestNextResponse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in, method string
		n                int
		status           strict.Status
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP", "GET", 40, strict.Complete},
		{"answer to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD", 38, strict.Complete},
		{"304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "GET", 48, strict.Complete},
		{"until close", "HTTP/1.1 200 OK\r\n\r\nrest", "GET", 23, strict.Complete},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "GET", 59, strict.Complete},
		{"cut off", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "GET", 0, strict.Incomplete},
		{"no reason, no space", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET", 35, strict.Complete},
		{"no code", "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n", "GET", 0, strict.Bad},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", "GET", 0, strict.Bad},
		{"HTTP/0.9", "just text\r\n", "GET", 0, strict.Bad},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, n, status, fault := strict.NextResponse([]byte(c.in), c.method)
			if n != c.n || status != c.status {
				t.Errorf("got %d bytes, %v (%v); want %d, %v", n, status, fault, c.n, c.status)
			}
		})
	}
}

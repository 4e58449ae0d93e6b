// SPDX-License-Identifier: EUPL-1.2

//go:build !pvgate_lenient

package http1

import (
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/message"
)

type responseCase struct {
	name, in string
	isHEAD   bool
	offered  bool
	want     string // after EOF: what EOF adds is behind "eof"
}

const ok = "HTTP/1.1 200 OK\r\n"

var responses = []responseCase{
	{name: "length", in: ok + "Content-Length: 2\r\n\r\nok", want: "200 1.1 len=2; data ok; end; reusable; eof end"},
	{name: "no body", in: ok + "Content-Length: 0\r\n\r\n", want: "200 1.1 len=0; end; reusable; eof end"},
	{name: "chunked", in: ok + "Transfer-Encoding: chunked\r\n\r\n2;a\r\nok\r\n0\r\nX: y\r\n\r\n", want: "200 1.1 chunked; data ok; end; reusable; eof end"},
	{name: "until close", in: ok + "\r\nok", want: "200 1.1; data ok; eof end"},
	{name: "no reason", in: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", want: "200 1.1 len=0; end; reusable; eof end"},
	{name: "empty reason", in: "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", want: "200 1.1 len=0; end; reusable; eof end"},
	{name: "reason in Latin-1", in: "HTTP/1.1 200 Gr\xfc\xdfe \t\r\nContent-Length: 0\r\n\r\n", want: "200 1.1 len=0; end; reusable; eof end"},
	{name: "close", in: ok + "Connection: close\r\nContent-Length: 2\r\n\r\nok", want: "200 1.1 len=2 close; data ok; end; eof end"},
	{name: "1.0", in: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", want: "200 1.0 len=2 close; data ok; end; eof end"},
	{name: "1.0 keep-alive", in: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", want: "200 1.0 len=2; data ok; end; reusable; eof end"},
	{name: "1.0 keep-alive without length", in: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nok", want: "200 1.0; data ok; eof end"},

	{name: "HEAD with length", isHEAD: true, in: ok + "Content-Length: 2\r\n\r\n", want: "200 1.1 len=2; end; reusable; eof end"},
	{name: "HEAD chunked", isHEAD: true, in: ok + "Transfer-Encoding: chunked\r\n\r\n", want: "200 1.1 chunked; end; reusable; eof end"},
	{name: "HEAD without framing", isHEAD: true, in: ok + "\r\n", want: "200 1.1; end; reusable; eof end"},
	{name: "204", in: "HTTP/1.1 204 No Content\r\n\r\n", want: "204 1.1; end; reusable; eof end"},
	{name: "204 with a length", in: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", want: "204 1.1; end; eof end"},
	{name: "304 with a length", in: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", want: "304 1.1 len=5; end; reusable; eof end"},

	{name: "100 first", in: "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n", want: "interim 100 1.1; 200 1.1 len=0; end; reusable; eof end"},
	{name: "three 1xx", in: strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", 3) + ok + "Content-Length: 0\r\n\r\n", want: "interim 103 1.1 {X: y}; interim 103 1.1 {X: y}; interim 103 1.1 {X: y}; 200 1.1 len=0; end; reusable; eof end"},
	{name: "too many 1xx", in: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 4), want: "interim 102 1.1; interim 102 1.1; interim 102 1.1; fail interim-flood"},
	{name: "1xx with a length", in: "HTTP/1.1 102 Processing\r\nContent-Length: 5\r\n\r\nhello", want: "fail interim-framing"},
	{name: "101 out of the blue", in: "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nabc", want: "fail stray-101"},
	{name: "101", offered: true, in: "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00", want: "101 1.1 upgrade; data \x81\x00; eof end"},
	{name: "101 without Upgrade", offered: true, in: "HTTP/1.1 101 Switching Protocols\r\n\r\n", want: "fail bad-101"},
	{name: "upgrade declined", offered: true, in: "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", want: "426 1.1 len=0; end; reusable; eof end"},

	{name: "nothing", in: "", want: "eof fail no-response"},
	{name: "half a head", in: ok + "Content-", want: "eof fail no-response"},
	{name: "only a 1xx", in: "HTTP/1.1 100 Continue\r\n\r\n", want: "interim 100 1.1; eof fail no-response"},
	{name: "body too short", in: ok + "Content-Length: 3\r\n\r\nok", want: "200 1.1 len=3; data ok; eof fail truncated"},
	{name: "chunk too short", in: ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nok", want: "200 1.1 chunked; data ok; eof fail truncated"},
	{name: "no last chunk", in: ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", want: "200 1.1 chunked; data ok; eof fail truncated"},
	{name: "last chunk without its end", in: ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", want: "200 1.1 chunked; data ok; eof fail truncated"},

	{name: "two lengths", in: ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", want: "fail duplicate-length"},
	{name: "bad length", in: ok + "Content-Length: +2\r\n\r\nok", want: "fail bad-length"},
	{name: "empty length", in: ok + "Content-Length: \r\n\r\nok", want: "fail bad-length"},
	{name: "length and coding", in: ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", want: "fail length-and-coding"},
	{name: "other coding", in: ok + "Transfer-Encoding: gzip\r\n\r\n", want: "fail unknown-coding"},
	{name: "chunked, then another coding", in: ok + "Transfer-Encoding: chunked, gzip\r\n\r\n", want: "fail unknown-coding"},
	{name: "coding on 1.0", in: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", want: "fail coding-on-http-1.0"},
	{name: "HEAD with two lengths", isHEAD: true, in: ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", want: "fail duplicate-length"},
	{name: "chunk size", in: ok + "Transfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n", want: "200 1.1 chunked; fail chunk-size"},
	{name: "data behind a chunk", in: ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nokk\r\n0\r\n\r\n", want: "200 1.1 chunked; data ok; fail chunk-end"},

	{name: "TLS alert", in: "\x15\x03\x01", want: "fail status-line"},
	{name: "HTTP/0.9", in: "hello", want: "fail status-line"},
	{name: "empty line first", in: "\r\n" + ok + "\r\n", want: "fail status-line"},
	{name: "HTTP/2.0", in: "HTTP/2.0 200 OK\r\n\r\n", want: "fail version"},
	{name: "HTTP/1.2", in: "HTTP/1.2 200 OK\r\n\r\n", want: "fail version"},
	{name: "lower case", in: "http/1.1 200 OK\r\n\r\n", want: "fail status-line"},
	{name: "tab behind the version", in: "HTTP/1.1\t200 OK\r\n\r\n", want: "fail status-line"},
	{name: "two spaces", in: "HTTP/1.1  200 OK\r\n\r\n", want: "fail status-code"},
	{name: "status 20", in: "HTTP/1.1 20 OK\r\n\r\n", want: "fail status-code"},
	{name: "status 2000", in: "HTTP/1.1 2000 OK\r\n\r\n", want: "fail status-line"},
	{name: "status 999", in: "HTTP/1.1 999 X\r\n\r\n", want: "fail status-code"},
	{name: "status 099", in: "HTTP/1.1 099 X\r\n\r\n", want: "fail status-code"},
	{name: "CTL in the reason", in: "HTTP/1.1 200 O\x07K\r\n\r\n", want: "fail status-line"},
	{name: "bare LF", in: "HTTP/1.1 200 OK\nContent-Length: 0\n\n", want: "fail bare-lf"},
	{name: "CR CR LF", in: "HTTP/1.1 200 OK\r\r\n\r\n", want: "fail bare-cr"},
	{name: "response splitting", in: ok + "X: a\rSet-Cookie: b\r\n\r\n", want: "fail bare-cr"},
	{name: "NUL in a value", in: ok + "X: a\x00\r\n\r\n", want: "fail bad-value"},
	{name: "no colon", in: ok + "garbage\r\n\r\n", want: "fail no-colon"},
	{name: "space before the colon", in: ok + "Transfer-Encoding : chunked\r\n\r\n", want: "fail space-before-colon"},
	{name: "fold", in: ok + "X: a\r\n b\r\n\r\n", want: "fail obs-fold"},
	{name: "long head", in: ok + "X: " + strings.Repeat("a", 700), want: "fail head-too-large"},
	{name: "long reason", in: "HTTP/1.1 200 " + strings.Repeat("a", 300), want: "fail line-too-long"},
	{name: "many fields", in: ok + strings.Repeat("X: y\r\n", 11), want: "fail too-many-fields"},
	{name: "trailers without end", in: ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + strings.Repeat("a", 400), want: "200 1.1 chunked; fail chunk-overhead"},
}

func withEOF(c *Client, got string) string {
	if strings.Contains(got, "fail") {
		return got
	}
	eof := "eof end"
	if c.EOF() == Failed {
		eof = "eof fail " + c.Cause()
	}
	if got == "" {
		return eof
	}
	return got + "; " + eof
}

func TestResponsesInAnyPieces(t *testing.T) {
	t.Parallel()
	for _, r := range responses {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, pieces := range cuts([]byte(r.in)) {
				c := newClient(testLimits(), r.isHEAD, r.offered)
				if got := withEOF(c, transcript(c, pieces...)); got != r.want {
					t.Fatalf("%q in %d pieces:\n got %q\nwant %q", r.in, len(pieces), got, r.want)
				}
				if c.Reusable() {
					t.Fatal("reusable after EOF")
				}
			}
		})
	}
}

// Response queue poisoning: whatever comes beyond the response belongs to nobody,
// and the next client must not get it.
func TestOctetsBeyondTheResponseSpoilTheConnection(t *testing.T) {
	t.Parallel()
	for _, r := range responses {
		if !strings.Contains(r.want, "reusable") {
			continue
		}
		for _, together := range []bool{true, false} {
			c := newClient(testLimits(), r.isHEAD, r.offered)
			in := []byte(r.in + "H")
			var h message.Head
			if !together {
				in = in[:len(in)-1]
			}
			for n, ev, _ := c.Feed(in, &h); ev != End; n, ev, _ = c.Feed(in, &h) {
				in = in[n:]
			}
			if !together {
				if _, ev, _ := c.Feed([]byte("H"), &h); ev != Failed || c.Cause() != "extra-bytes" {
					t.Errorf("%s: late octet: %v %s", r.name, ev, c.Cause())
				}
			}
			if c.Reusable() {
				t.Errorf("%s: reusable (octet together with the response: %v)", r.name, together)
			}
			c.Start(false, false)
			if _, ev, _ := c.Feed([]byte(ok), &h); ev != Failed {
				t.Errorf("%s: the next request got %v from a spoilt connection", r.name, ev)
			}
		}
	}
}

func TestClientServesManyRequests(t *testing.T) {
	t.Parallel()
	c := newClient(testLimits(), false, false)
	for i := range 3 {
		if i > 0 {
			c.Start(false, false)
		}
		want := "200 1.1 len=2; data ok; end; reusable"
		if got := transcript(c, []byte(ok+"Content-Length: 2\r\n\r\nok")); got != want {
			t.Fatalf("response %d: got %q, want %q", i, got, want)
		}
	}
}

func TestFaultsOfResponses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]message.Fault{
		"x":                                        message.FaultResponseGrammar,
		ok + "X: " + strings.Repeat("a", 700):      message.FaultResponseHeadTooLarge,
		ok + strings.Repeat("X: y\r\n", 11):        message.FaultResponseHeadTooLarge,
		ok + "Transfer-Encoding: br\r\n\r\n":       message.FaultResponseCoding,
		"HTTP/1.1 101 Switching Protocols\r\n\r\n": message.FaultUpgrade,
		"":                               message.FaultLost,
		ok + "Content-Length: 1\r\n\r\n": message.FaultIncomplete,
		ok + "Transfer-Encoding: chunked\r\n\r\nx\r\n":          message.FaultResponseGrammar,
		strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 4):    message.FaultResponseGrammar,
		ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx": message.FaultResponseGrammar,
	} {
		c := newClient(testLimits(), false, true)
		got := withEOF(c, transcript(c, []byte(in)))
		if c.Fault() != want {
			t.Errorf("%q: %s: got %v, want %v", in, got, c.Fault(), want)
		}
	}
}

// An upstream that says something now and then for hours must not run out.
func TestSmallChunksOfAResponseAreForgiven(t *testing.T) {
	t.Parallel()
	c := newClient(testLimits(), false, false)
	got := transcript(c, []byte(ok+"Transfer-Encoding: chunked\r\n\r\n"+strings.Repeat("1\r\n\n\r\n", 5000)+LastChunk))
	if !strings.HasSuffix(got, "end; reusable") {
		t.Errorf("%q", got[len(got)-40:])
	}
}

// SPDX-License-Identifier: EUPL-1.2

//go:build !pvgate_lenient

package http1

import (
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/message"
)

type requestCase struct{ name, in, want string }

// What is accepted, and how it is understood.
var acceptedRequests = []requestCase{
	{"plain", "GET /a HTTP/1.1\r\nHost: amt.example\r\n\r\n", "GET /a amt.example 1.1; end"},
	{"value whitespace is trimmed", "GET / HTTP/1.1\r\nHost:\t amt.example \t\r\nX:\r\nY: a \t b\r\n\r\n", "GET / amt.example 1.1 {X: } {Y: a \t b}; end"},
	{"obs-text in a value", "GET / HTTP/1.1\r\nHost: amt.example\r\nX: \xa0a\x85\r\n\r\n", "GET / amt.example 1.1 {X: \xa0a\x85}; end"},
	{"any token is a name", "GET / HTTP/1.1\r\nHost: amt.example\r\n!#$%&'*+-.^_`|~9: x\r\n\r\n", "GET / amt.example 1.1 {!#$%&'*+-.^_`|~9: x}; end"},
	{"any token is a method", "M-SEARCH /a HTTP/1.1\r\nHost: amt.example\r\n\r\n", "M-SEARCH /a amt.example 1.1; end"},
	{"methods know case", "get /a HTTP/1.1\r\nHost: amt.example\r\n\r\n", "get /a amt.example 1.1; end"},
	{"query", "GET /a?b=%zz?/[{|}]^` HTTP/1.1\r\nHost: amt.example\r\n\r\n", "GET /a?b=%zz?/[{|}]^` amt.example 1.1; end"},
	{"empty query", "GET /a? HTTP/1.1\r\nHost: amt.example\r\n\r\n", "GET /a? amt.example 1.1; end"},
	{"two slashes", "GET //amt.example/a HTTP/1.1\r\nHost: amt.example\r\n\r\n", "GET //amt.example/a amt.example 1.1; end"},
	{"absolute form", "GET http://Amt.example/a?b HTTP/1.1\r\nHost: amt.EXAMPLE:80\r\n\r\n", "GET /a?b Amt.example 1.1; end"},
	{"absolute form, https", "GET HTTPS://amt.example:443 HTTP/1.1\r\nHost: amt.example\r\n\r\n", "GET / amt.example:443 1.1; end"},
	{"absolute form, query only", "GET http://amt.example?b HTTP/1.1\r\nHost: amt.example\r\n\r\n", "GET /?b amt.example 1.1; end"},
	{"absolute form on 1.0", "GET http://amt.example/a HTTP/1.0\r\n\r\n", "GET /a amt.example 1.0 close; end"},
	{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: amt.example\r\n\r\n", "OPTIONS * amt.example 1.1; end"},
	{"absolute asterisk", "OPTIONS http://amt.example HTTP/1.1\r\nHost: amt.example\r\n\r\n", "OPTIONS * amt.example 1.1; end"},
	{"1.0 without Host", "GET /a HTTP/1.0\r\n\r\n", "GET /a  1.0 close; end"},
	{"1.0 keep-alive", "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n", "GET /a  1.0; end; GET /b  1.0 close; end"},
	{"close wins over keep-alive", "GET /a HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET /a  1.0 close; end"},
	{"pipelined", "GET /a HTTP/1.1\r\nHost: amt.example\r\n\r\nGET /b HTTP/1.1\r\nHost: amt.example\r\n\r\n", "GET /a amt.example 1.1; end; GET /b amt.example 1.1; end"},
	{"empty line after a body", "POST /a HTTP/1.1\r\nHost: amt.example\r\nContent-Length: 1\r\n\r\nx\r\nGET /b HTTP/1.1\r\nHost: amt.example\r\n\r\n", "POST /a amt.example 1.1 len=1; data x; end; GET /b amt.example 1.1; end"},
	{"empty body", "POST /a HTTP/1.1\r\nHost: amt.example\r\nContent-Length: 0\r\n\r\n", "POST /a amt.example 1.1 len=0; end"},
	{"leading zeros", "POST /a HTTP/1.1\r\nHost: amt.example\r\nContent-Length: 0010\r\n\r\n0123456789", "POST /a amt.example 1.1 len=10; data 0123456789; end"},
	{"body octets pass as they are", "POST /a HTTP/1.1\r\nHost: amt.example\r\nContent-Length: 6\r\n\r\n\r\n\r\n\x00\xff", "POST /a amt.example 1.1 len=6; data \r\n\r\n\x00\xff; end"},
	{"expect", "POST /a HTTP/1.1\r\nHost: amt.example\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\nx", "POST /a amt.example 1.1 len=1 expect; data x; end"},
	{"expect without body", "GET /a HTTP/1.1\r\nHost: amt.example\r\nExpect: 100-continue\r\n\r\n", "GET /a amt.example 1.1; end"},
	{"expect on 1.0", "POST /a HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx", "POST /a  1.0 len=1 close; data x; end"},
	{"upgrade", "GET /a HTTP/1.1\r\nHost: amt.example\r\nConnection: x, UPGRADE\r\nUpgrade: websocket\r\n\r\n", "GET /a amt.example 1.1 upgrade; end"},
	{"upgrade not named", "GET /a HTTP/1.1\r\nHost: amt.example\r\nUpgrade: websocket\r\n\r\n", "GET /a amt.example 1.1; end"},
	{"IPv6 host", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n\r\n", "GET / [2001:db8::1]:8443 1.1; end"},

	{"chunked", "POST /a HTTP/1.1\r\nHost: amt.example\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n000A\r\n0123456789\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; data hello0123456789; end"},
	{"chunk extensions are dropped", "POST /a HTTP/1.1\r\nHost: amt.example\r\nTransfer-Encoding: chunked\r\n\r\n1;a;b=c; d = \"e;\\\"\t\"\r\nx\r\n0;last\r\n\r\n", "POST /a amt.example 1.1 chunked; data x; end"},
	{"trailers are dropped", "POST /a HTTP/1.1\r\nHost: amt.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\nContent-Length: 99\r\n\r\nGET /b HTTP/1.1\r\nHost: amt.example\r\n\r\n", "POST /a amt.example 1.1 chunked; end; GET /b amt.example 1.1; end"},
	{"sixteen digits", "POST /a HTTP/1.1\r\nHost: amt.example\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000001\r\nx\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; data x; end"},
}

const (
	head  = "POST /a HTTP/1.1\r\nHost: amt.example\r\n"
	chunk = head + "Transfer-Encoding: chunked\r\n\r\n"
	next  = "GET /geheim HTTP/1.1\r\nHost: amt.example\r\n\r\n"
)

// What is refused, by which rule. The names in brackets are the desync family
// that lives where the rule is not kept.
var refusedRequests = []requestCase{
	{"bare LF ends the request line", "GET / HTTP/1.1\nHost: amt.example\r\n\r\n", "bare-lf"},
	{"bare LF ends a field", "GET / HTTP/1.1\r\nHost: amt.example\nX: y\r\n\r\n", "bare-lf"},
	{"bare LF ends the head", "GET / HTTP/1.1\r\nHost: amt.example\n\nX: y", "bare-lf"},
	{"bare LF before a name", "GET / HTTP/1.1\r\n\nHost: amt.example\r\n\r\n", "no-colon"},
	{"bare LF before a request", "\nGET / HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bare-lf"},
	{"bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bare-cr"},
	{"bare CR in a value", "GET / HTTP/1.1\r\nHost: amt.example\r\nX: a\rb\r\n\r\n", "bare-cr"},
	{"CR CR LF", "GET / HTTP/1.1\r\nHost: amt.example\r\r\n\r\n", "bare-cr"},
	{"CR LF CR X", "GET / HTTP/1.1\r\nHost: amt.example\r\n\rX: y\r\n\r\n", "bare-cr"},
	{"CR before a request", "\rGET / HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bare-cr"},
	{"two empty lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: amt.example\r\n\r\n", "empty-lines"},
	{"space before the method", " GET / HTTP/1.1\r\nHost: amt.example\r\n\r\n", "not-http"},
	{"TLS on a plaintext port", "\x16\x03\x01\x02\x00\x01\x00", "not-http"},
	{"obs-fold", "GET / HTTP/1.1\r\nHost: amt.example\r\nX: a\r\n b\r\n\r\n", "obs-fold"},
	{"obs-fold with a tab", "GET / HTTP/1.1\r\nHost: amt.example\r\nX: a\r\n\tb: c\r\n\r\n", "obs-fold"},
	{"space before the first field", "GET / HTTP/1.1\r\n Host: amt.example\r\n\r\n", "obs-fold"},
	{"line of spaces", "GET / HTTP/1.1\r\nHost: amt.example\r\n  \r\n\r\n", "obs-fold"},
	{"no colon", "GET / HTTP/1.1\r\nHost: amt.example\r\nX\r\n\r\n", "no-colon"},
	{"empty name", "GET / HTTP/1.1\r\nHost: amt.example\r\n: a\r\n\r\n", "empty-name"},
	{"space before the colon", head + "Content-Length : 5\r\n\r\nhello", "space-before-colon"},
	{"tab before the colon", head + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", "space-before-colon"},
	{"space in a name", head + "Content Length: 5\r\n\r\nhello", "bad-name"},
	{"NUL in a name", head + "Content-Length\x00: 5\r\n\r\nhello", "bad-name"},
	{"obs-text in a name", head + "X\xa0: 5\r\n\r\n", "bad-name"},
	{"parenthesis in a name", head + "(X): 5\r\n\r\n", "bad-name"},
	{"NUL in a value", head + "X: a\x00b\r\n\r\n", "bad-value"},
	{"DEL in a value", head + "X: a\x7fb\r\n\r\n", "bad-value"},
	{"VT before a value", head + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "bad-value"},
	{"ESC far behind in a value", head + "X: " + strings.Repeat("a", 50) + "\x1b\r\n\r\n", "bad-value"},

	{"no target", "GET  HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-target"},
	{"two spaces", "GET /  HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-version"},
	{"two spaces before the target", "GET  / HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-target"},
	{"tab", "GET\t/ HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-method"},
	{"space in the target", "GET /a b HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-version"},
	{"method is no token", "G(T / HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-method"},
	{"method too long", strings.Repeat("A", 25) + " / HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-method"},
	{"HTTP/0.9", "GET /\r\n", "http-0.9"},
	{"HTTP/0.9 with a query", "GET /?a\r\nHost: amt.example\r\n\r\n", "http-0.9"},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "version"},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: amt.example\r\n\r\n", "version"},
	{"HTTP/0.9 spelled out", "GET / HTTP/0.9\r\nHost: amt.example\r\n\r\n", "version"},
	{"version in lower case", "GET / http/1.1\r\nHost: amt.example\r\n\r\n", "bad-version"},
	{"version with another digit", "GET / HTTP/1.10\r\nHost: amt.example\r\n\r\n", "bad-version"},
	{"version with a space", "GET / HTTP/1.1 \r\nHost: amt.example\r\n\r\n", "bad-version"},
	{"NUL in the target", "GET /a\x00 HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-target"},
	{"UTF-8 in the target", "GET /ä HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-target"},
	{"backslash in the target", "GET /\\a HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-target"},
	{"fragment", "GET /a#b HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-target"},
	{"asterisk for GET", "GET * HTTP/1.1\r\nHost: amt.example\r\n\r\n", "target-form"},
	{"relative target", "GET a/b HTTP/1.1\r\nHost: amt.example\r\n\r\n", "target-form"},
	{"query alone", "GET ?a HTTP/1.1\r\nHost: amt.example\r\n\r\n", "target-form"},
	{"authority form for GET", "GET amt.example:80 HTTP/1.1\r\nHost: amt.example\r\n\r\n", "target-form"},
	{"foreign scheme", "GET ftp://amt.example/ HTTP/1.1\r\nHost: amt.example\r\n\r\n", "scheme"},
	{"CONNECT", "CONNECT amt.example:443 HTTP/1.1\r\nHost: amt.example\r\n\r\n", "method-refused"},
	{"RTSP", "SETUP /a HTTP/1.1\r\nHost: amt.example\r\n\r\n", "method-refused"},
	{"TRACE", "TRACE / HTTP/1.1\r\nHost: amt.example\r\n\r\n", "method-refused"},

	{"no Host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", "missing-host"},
	{"no Host with absolute form", "GET http://amt.example/ HTTP/1.1\r\n\r\n", "missing-host"},
	{"two Hosts", "GET / HTTP/1.1\r\nHost: amt.example\r\nhost: amt.example\r\n\r\n", "duplicate-host"},
	{"two Hosts on 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "duplicate-host"},
	{"empty Host", "GET / HTTP/1.1\r\nHost: \r\n\r\n", "bad-host"},
	{"Host list", "GET / HTTP/1.1\r\nHost: amt.example, b\r\n\r\n", "bad-host"},
	{"Host with userinfo", "GET / HTTP/1.1\r\nHost: a@amt.example\r\n\r\n", "bad-host"},
	{"Host with a path", "GET / HTTP/1.1\r\nHost: amt.example/a\r\n\r\n", "bad-host"},
	{"absolute form and another Host", "GET http://amt.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", "host-mismatch"},
	{"absolute form and another port", "GET http://amt.example/ HTTP/1.1\r\nHost: amt.example:81\r\n\r\n", "host-mismatch"},
	{"absolute form without host", "GET http:///a HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-host"},
	{"absolute form with userinfo", "GET http://b@amt.example/ HTTP/1.1\r\nHost: amt.example\r\n\r\n", "bad-host"},

	{"[CL.CL] two lengths", head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "duplicate-length"},
	{"equal lengths", head + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "duplicate-length"},
	{"list of lengths", head + "Content-Length: 5, 5\r\n\r\nhello", "bad-length"},
	{"[CL.0] empty length", head + "Content-Length:\r\n\r\n" + next, "bad-length"},
	{"signed length", head + "Content-Length: +5\r\n\r\nhello", "bad-length"},
	{"negative length", head + "Content-Length: -5\r\n\r\nhello", "bad-length"},
	{"hexadecimal length", head + "Content-Length: 0x5\r\n\r\nhello", "bad-length"},
	{"underscore in a length", head + "Content-Length: 1_0\r\n\r\nhello", "bad-length"},
	{"64-bit wrap", head + "Content-Length: 18446744073709551621\r\n\r\nhello", "bad-length"},
	{"63-bit overflow", head + "Content-Length: 9223372036854775808\r\n\r\nhello", "bad-length"},
	{"NBSP before a length", head + "Content-Length: \xa05\r\n\r\nhello", "bad-length"},
	{"[CL.TE] length and coding", head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "length-and-coding"},
	{"[TE.CL] coding and length", head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "length-and-coding"},
	{"[TE.TE] two codings", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "bad-coding"},
	{"chunked twice", head + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "bad-coding"},
	{"leading comma", head + "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", "bad-coding"},
	{"empty coding", head + "Transfer-Encoding:\r\n\r\n0\r\n\r\n", "bad-coding"},
	{"quoted coding", head + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", "bad-coding"},
	{"NEL behind the coding", head + "Transfer-Encoding: chunked\x85\r\n\r\n0\r\n\r\n", "bad-coding"},
	{"Kelvin sign in the coding", head + "Transfer-Encoding: chun\u212aed\r\n\r\n0\r\n\r\n", "bad-coding"},
	{"other coding", head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "unknown-coding"},
	{"nearly chunked", head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "unknown-coding"},
	{"identity", head + "Transfer-Encoding: identity\r\n\r\n", "unknown-coding"},
	{"coding on 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "coding-on-http-1.0"},
	{"[Expect] other expectation", head + "Content-Length: 1\r\nExpect: 100-continue, x\r\n\r\nx", "expectation"},

	{"empty chunk size", chunk + "\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail chunk-size"},
	{"chunk size with 0x", chunk + "0x5\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail chunk-size"},
	{"signed chunk size", chunk + "+5\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail chunk-size"},
	{"space before a chunk size", chunk + " 5\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail chunk-size"},
	{"space behind a chunk size", chunk + "5 \r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail chunk-size"},
	{"space before an extension", chunk + "5 ;a\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail chunk-size"},
	{"seventeen digits", chunk + "00000000000000005\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail chunk-size"},
	{"chunk size above 63 bits", chunk + "8000000000000000\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail chunk-size"},
	{"semicolon without extension", chunk + "5;\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail chunk-extension"},
	{"extension without value", chunk + "5;a=\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail chunk-extension"},
	{"open quote", chunk + "5;a=\"b\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail chunk-extension"},
	{"CTL in a quote", chunk + "5;a=\"\x01\"\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail chunk-extension"},
	{"[TERM.EXT] bare LF ends a chunk line", chunk + "5\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail bare-lf"},
	{"[TERM.EXT] bare LF inside an extension", chunk + "5;a\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail bare-lf"},
	{"[EXT.TERM] bare CR inside an extension", chunk + "5;a\rX\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; fail bare-cr"},
	{"[TERM.SPILL] LF behind the data", chunk + "5\r\nhello\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; data hello; fail chunk-end"},
	{"[SPILL.TERM] two octets too many", chunk + "5\r\nhelloXX0\r\n\r\n", "POST /a amt.example 1.1 chunked; data hello; fail chunk-end"},
	{"CR and no LF behind the data", chunk + "5\r\nhello\rX0\r\n\r\n", "POST /a amt.example 1.1 chunked; data hello; fail chunk-end"},
	{"chunk shorter than its data", chunk + "4\r\nhello\r\n0\r\n\r\n", "POST /a amt.example 1.1 chunked; data hell; fail chunk-end"},
	{"last chunk with data", chunk + "0\r\nhello\r\n\r\n", "POST /a amt.example 1.1 chunked; fail no-colon"},
	{"LF ends the trailers", chunk + "0\r\n\n" + next, "POST /a amt.example 1.1 chunked; fail no-colon"},
	{"bare LF in a trailer", chunk + "0\r\nX: y\n\r\n", "POST /a amt.example 1.1 chunked; fail bare-lf"},
	{"fold in a trailer", chunk + "0\r\nX: y\r\n z\r\n\r\n", "POST /a amt.example 1.1 chunked; fail obs-fold"},
	{"space before a trailer's colon", chunk + "0\r\nX : y\r\n\r\n", "POST /a amt.example 1.1 chunked; fail space-before-colon"},
	{"request instead of trailers", chunk + "0\r\n" + next, "POST /a amt.example 1.1 chunked; fail bad-name"},
}

// What must neither fail nor complete: more may come.
var unfinishedRequests = []requestCase{
	{"nothing", "", ""},
	{"method", "GE", ""},
	{"request line", "GET / HTTP/1.1\r", ""},
	{"bad so far, but no line yet", "GET / HTTQ", ""},
	{"head", "GET / HTTP/1.1\r\nHost: amt.example\r\n", ""},
	{"head without its last LF", "GET / HTTP/1.1\r\nHost: amt.example\r\n\r", ""},
	{"body", head + "Content-Length: 6\r\n\r\nhello", "POST /a amt.example 1.1 len=6; data hello"},
	{"chunk", chunk + "6\r\nhello", "POST /a amt.example 1.1 chunked; data hello"},
	{"chunk line", chunk + "6;a=\"", "POST /a amt.example 1.1 chunked"},
	{"no last chunk", chunk + "5\r\nhello\r\n", "POST /a amt.example 1.1 chunked; data hello"},
	{"trailers", chunk + "0\r\nX: y\r\n", "POST /a amt.example 1.1 chunked"},
	{"end of trailers", chunk + "0\r\n\r", "POST /a amt.example 1.1 chunked"},
}

// After the last request whatever follows is swallowed.
var closedRequests = []requestCase{
	{"Connection: close", "GET /a HTTP/1.1\r\nHost: amt.example\r\nConnection: close\r\n\r\n" + next, "GET /a amt.example 1.1 close; end"},
	{"HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n" + next, "GET /a  1.0 close; end"},
	{"close behind a body", head + "Connection: x,close\r\nContent-Length: 1\r\n\r\nx" + next, "POST /a amt.example 1.1 len=1 close; data x; end"},
}

func allRequests() []requestCase {
	var all []requestCase
	for _, c := range refusedRequests {
		if !strings.Contains(c.want, "fail") {
			c.want = "fail " + c.want
		}
		all = append(all, c)
	}
	all = append(all, acceptedRequests...)
	all = append(all, unfinishedRequests...)
	return append(all, closedRequests...)
}

// Every case in every cut: the verdict may not depend on the segments in which
// the octets happen to arrive.
func TestRequestsInAnyPieces(t *testing.T) {
	t.Parallel()
	for _, c := range allRequests() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, pieces := range cuts([]byte(c.in)) {
				if got := transcript(newServer(testLimits()), pieces...); got != c.want {
					t.Fatalf("%q in %d pieces, first of %d octets:\n got %q\nwant %q", c.in, len(pieces), len(pieces[0]), got, c.want)
				}
			}
		})
	}
}

// A request behind a refused one is never seen, whatever the first was.
func TestNothingBehindAFailureIsParsed(t *testing.T) {
	t.Parallel()
	for _, c := range refusedRequests {
		got := transcript(newServer(testLimits()), []byte(c.in+next))
		if strings.Contains(got, "geheim") || !strings.Contains(got, "fail") || strings.Contains(got, "; end") {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestFaultsOfRequests(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 700)
	for _, c := range []struct {
		name, in, cause string
		want            message.Fault
	}{
		{"grammar", "GET /\r\n", "http-0.9", message.FaultGrammar},
		{"version", "GET / HTTP/3.0\r\n", "version", message.FaultVersion},
		{"method", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "method-refused", message.FaultMethod},
		{"coding", head + "Transfer-Encoding: br\r\n\r\n", "unknown-coding", message.FaultCoding},
		{"expectation", head + "Expect: cake\r\n\r\n", "expectation", message.FaultExpectation},
		{"line", "GET /" + long, "line-too-long", message.FaultURITooLong},
		{"line, complete and wrong", "GET /" + long + "\x00 \r\n\r\n", "line-too-long", message.FaultURITooLong},
		{"head", head + "X: " + long, "head-too-large", message.FaultHeadTooLarge},
		{"head, complete", head + "X: " + long + "\r\n\r\n", "head-too-large", message.FaultHeadTooLarge},
		{"fields", head + strings.Repeat("X: y\r\n", 20), "too-many-fields", message.FaultHeadTooLarge},
		{"body", head + "Content-Length: 1048577\r\n\r\n", "body-too-large", message.FaultBodyTooLarge},
		{"chunk", chunk + "100001\r\n", "body-too-large", message.FaultBodyTooLarge},
		{"chunk overhead", chunk + strings.Repeat("1;aaaaaaaaaaaaaaaa\r\nx\r\n", 50), "chunk-overhead", message.FaultBodyTooLarge},
		{"trailers", chunk + "0\r\n" + strings.Repeat("X: "+long[:90]+"\r\n", 4), "chunk-overhead", message.FaultBodyTooLarge},
		{"trailer without end", chunk + "0\r\nX: " + long, "chunk-overhead", message.FaultBodyTooLarge},
		{"trailer fields", chunk + "0\r\n" + strings.Repeat("X: y\r\n", 20), "too-many-fields", message.FaultHeadTooLarge},
		{"chunk line", chunk + "1;" + long + long, "chunk-line-too-long", message.FaultGrammar},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, pieces := range cuts([]byte(c.in)) {
				s := newServer(testLimits())
				got := transcript(s, pieces...)
				if !strings.HasSuffix(got, "fail "+c.cause) || s.Fault() != c.want {
					t.Fatalf("%d pieces, first of %d octets: got %q, %v; want %s, %v", len(pieces), len(pieces[0]), got, s.Fault(), c.cause, c.want)
				}
			}
		})
	}
}

// An answer to HEAD has no body, also if it says that the request was wrong.
func TestTheMethodOfABrokenHeadIsKnown(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]message.Method{
		"HEAD / HTTP/1.1\r\n\r\n":                                       message.HEAD,
		"HEAD / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n":                   message.HEAD,
		"HEAD / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 700):  message.HEAD,
		"HEAD /\x00 HTTP/1.1\r\n":                                       message.HEAD,
		"HEAD / HTTP/3.0\r\n":                                           message.HEAD,
		"GET / HTTP/1.1\r\n\r\n":                                        message.GET,
		"GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nX\r\n\r\n": message.HEAD,
		"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n\x01":                        message.Other,
		"HEAD\r\n":                                                      message.Other,
	} {
		for _, pieces := range cuts([]byte(in)) {
			s := newServer(testLimits())
			var buf []byte
			var h message.Head
			ev := More
			for _, piece := range pieces {
				for buf = append(buf, piece...); ev != Failed; {
					var n int
					n, ev, _ = s.Feed(buf, &h)
					if buf = buf[n:]; ev == More {
						h.Method = message.PATCH // of another connection
						break
					}
				}
			}
			if ev != Failed || h.Method != want {
				t.Errorf("%q in %d pieces: %v, got %v, want %v", in, len(pieces), ev, h.Method, want)
			}
		}
	}
}

func TestLimitsAreInclusive(t *testing.T) {
	t.Parallel()
	l := testLimits()
	target := "/" + strings.Repeat("a", l.Line-len("GET / HTTP/1.1"))
	request := "GET " + target + " HTTP/1.1\r\nHost: a\r\n"
	filler := strings.Repeat("f", l.Head-len(request)-len("X: \r\n\r\n"))
	for _, c := range []struct{ name, in, want string }{
		{"all that fits", request + "X: " + filler + "\r\n\r\n", "end"},
		{"one octet more in the line", strings.Replace(request, "/a", "/aa", 1) + "\r\n", "fail line-too-long"},
		{"one octet more in the head", request + "X: " + filler + "f\r\n\r\n", "fail head-too-large"},
		{"fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", l.Fields-1) + "\r\n", "end"},
		{"one field more", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", l.Fields) + "\r\n", "fail too-many-fields"},
	} {
		for _, pieces := range cuts([]byte(c.in)) {
			if got := transcript(newServer(l), pieces...); !strings.HasSuffix(got, c.want) {
				t.Errorf("%s, %d pieces: got %q, want …%s", c.name, len(pieces), got, c.want)
			}
		}
	}
}

// Chunks of one octet cost more framing than they earn; larger ones never run
// out, however many there are.
func TestChunkOverheadIsEarnedByData(t *testing.T) {
	t.Parallel()
	const many = 5000
	if got := transcript(newServer(testLimits()), []byte(chunk+strings.Repeat("2\r\nab\r\n", many)+LastChunk)); !strings.HasSuffix(got, "; end") {
		t.Errorf("chunks of two octets: %q", got[len(got)-40:])
	}
	if got := transcript(newServer(testLimits()), []byte(chunk+strings.Repeat("1\r\na\r\n", many)+LastChunk)); !strings.HasSuffix(got, "; fail chunk-overhead") {
		t.Errorf("chunks of one octet: %q", got[len(got)-40:])
	}
}

func TestIdleMeansNothingOfARequestWasSeen(t *testing.T) {
	t.Parallel()
	s := newServer(testLimits())
	var h message.Head
	in := []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx\r\nG")
	want := map[string]bool{"": true, "POST": false, "head": false, "x": false, "end": true, "\r": false, "\r\n": true, "G": false}
	check := func(step string) {
		t.Helper()
		if s.Idle() != want[step] {
			t.Errorf("after %q: idle %v, want %v", step, s.Idle(), want[step])
		}
	}
	check("")
	s.Feed(in[:4], &h)
	check("POST")
	n, _, _ := s.Feed(in, &h)
	check("head")
	k, _, _ := s.Feed(in[n:], &h)
	check("x")
	s.Feed(nil, &h)
	check("end")
	rest := in[n+k:]
	s.Feed(rest[:1], &h)
	check("\r")
	k, _, _ = s.Feed(rest[:2], &h)
	check("\r\n")
	s.Feed(rest[k:], &h)
	check("G")
}

func TestMachinesStaySmall(t *testing.T) {
	t.Parallel()
	// An idle connection is paid for by the hundred thousand.
	if n := sizeOf[Server](); n > 128 {
		t.Errorf("Server: %d octets, want at most 128", n)
	}
	if n := sizeOf[Client](); n > 128 {
		t.Errorf("Client: %d octets, want at most 128", n)
	}
}

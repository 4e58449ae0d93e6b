// SPDX-License-Identifier: EUPL-1.2

package message_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/message"
)

func headLimits() *message.HeadLimits {
	return &message.HeadLimits{Line: 1000, Head: 2000, Fields: 20, Body: 1 << 20}
}

// assemble reads "name value" lines.
func assemble(a *message.Assembler, h *message.Head, ended bool, lines []string) message.HeadCause {
	limits := headLimits()
	limits.WebSocket = slices.Contains(lines, offered)
	a.Begin(h, 2, limits)
	for _, line := range lines {
		if line == offered {
			continue
		}
		at := strings.Index(line[min(1, len(line)):], ": ") + 1 // a pseudo-field begins with a colon
		a.Field([]byte(line[:at]), []byte(line[at+2:]))
	}
	return a.End(ended)
}

func describe(h *message.Head) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", h.MethodText, h.Target, h.Authority)
	if h.ContentLength >= 0 {
		fmt.Fprintf(&b, " len=%d", h.ContentLength)
	}
	for _, f := range []struct {
		on   bool
		name string
	}{{h.Chunked, "chunked"}, {h.Asterisk, "asterisk"}, {h.Expect100, "expect"}, {h.Close, "close"}, {h.Upgrade, "upgrade"}, {h.Connect, "connect"}} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	for _, f := range h.Fields {
		fmt.Fprintf(&b, " {%s: %s}", f.Name, f.Value)
	}
	return b.String()
}

const get = ":method: GET|:scheme: https|:authority: amt.example|:path: /a?b=c|"

// offered is no line: it says that the client was told of an extended CONNECT.
const offered = "offered"

const socket = offered + "|:method: CONNECT|:protocol: websocket|:scheme: https|:authority: a|:path: /b?c|"

const post = ":method: POST|:scheme: https|:authority: amt.example|:path: /a|"

// Each line is one rule; what is accepted is written as describe does.
var heads = []struct {
	name, lines string
	ended       bool
	want        string
}{
	{"plain", get + "accept: */*", true, "GET /a?b=c amt.example {host: amt.example} {accept: */*}"},
	{"any order of pseudo-fields", ":path: /|:authority: a|:scheme: http|:method: GET", true, "GET / a {host: a}"},
	{"Host only", ":method: GET|:scheme: https|:path: /|x: y|host: a", true, "GET / a {x: y} {host: a}"},
	{"Host and :authority agree", get + "x: y|host: AMT.example:443", true, "GET /a?b=c amt.example {host: amt.example} {x: y}"},
	{"query is kept apart", ":method: GET|:scheme: https|:authority: a|:path: /?", true, "GET /? a {host: a}"},
	{"two slashes are a path", ":method: GET|:scheme: https|:authority: a|:path: //evil.example/x", true, "GET //evil.example/x a {host: a}"},
	{"OPTIONS *", ":method: OPTIONS|:scheme: https|:authority: a|:path: *", true, "OPTIONS * a asterisk {host: a}"},
	{"other method", ":method: PURGE|:scheme: https|:authority: a|:path: /", true, "PURGE / a {host: a}"},
	{"te: trailers", get + "te: Trailers", true, "GET /a?b=c amt.example {host: amt.example} {te: Trailers}"},
	{"crumbs", get + "cookie: a=b|x: y|cookie: c=d|cookie: e=f", true, "GET /a?b=c amt.example {host: amt.example} {cookie: a=b; c=d; e=f} {x: y}"},
	{"empty crumbs", get + "cookie: |cookie: a=b|cookie: ", true, "GET /a?b=c amt.example {host: amt.example} {cookie: a=b}"},
	{"one cookie", get + "cookie: a=b", true, "GET /a?b=c amt.example {host: amt.example} {cookie: a=b}"},
	{"length", post + "content-length: 5", false, "POST /a amt.example len=5 {host: amt.example} {content-length: 5}"},
	{"length 0 and a body to come", post + "content-length: 0", false, "POST /a amt.example len=0 {host: amt.example} {content-length: 0}"},
	{"no length", post, false, "POST /a amt.example chunked {host: amt.example}"},
	{"no length and no body", post, true, "POST /a amt.example len=0 {host: amt.example}"},
	{"GET with a body", get, false, "GET /a?b=c amt.example chunked {host: amt.example}"},
	{"expectation", post + "expect: 100-Continue", false, "POST /a amt.example chunked expect {host: amt.example} {expect: 100-Continue}"},
	{"expectation without a body", post + "expect: 100-continue", true, "POST /a amt.example len=0 {host: amt.example} {expect: 100-continue}"},
	{"empty value", get + "x: ", true, "GET /a?b=c amt.example {host: amt.example} {x: }"},
	{"obs-text", get + "x: \xe4", true, "GET /a?b=c amt.example {host: amt.example} {x: \xe4}"},
	{"http2-settings is nobody's business here", get + "http2-settings: AAMAAABk", true, "GET /a?b=c amt.example {host: amt.example} {http2-settings: AAMAAABk}"},

	{"WebSocket", socket + "origin: https://a", false, "GET /b?c a upgrade connect {host: a} {origin: https://a} {upgrade: websocket}"},
	{"WebSocket, ended", socket, true, "GET /b?c a upgrade connect {host: a} {upgrade: websocket}"},
	{"WebSocket, not offered", socket[len(offered)+1:], false, "pseudo-unknown"},
	{"WebSocket with GET", strings.Replace(socket, "CONNECT", "GET", 1), true, "pseudo-unknown"},
	{"WebSocket without a scheme", strings.Replace(socket, ":scheme: https|", "", 1), false, "pseudo-missing"},
	{"WebSocket without a path", strings.Replace(socket, ":path: /b?c|", "", 1), false, "pseudo-missing"},
	{"WebSocket without an authority", strings.Replace(socket, ":authority: a|", "", 1) + "host: a", false, "pseudo-missing"},
	{"WebSocket twice", strings.Replace(socket, ":path", ":protocol: websocket|:path", 1), false, "pseudo-twice"},
	{"WebSocket of another scheme", strings.Replace(socket, "https", "wss", 1), false, "scheme"},
	{"WebSocket for *", strings.Replace(socket, "/b?c", "*", 1), false, "target-form"},
	{"WebSocket with a length", socket + "content-length: 0", false, "bad-length"},
	{"WebSocket and an upgrade", socket + "upgrade: websocket", false, "connection-field"},
	{"another protocol", strings.Replace(socket, "websocket", "connect-udp", 1), false, "method-refused"},
	{"no protocol", strings.Replace(socket, ": websocket", ": ", 1), false, "method-refused"},
	{"CONNECT where WebSocket is offered", offered + "|:method: CONNECT|:authority: a:80", false, "method-refused"},

	{"upper case", get + "X-Upper: 1", true, "upper-case-name"},
	{"empty name", get + ": 1", true, "bad-name"},
	{"space before a name", get + " x: 1", true, "bad-name"},
	{"space behind a name", get + "transfer-encoding : chunked", true, "bad-name"},
	{"CRLF in a name", get + "x\r\ntransfer-encoding: chunked", true, "bad-name"},
	{"colon in a name", get + "x:y: 1", true, "bad-name"},
	{"NUL in a name", get + "x\x00: 1", true, "bad-name"},
	{"obs-text in a name", get + "content-length\xa0: 1", true, "bad-name"},
	{"CRLF in a value", get + "x: a\r\ncontent-length: 1", true, "bad-value"},
	{"LF in a value", get + "x: a\nb", true, "bad-value"},
	{"CR in a value", get + "x: a\rb", true, "bad-value"},
	{"NUL in a value", get + "x: a\x00", true, "bad-value"},
	{"DEL in a value", get + "x: a\x7f", true, "bad-value"},
	{"space before a value", get + "x:  a", true, "bad-value"},
	{"space behind a value", get + "x: a ", true, "bad-value"},
	{"tab before a value", get + "x: \ta", true, "bad-value"},
	{"tab behind a value", get + "x: a\t", true, "bad-value"},
	{"space alone", get + "x:  ", true, "bad-value"},

	{"connection", get + "connection: close", true, "connection-field"},
	{"proxy-connection", get + "proxy-connection: keep-alive", true, "connection-field"},
	{"keep-alive", get + "keep-alive: 5", true, "connection-field"},
	{"transfer-encoding", get + "transfer-encoding: chunked", false, "connection-field"},
	{"upgrade", get + "upgrade: h2c", true, "connection-field"},
	{"te: gzip", get + "te: gzip", true, "connection-field"},
	{"te: trailers and gzip", get + "te: trailers, gzip", true, "connection-field"},
	{"empty te", get + "te: ", true, "connection-field"},

	{"unknown pseudo-field", get + ":foo: 1", true, "pseudo-unknown"},
	{"a response's", get + ":status: 200", true, "pseudo-unknown"},
	{":protocol", get + ":protocol: websocket", true, "pseudo-unknown"},
	{"upper case in a pseudo-field", get + ":Method: GET", true, "pseudo-unknown"},
	{"colon alone", get + ":: 1", true, "pseudo-unknown"},
	{"pseudo-field behind a field", ":method: GET|:scheme: https|x: y|:path: /", true, "pseudo-order"},
	{":method twice", get + ":method: GET", true, "pseudo-twice"},
	{":scheme twice", get + ":scheme: https", true, "pseudo-twice"},
	{":authority twice", get + ":authority: amt.example", true, "pseudo-twice"},
	{":path twice", get + ":path: /a?b=c", true, "pseudo-twice"},
	{"no :method", ":scheme: https|:authority: a|:path: /", true, "pseudo-missing"},
	{"no :scheme", ":method: GET|:authority: a|:path: /", true, "pseudo-missing"},
	{"no :path", ":method: GET|:scheme: https|:authority: a", true, "pseudo-missing"},
	{"nothing", "x: y", true, "pseudo-missing"},

	{"empty method", ":method: |:scheme: https|:authority: a|:path: /", true, "bad-method"},
	{"space in a method", ":method: GET /x HTTP/1.1|:scheme: https|:authority: a|:path: /", true, "bad-method"},
	{"long method", ":method: " + strings.Repeat("A", 25) + "|:scheme: https|:authority: a|:path: /", true, "bad-method"},
	{"TRACE", ":method: TRACE|:scheme: https|:authority: a|:path: /", true, "method-refused"},
	{"RTSP", ":method: SETUP|:scheme: https|:authority: a|:path: /", true, "method-refused"},
	{"CONNECT", ":method: CONNECT|:authority: a:443", false, "method-refused"},
	{"CONNECT and Host", ":method: CONNECT|:authority: a:443|host: a:443", false, "method-refused"},
	{"CONNECT with :path", ":method: CONNECT|:authority: a:443|:path: /", false, "target-form"},
	{"CONNECT with :scheme", ":method: CONNECT|:authority: a:443|:scheme: https", false, "target-form"},
	{"CONNECT without :authority", ":method: CONNECT|host: a:443", false, "pseudo-missing"},

	{"empty path", ":method: GET|:scheme: https|:authority: a|:path: ", true, "bad-target"},
	{"space in a path", ":method: GET|:scheme: https|:authority: a|:path: /a b", true, "bad-target"},
	{"CRLF in a path", ":method: GET|:scheme: https|:authority: a|:path: /a\r\nx: y", true, "bad-value"},
	{"fragment", ":method: GET|:scheme: https|:authority: a|:path: /a#b", true, "bad-target"},
	{"obs-text in a path", ":method: GET|:scheme: https|:authority: a|:path: /\xff", true, "bad-target"},
	{"absolute form", ":method: GET|:scheme: https|:authority: a|:path: https://evil.example/x", true, "target-form"},
	{"path without slash", ":method: GET|:scheme: https|:authority: a|:path: a", true, "target-form"},
	{"query alone", ":method: GET|:scheme: https|:authority: a|:path: ?a", true, "target-form"},
	{"GET *", ":method: GET|:scheme: https|:authority: a|:path: *", true, "target-form"},
	{"OPTIONS *?", ":method: OPTIONS|:scheme: https|:authority: a|:path: *?", true, "target-form"},

	{"empty scheme", ":method: GET|:scheme: |:authority: a|:path: /", true, "scheme"},
	{"other scheme", ":method: GET|:scheme: ftp|:authority: a|:path: /", true, "scheme"},
	{"scheme that brings a path", ":method: GET|:scheme: http://evil.example/?|:authority: a|:path: /", true, "scheme"},

	{"neither :authority nor Host", ":method: GET|:scheme: https|:path: /", true, "missing-host"},
	{"empty :authority", ":method: GET|:scheme: https|:authority: |:path: /", true, "bad-host"},
	{"userinfo", ":method: GET|:scheme: https|:authority: a@b|:path: /", true, "bad-host"},
	{"path in :authority", ":method: GET|:scheme: https|:authority: a/x|:path: /", true, "bad-host"},
	{"bad Host alone", ":method: GET|:scheme: https|:path: /|host: a b", true, "bad-host"},
	{"empty Host", get + "host: ", true, "bad-host"},
	{"two Host", get + "host: amt.example|host: amt.example", true, "duplicate-host"},
	{"Host and :authority differ", get + "host: evil.example", true, "host-mismatch"},
	{"their ports differ", get + "host: amt.example:80", true, "host-mismatch"},

	{"hexadecimal length", post + "content-length: 0x3", false, "bad-length"},
	{"signed length", post + "content-length: +3", false, "bad-length"},
	{"empty length", post + "content-length: ", false, "bad-length"},
	{"list of lengths", post + "content-length: 3, 3", false, "bad-length"},
	{"two lengths", post + "content-length: 3|content-length: 3", false, "duplicate-length"},
	{"length of nothing", get + "content-length: 5", true, "length-mismatch"},
	{"body too large", post + "content-length: 1048577", false, "body-too-large"},
	{"other expectation", post + "expect: cake", false, "expectation"},

	{"line too long", ":method: GET|:scheme: https|:authority: a|:path: /" + strings.Repeat("a", 1000), true, "line-too-long"},
	{"head too large", get + "x: " + strings.Repeat("a", 2000), true, "head-too-large"},
	{"many small fields are a large head", get + strings.TrimSuffix(strings.Repeat("x: |", 60), "|"), true, "too-many-fields"},
	{"crumbs count", get + strings.TrimSuffix(strings.Repeat("cookie: a|", 21), "|"), true, "too-many-fields"},
	{"32 octets each", get + "x: " + strings.Repeat("a", 1000) + strings.Repeat("|y: "+strings.Repeat("a", 36), 12), true, "head-too-large"},
}

func split(lines string) []string {
	if lines == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(lines, "|"), "|")
}

func TestHeadsOfFieldLines(t *testing.T) {
	t.Parallel()
	var a message.Assembler
	var h message.Head
	for _, c := range heads {
		cause := assemble(&a, &h, c.ended, split(c.lines))
		got := cause.String()
		if cause == message.HeadFine {
			got = describe(&h)
			checkHTTP1(t, &h)
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestEveryCauseHasItsCase(t *testing.T) {
	t.Parallel()
	met := map[string]bool{}
	for _, c := range heads {
		met[c.want] = true
	}
	for _, text := range message.HeadCauses() {
		if text == "" || !met[text] {
			t.Errorf("no case for %q", text)
		}
	}
}

func TestFaultsOfHeads(t *testing.T) {
	t.Parallel()
	want := map[string]message.Fault{
		"head-too-large": message.FaultHeadTooLarge, "too-many-fields": message.FaultHeadTooLarge, "line-too-long": message.FaultURITooLong,
		"method-refused": message.FaultMethod, "expectation": message.FaultExpectation, "body-too-large": message.FaultBodyTooLarge, "": message.FaultNone,
	}
	for c := message.HeadFine; c.String() != "unknown"; c++ {
		w, ok := want[c.String()]
		if !ok {
			w = message.FaultGrammar
		}
		if c.Fault() != w {
			t.Errorf("%s: %v, want %v", c, c.Fault(), w)
		}
	}
}

// The same request in HTTP/1.1, written by http1 and read by http1, has the same head.
func checkHTTP1(t *testing.T, h *message.Head) {
	t.Helper()
	out := *h
	if h.Chunked {
		out.Fields = append(append([]message.Field(nil), h.Fields...), message.Field{Name: []byte("transfer-encoding"), Value: []byte("chunked")})
	}
	if h.ContentLength == 0 && h.Get(message.ContentLength) == nil {
		out.Fields = append(append([]message.Field(nil), h.Fields...), message.Field{Name: []byte("content-length"), Value: []byte("0")})
	}
	if out.Connect = false; h.Connect {
		out.Fields = append(append([]message.Field(nil), h.Fields...), message.Field{Name: []byte("connection"), Value: []byte("upgrade")})
	}
	text := http1.AppendRequest(nil, &out, h.Target)
	var s http1.Server
	var read message.Head
	s.Init(&http1.Limits{Line: 1 << 20, Head: 1 << 20, Fields: 1 << 20})
	if n, ev, _ := s.Feed(text, &read); ev != http1.HeadDone || n != len(text) {
		t.Fatalf("%q: http1 says %v %s", text, ev, s.Cause())
	}
	if got, want := describe(&read), describe(&out); got != want {
		t.Fatalf("http1 reads %q, we read %q", got, want)
	}
	if !bytes.Equal(h.Path, read.Path) || !bytes.Equal(h.Query, read.Query) || h.HasQuery != read.HasQuery || h.Method != read.Method || h.HasBody() != read.HasBody() {
		t.Fatalf("http1 reads %+v, we read %+v", read, h)
	}
	for i, f := range h.Fields {
		if f.ID != read.Fields[i].ID {
			t.Fatalf("%s: ID %d, http1 says %d", f.Name, f.ID, read.Fields[i].ID)
		}
	}
	if h.Major != 2 || h.Minor != 0 {
		t.Fatalf("version %d.%d", h.Major, h.Minor)
	}
}

func TestTrailerFields(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]string{
		"x-checksum: abc": "",
		"content-length: 0|authorization: x|cookie: a": "", // dropped, never merged
		":path: /":                        "pseudo-order",
		"X-T: 1":                          "upper-case-name",
		"connection: close":               "connection-field",
		"x: a\r\nb":                       "bad-value",
		": a":                             "bad-name",
		strings.Repeat("t: v|", 21):       "too-many-fields",
		"x: " + strings.Repeat("a", 2000): "head-too-large",
	} {
		var a message.Assembler
		a.BeginTrailers(headLimits())
		for _, line := range split(lines) {
			at := strings.Index(line[min(1, len(line)):], ": ") + 1
			if line[0] == ':' && line[1] == ' ' {
				at = 0
			}
			a.Field([]byte(line[:at]), []byte(line[at+2:]))
		}
		if got := a.End(true).String(); got != want {
			t.Errorf("%q: got %q, want %q", lines, got, want)
		}
	}
}

// An answer to HEAD has no body, also if it says that the request was wrong.
func TestTheMethodOfABrokenHeadOfFieldLinesIsKnown(t *testing.T) {
	t.Parallel()
	var a message.Assembler
	var h message.Head
	if c := assemble(&a, &h, true, split(":method: HEAD|:scheme: https|:authority: a|:path: /|x: "+strings.Repeat("a", 2000))); c != message.HeadTooLarge || h.Method != message.HEAD {
		t.Errorf("%v, method %v", c, h.Method)
	}
}

// The corpus of what was smuggled through gateways from HTTP/2 to HTTP/1.1.
func TestCorpusDowngrade(t *testing.T) {
	t.Parallel()
	material := os.Getenv("PVGATE_MATERIAL")
	if material == "" {
		t.Skip("PVGATE_MATERIAL is not set: it names the folder that holds corpora/*.jsonl")
	}
	file, err := os.ReadFile(filepath.Join(material, "corpora", "h2-downgrade.requests.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	latin := func(s string) []byte {
		var b []byte
		for _, r := range s {
			if r > 0xff {
				b = append(b, string(r)...)
			} else {
				b = append(b, byte(r))
			}
		}
		return b
	}
	for line := range bytes.Lines(file) {
		var c struct {
			Name, Expected    string
			Body              string `json:"body_base64"`
			Headers, Trailers [][2]string
		}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		var a message.Assembler
		var h message.Head
		a.Begin(&h, 2, headLimits())
		for _, f := range c.Headers {
			a.Field(latin(f[0]), latin(f[1]))
		}
		cause := a.End(c.Body == "")
		if len(c.Trailers) > 0 && cause == message.HeadFine {
			a.BeginTrailers(headLimits())
			for _, f := range c.Trailers {
				a.Field(latin(f[0]), latin(f[1]))
			}
			cause = a.End(true)
		}
		if c.Name == "h2/cl-long" { // needs the DATA frames
			continue
		}
		if c.Expected == "reject" && cause == message.HeadFine || c.Expected == "accept" && cause != message.HeadFine {
			t.Errorf("%s: %q, want %s", c.Name, cause, c.Expected)
		}
	}
}

func TestAssemblerDoesNotAllocate(t *testing.T) {
	lines := [][2][]byte{
		{[]byte(":method"), []byte("GET")},
		{[]byte(":scheme"), []byte("https")},
		{[]byte(":authority"), []byte("amt.example")},
		{[]byte(":path"), []byte("/a?b")},
		{[]byte("accept"), []byte("*/*")},
		{[]byte("cookie"), []byte("a=b")},
		{[]byte("cookie"), []byte("c=d")},
		{[]byte("user-agent"), []byte("Mozilla")},
	}
	var a message.Assembler
	var h message.Head
	limits := headLimits()
	one := func() {
		a.Begin(&h, 2, limits)
		for _, l := range lines {
			a.Field(l[0], l[1])
		}
		if a.End(true) != message.HeadFine {
			t.Fatal("refused")
		}
	}
	one()
	if n := testing.AllocsPerRun(100, one); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// Whatever the lines are: what is accepted is, written in HTTP/1.1, read by http1 as the same request.
func FuzzAssembler(f *testing.F) {
	for _, c := range heads {
		f.Add([]byte(strings.ReplaceAll(c.lines, "|", "\x1e")), c.ended)
	}
	f.Fuzz(func(t *testing.T, in []byte, ended bool) {
		var a message.Assembler
		var h message.Head
		limits := headLimits()
		limits.WebSocket = bytes.HasPrefix(in, []byte(offered))
		a.Begin(&h, 2, limits)
		for line := range bytes.SplitSeq(in, []byte("\x1e")) {
			if string(line) == offered {
				continue
			}
			at := bytes.Index(line[min(1, len(line)):], []byte(": ")) + 1
			if at == 0 {
				a.Field(line, nil)
				continue
			}
			a.Field(line[:at], line[at+2:])
		}
		if a.End(ended) == message.HeadFine {
			checkHTTP1(t, &h)
		}
	})
}

func BenchmarkAssembler(b *testing.B) {
	lines := [][2][]byte{
		{[]byte(":method"), []byte("GET")},
		{[]byte(":scheme"), []byte("https")},
		{[]byte(":authority"), []byte("amt.example")},
		{[]byte(":path"), []byte("/leistung/99050012104000")},
		{[]byte("accept"), []byte("*/*")},
		{[]byte("accept-language"), []byte("de-DE,de")},
		{[]byte("user-agent"), []byte("Mozilla/5.0 (X11; Linux x86_64)")},
		{[]byte("sec-fetch-mode"), []byte("navigate")},
	}
	var a message.Assembler
	var h message.Head
	limits := headLimits()
	for b.Loop() {
		a.Begin(&h, 2, limits)
		for _, l := range lines {
			a.Field(l[0], l[1])
		}
		a.End(true)
	}
}

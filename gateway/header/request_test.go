// SPDX-License-Identifier: EUPL-1.2

package header

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/gateway/message"
)

// head builds a parsed head from lines "Name: value".
func head(lines ...string) *message.Head {
	h := &message.Head{Method: message.GET, Minor: 1, ContentLength: -1}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		h.Fields = append(h.Fields, message.Field{
			Name: []byte(name), Value: message.TrimOWS([]byte(value)), ID: message.Classify([]byte(name)),
		})
	}
	return h
}

// sent are the fields of a request as it is sent on.
func sent(h *message.Head) []message.Field {
	out := slices.Clone(h.Fields)
	for line := range bytes.SplitAfterSeq(h.Own, []byte("\r\n")) {
		if len(line) > 0 {
			name, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\r\n")), []byte(": "))
			out = append(out, message.Field{Name: name, Value: value, ID: message.Classify(name)})
		}
	}
	return out
}

func lines(fields []message.Field) []string {
	var out []string
	for i := range fields {
		out = append(out, string(fields[i].Name)+": "+string(fields[i].Value))
	}
	return out
}

func bare() Request { return Request{Host: []byte("amt.internal"), ContentLength: -1} }

func full() Request {
	return Request{
		Host: []byte("amt.internal:8080"), Via: []byte("pvgate-gw.example"), For: []byte("192.0.2.7"), Proto: []byte("https"),
		OrigHost: []byte("gw.example:8443"), Leistung: []byte("99050012104000"), ARS: []byte("065340014014"), Level: []byte("12"),
		Sender: []byte("bund"), OE: []byte("oe.1"), Language: []byte("de"), ContentLength: -1,
		Traceparent: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
	}
}

func TestRequestCarriesWhatTheContractNames(t *testing.T) {
	t.Parallel()
	r := full()
	r.ContentLength = 5
	h := head("User-Agent: x", "Host: gw.example:8443", "Accept-Language: de", "Cookie: a=b", "Content-Length: 005", "Expect: 100-continue")
	h.Method, h.Expect100 = message.POST, true
	removed, fault := r.Apply(h)
	want := []string{
		"Host: amt.internal:8080",
		"User-Agent: x",
		"Accept-Language: de",
		"Cookie: a=b",
		"Content-Length: 5",
		"Expect: 100-continue",
		"Via: 1.1 pvgate-gw.example",
		`Forwarded: for=192.0.2.7;host="gw.example:8443";proto=https`,
		"X-Forwarded-For: 192.0.2.7",
		"X-Forwarded-Proto: https",
		"X-Forwarded-Host: gw.example:8443",
		"PV-Leistung: 99050012104000",
		"PV-ARS: 065340014014",
		"PV-Area-Level: 12",
		"PV-Sender: bund",
		"PV-OE: oe.1",
		"PV-Language: de",
		"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	if diff := cmp.Diff(want, lines(sent(h))); diff != "" || fault != message.FaultNone || removed.Any() {
		t.Errorf("fault %v, removed %+v, fields (-want +got):\n%s", fault, removed, diff)
	}
}

func TestRequestFields(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		r       Request
		in      []string
		want    []string // without our Host, which is always first
		removed Removed
	}{
		{name: "nothing to say, nothing said", r: bare(), in: []string{"Host: gw"}, want: nil},
		{name: "no Host from an HTTP/1.0 client", r: bare(), in: []string{"X: 1", "Y: 2"}, want: []string{"X: 1", "Y: 2"}},
		{name: "order is kept", r: bare(), in: []string{"B: 1", "A: 2", "Host: gw", "C: 3", "A: 4"}, want: []string{"B: 1", "A: 2", "C: 3", "A: 4"}},
		{
			name: "hop-by-hop", r: bare(),
			in: []string{
				"Connection: keep-alive", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers", "Trailer: X",
				"Transfer-Encoding: chunked", "Upgrade: h2c", "HTTP2-Settings: AAMA", "Proxy-Authorization: Basic eDp5", "X: 1",
			},
			want: []string{"X: 1"},
		},
		{
			name: "named in Connection", r: bare(),
			in:   []string{"Connection:\t X-A ,, x-b\t", "connection: close, X-C", "X-A: 1", "x-B: 2", "X-C: 3", "X-D: 4", "X-a: 5"},
			want: []string{"X-D: 4"},
		},
		{
			name: "Connection cannot take away what the backend relies on", r: bare(),
			in:   []string{"Connection: Authorization, Cookie, Content-Type, Host, Origin", "Authorization: x", "Cookie: a", "Content-Type: b", "Origin: c"},
			want: []string{"Authorization: x", "Cookie: a", "Content-Type: b", "Origin: c"},
		},
		{
			name: "Connection cannot take away our own",
			r:    Request{Host: []byte("a"), Via: []byte("gw"), For: []byte("192.0.2.7"), Proto: []byte("http"), ARS: []byte("06"), Chunked: true, ContentLength: -1},
			in: []string{
				"Connection: Via, Forwarded, X-Forwarded-For, X-Forwarded-Proto, PV-ARS, Transfer-Encoding, Host", "Via: 1.0 b",
				"X-Forwarded-For: 203.0.113.9", "PV-ARS: 01",
			},
			want: []string{
				"Transfer-Encoding: chunked", "Via: 1.0 b, 1.1 gw", "Forwarded: for=192.0.2.7;proto=http", "X-Forwarded-For: 192.0.2.7",
				"X-Forwarded-Proto: http", "PV-ARS: 06",
			},
			removed: Removed{PV: 1, Forwarded: 1},
		},
		{
			name: "forged", r: bare(),
			in: []string{
				"PV-Leistung: 1", "pv-sender: bund", "PV-Neu: 1", "Forwarded: for=1.1.1.1", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-Host: b",
				"X-Forwarded-Prefix: /b", "X-Real-IP: 1.1.1.1", "True-Client-IP: 1.1.1.1", "X-Original-URL: /b", "X-PVP-UserID: admin",
				"X-SSL-Client-Verify: SUCCESS", "X-Forwarded-Client-Cert: a", "traceparent: 00-1", "tracestate: a=b", "Proxy: http://b/",
				"Early-Data: 1", "Max-Forwards: 3", "X: 1",
			},
			want:    []string{"X: 1"},
			removed: Removed{PV: 3, Forwarded: 7, Identity: 3, Alias: 1},
		},
		{
			name: "forged in other spellings", r: bare(),
			in: []string{
				"PV_Leistung: 1", "pv.ars: 1", "X_Forwarded_For: 1", "X-Forwarded_For: 1", "X.PVP.UserID: 1", "Content_Length: 99",
				"Transfer.Encoding: chunked", "X_Real_IP: 1", "my_own.field: 1",
			},
			want:    []string{"my_own.field: 1"},
			removed: Removed{Alias: 8},
		},
		{
			name: "a known sender's chain goes on",
			r:    Request{Host: []byte("a"), KnownSender: true, For: []byte("2001:db8::7"), Proto: []byte("https"), OrigHost: []byte("gw.example"), ContentLength: -1},
			in: []string{
				`Forwarded: for="[2001:db8::1]";proto=https, for=unknown`, "Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.1, [2001:db8::1]:99",
				"X-Forwarded-Proto: http", "X-Forwarded-Host: portal.example", "X-Real-IP: 1.1.1.1", "PV-ARS: 06", "tracestate: a=b",
			},
			want: []string{
				"tracestate: a=b",
				`Forwarded: for="[2001:db8::1]";proto=https, for=unknown, for=192.0.2.1, for="[2001:db8::7]";host=gw.example;proto=https`,
				"X-Forwarded-For: 192.0.2.1, [2001:db8::1]:99, 2001:db8::7",
				"X-Forwarded-Proto: https",
				"X-Forwarded-Host: gw.example",
			},
		},
		{
			name: "a chain that would swallow our element is dropped",
			r:    Request{Host: []byte("a"), KnownSender: true, For: []byte("192.0.2.7"), ContentLength: -1},
			in:   []string{`Forwarded: for="192.0.2.1`, "X-Forwarded-For: <script>"},
			want: []string{"Forwarded: for=192.0.2.7", "X-Forwarded-For: 192.0.2.7"},
		},
		{
			name: "a chain without end is dropped",
			r:    Request{Host: []byte("a"), KnownSender: true, For: []byte("192.0.2.7"), ContentLength: -1},
			in:   []string{"X-Forwarded-For: " + strings.Repeat("1.1.1.1,", 300)},
			want: []string{"Forwarded: for=192.0.2.7", "X-Forwarded-For: 192.0.2.7"},
		},
		{
			name: "Via lines become one", r: Request{Host: []byte("a"), Via: []byte("gw"), ContentLength: -1},
			in: []string{"Via: 1.0 b (x, y)", "X: 1", "Via: HTTP/2.0 c:80, 1.1 d"}, want: []string{"X: 1", "Via: 1.0 b (x, y), HTTP/2.0 c:80, 1.1 d, 1.1 gw"},
		},
		{
			name: "an identical duplicate is dropped", r: bare(),
			in: []string{"Authorization: a", "Origin: b", "Authorization: a"}, want: []string{"Authorization: a", "Origin: b"},
		},
		{
			name: "length zero is said", r: Request{Host: []byte("a")},
			in: []string{"Content-Length: 0"}, want: []string{"Content-Length: 0"},
		},
		{
			name: "Expect is not passed on by itself", r: bare(),
			in: []string{"Expect: 100-continue"}, want: nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := head(c.in...)
			r := c.r
			removed, fault := r.Apply(h)
			want := append([]string{"Host: " + string(c.r.Host)}, c.want...)
			if diff := cmp.Diff(want, lines(sent(h))); diff != "" || fault != message.FaultNone {
				t.Errorf("%v, fields (-want +got):\n%s", fault, diff)
			}
			if removed != c.removed {
				t.Errorf("removed: got %+v, want %+v", removed, c.removed)
			}
		})
	}
}

func TestRequestFaults(t *testing.T) {
	t.Parallel()
	many := func(format string, n int) string {
		var s []string
		for i := range n {
			s = append(s, fmt.Sprintf(format, i))
		}
		return strings.Join(s, ", ")
	}
	for _, c := range []struct {
		name string
		in   []string
		want message.Fault
	}{
		{"our pseudonym in Via", []string{"Via: 1.1 x", "Via: 1.1 PVGATE-gw.example (old)"}, message.FaultLoop},
		{"our pseudonym with a comment at once", []string{"Via: 1.1 pvgate-gw.example(x)"}, message.FaultLoop},
		{"our pseudonym as a part of another", []string{"Via: 1.1 pvgate-gw.example.org, 1.1 a-pvgate-gw.example"}, message.FaultNone},
		{"ten hops", []string{"Via: " + many("1.1 h%d", 10)}, message.FaultNone},
		{"eleven hops", []string{"Via: " + many("1.1 h%d", 6), "Via: " + many("1.1 g%d", 5)}, message.FaultLoop},
		{"two content types", []string{"Content-Type: text/plain", "content-type: text/html"}, message.FaultNone},
		{"two authorizations", []string{"Authorization: a", "Authorization: b"}, message.FaultGrammar},
		{"two origins", []string{"Origin: https://a", "Origin: https://b"}, message.FaultGrammar},
		{"as many names in Connection as allowed", []string{"Connection: " + many("n%d", maxNominated)}, message.FaultNone},
		{"more names in Connection", []string{"Connection: " + many("n%d", maxNominated+1)}, message.FaultGrammar},
	} {
		r := full()
		if _, fault := r.Apply(head(c.in...)); fault != c.want {
			t.Errorf("%s: got %v, want %v", c.name, fault, c.want)
		}
	}
}

func TestRequestDoesNotAllocate(t *testing.T) {
	in := head("Host: gw.example:8443", "User-Agent: x", "Accept: */*", "Connection: keep-alive, X-A", "X-A: 1", "Via: 1.1 a", "Cookie: a=b").Fields
	h := &message.Head{Minor: 1, Fields: make([]message.Field, 0, 32)}
	scratch := make([]byte, 0, 1024)
	r := full()
	if n := testing.AllocsPerRun(100, func() {
		h.Fields = append(h.Fields[:0], in...)
		r.Scratch, r.ContentLength = scratch, 7
		r.Apply(h)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkRequestApply(b *testing.B) {
	in := head("Host: gw.example:8443", "User-Agent: x", "Accept: */*", "Accept-Language: de", "Accept-Encoding: gzip", "Connection: keep-alive", "Cookie: a=b").Fields
	h := &message.Head{Minor: 1, Fields: make([]message.Field, 0, 32)}
	r := full()
	r.Scratch = make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		h.Fields = append(h.Fields[:0], in...)
		r.Scratch = r.Scratch[:0]
		r.Apply(h)
	}
}

// Whatever the client wrote there, the backend gets the one offer that was decided on, or none.
func TestRequestUpgradeIsOurs(t *testing.T) {
	t.Parallel()
	for _, offer := range []string{"", "websocket"} {
		r := bare()
		r.Upgrade = []byte(offer)
		h := head("Host: a", "Upgrade: h2c", "Connection: upgrade, X-Hop", "X-Hop: 1", "HTTP2-Settings: AAMA", "Upgrade: websocket, h2c", "Connection: close")
		want := []string{"Host: amt.internal"}
		if offer != "" {
			want = append(want, "Connection: Upgrade", "Upgrade: websocket")
		}
		if _, fault := r.Apply(h); fault != message.FaultNone {
			t.Fatal(fault)
		}
		if diff := cmp.Diff(want, lines(sent(h))); diff != "" {
			t.Errorf("offer %q (-want +got):\n%s", offer, diff)
		}
	}
}

func TestViaSaysInWhichVersionTheRequestCame(t *testing.T) {
	t.Parallel()
	for major, want := range map[uint8]string{0: "Via: 1.1 gw", 2: "Via: 2.0 gw", 3: "Via: 3.0 gw"} {
		h := head()
		if h.Major = major; major > 0 {
			h.Minor = 0
		}
		r := Request{Host: []byte("a"), Via: []byte("gw"), ContentLength: -1}
		r.Apply(h)
		if got := lines(sent(h)); len(got) != 2 || got[1] != want {
			t.Errorf("HTTP/%d: got %q, want %q", major, got, want)
		}
	}
}

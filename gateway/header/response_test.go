// SPDX-License-Identifier: EUPL-1.2

package header

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvgate/pvgate/gateway/message"
)

func TestResponseFields(t *testing.T) {
	t.Parallel()
	ours := Response{Via: []byte("pvgate-gw.example"), Trace: []byte("0af7"), Date: []byte("Sat, 21 Nov 2026 11:00:00 GMT"), ContentLength: -1}
	tail := []string{"Date: Sat, 21 Nov 2026 11:00:00 GMT", "Via: 1.1 pvgate-gw.example", "PV-Trace: 0af7"}
	with := func(f func(*Response)) Response {
		r := ours
		f(&r)
		return r
	}
	for _, c := range []struct {
		name   string
		r      Response
		status int
		in     []string
		want   []string
	}{
		{name: "ours only", r: ours, want: tail},
		{name: "nothing to say", r: Response{ContentLength: -1}, in: []string{"X: 1"}, want: []string{"X: 1"}},
		{
			name: "hop-by-hop", r: ours,
			in:   []string{"Connection: close, X-Internal", "X-Internal: secret", "Keep-Alive: timeout=1", "Proxy-Authenticate: Basic", "Trailer: X", "Upgrade: h2c", "Server: a"},
			want: append([]string{"Server: a"}, tail...),
		},
		{
			name: "framing is ours", r: with(func(r *Response) { r.Chunked, r.ContentLength = true, 5 }),
			in: []string{"Content-Length: 5", "Transfer-Encoding: chunked"}, want: []string{tail[0], "Transfer-Encoding: chunked", tail[1], tail[2]},
		},
		{
			name: "length", r: with(func(r *Response) { r.ContentLength = 5 }),
			in: []string{"Content-Length: 00005"}, want: []string{tail[0], "Content-Length: 5", tail[1], tail[2]},
		},
		{
			name: "204 has no framing", status: 204, r: with(func(r *Response) { r.ContentLength = 0 }),
			in: []string{"Content-Length: 5"}, want: tail,
		},
		{
			name: "close", r: with(func(r *Response) { r.Close, r.KeepAlive10 = true, true }),
			want: []string{tail[0], "Connection: close", tail[1], tail[2]},
		},
		{
			name: "agreed to another protocol", status: 101, r: with(func(r *Response) { r.Upgrade, r.Close = []byte("websocket"), true }),
			in:   []string{"Connection: X-Hop", "X-Hop: 1", "Upgrade: WebSocket, h2c", "Sec-WebSocket-Accept: a", "Content-Length: 5"},
			want: []string{"Sec-WebSocket-Accept: a", tail[0], "Connection: Upgrade", "Upgrade: websocket", tail[1], tail[2]},
		},
		{
			name: "keep-alive for HTTP/1.0", r: with(func(r *Response) { r.KeepAlive10 = true }),
			want: []string{tail[0], "Connection: keep-alive", tail[1], tail[2]},
		},
		{
			name: "the backend's date stays, once", r: ours, in: []string{"Date: a", "Date: b"},
			want: []string{"Date: a", tail[1], tail[2]},
		},
		{
			name: "cookies are never joined", r: ours, in: []string{"Set-Cookie: a=1", "X: 1", "Set-Cookie: b=2"},
			want: append([]string{"Set-Cookie: a=1", "X: 1", "Set-Cookie: b=2"}, tail...),
		},
		{
			name: "what only the gateway says", r: ours, in: []string{"PV-Trace: forged", "PV-Reason: handover", "Alt-Svc: h3=\":443\""},
			want: tail,
		},
		{
			name: "Via goes on", r: ours, in: []string{"Via: 1.0 a", "Via: 1.1 b"},
			want: []string{tail[0], "Via: 1.0 a, 1.1 b, 1.1 pvgate-gw.example", tail[2]},
		},
		{
			name: "the gateway's Strict-Transport-Security, once", r: with(func(r *Response) { r.StrictTransport = []byte("max-age=9") }),
			in:   []string{"Strict-Transport-Security: max-age=1", "X: 1", "strict-transport-security: max-age=2; includeSubDomains"},
			want: append(append([]string{"X: 1"}, tail[:2]...), "Strict-Transport-Security: max-age=9", tail[2]),
		},
		{
			name: "Connection cannot take cookies away", r: ours, in: []string{"Connection: Set-Cookie, Content-Type", "Set-Cookie: a=1", "Content-Type: b"},
			want: append([]string{"Set-Cookie: a=1", "Content-Type: b"}, tail...),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := head(c.in...)
			if h.Status = c.status; h.Status == 0 {
				h.Status = 200
			}
			r := c.r
			if diff := cmp.Diff(c.want, lines(r.Apply(h))); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

// More names in Connection than are compared: no unknown field is let through on
// trust.
func TestResponseWithTooManyNamesLosesUnknownFields(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range maxNominated + 1 {
		names = append(names, fmt.Sprintf("n%d", i))
	}
	h := head("Connection: "+strings.Join(names, ","), "n32: secret", "X: 1", "Content-Type: a")
	h.Status = 200
	r := Response{ContentLength: -1}
	if diff := cmp.Diff([]string{"Content-Type: a"}, lines(r.Apply(h))); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestResponseDoesNotAllocate(t *testing.T) {
	in := head("Server: a", "Content-Type: b", "Connection: close", "Set-Cookie: a=1", "Via: 1.1 a").Fields
	h := &message.Head{Status: 200, Minor: 1, Fields: make([]message.Field, 0, 16)}
	scratch := make([]byte, 0, 256)
	r := Response{Via: []byte("gw"), Trace: []byte("0af7"), Date: []byte("d")}
	if n := testing.AllocsPerRun(100, func() {
		h.Fields = append(h.Fields[:0], in...)
		r.Scratch, r.ContentLength = scratch, 1024
		r.Apply(h)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkResponseApply(b *testing.B) {
	in := head("Server: a", "Date: d", "Content-Type: b", "Cache-Control: no-store", "Content-Length: 1024").Fields
	h := &message.Head{Status: 200, Minor: 1, Fields: make([]message.Field, 0, 16)}
	r := Response{Via: []byte("pvgate-gw.example"), Trace: []byte("0af7651916cd43dd8448eb211c80319c"), ContentLength: 1024}
	r.Scratch = make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		h.Fields = append(h.Fields[:0], in...)
		r.Scratch = r.Scratch[:0]
		r.Apply(h)
	}
}

// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/exchange"
)

// FuzzConnect sends an extended CONNECT with any field lines, octets behind it and any answer, and lets net/http judge
// whether a tunnel was due. KEY in the answer stands for what proves to have understood.
func FuzzConnect(f *testing.F) {
	const line = "HTTP/1.1 101 Switching Protocols\r\n"
	const up = "Connection: Upgrade\r\nUpgrade: websocket\r\nKEY"
	for _, lines := range []string{
		"", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\nsec-websocket-version: 13", ":protocol: h2c", ":method: GET", ":path: *", ":authority: ", "content-length: 4",
		"upgrade: h2c", "connection: x", ":protocol: websocket\r\nX: y", "sec-websocket-key: a\r\nsec-websocket-accept: b", "cookie: a=b\ncookie: c=d", "expect: 100-continue",
	} {
		for _, answer := range []string{
			line + up + "\r\n", agree, line + "Connection: Upgrade\r\nUpgrade: echo/1\r\n\r\n", line + "\r\n", "HTTP/1.1 200 OK\r\n" + up + "\r\n",
			"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n" + line + up + "\r\nbehind", line + up + "Content-Length: 3\r\n\r\nabc",
		} {
			f.Add(lines, answer, "early\x00\xff")
		}
	}
	f.Fuzz(func(t *testing.T, lines, answer, early string) {
		if len(lines)+len(answer)+len(early) > 8<<10 {
			return
		}
		st := newSocketStage(t)
		st.net.SetCapacity(64 << 10)
		c := st.h2()
		var fields []string
		for l := range strings.SplitSeq(lines, "\n") {
			if at := strings.Index(l, ": "); at > 0 {
				fields = append(fields, l)
			}
		}
		id := c.connect("/a", false, fields...)
		c.data(id, early, false)
		c.flush()
		b := st.back.Accept()
		if b == nil {
			return
		}
		st.settle()
		asked := b.Read()
		offer := wantsOffer(t, asked)
		if len(offer.Header["Sec-Websocket-Key"]) != 1 {
			t.Fatalf("the backend was asked %q", asked)
		}
		answer = strings.ReplaceAll(answer, "KEY", acceptOf(offer))
		b.Write([]byte(answer))
		st.settle()
		c.hear()
		a := c.answer(id)
		tunnel := a.status == "200"
		if open := st.server.nodes[0].host.Tunnels() == 1 || st.server.nodes[0].meter.Tunnels != [exchange.TunnelEnds]uint64{}; tunnel != open || strings.HasPrefix(a.status, "2") != tunnel {
			t.Fatalf("tunnel %v, the client got %+v", open, a)
		}
		if !tunnel {
			if got := b.Read(); len(got) > 0 {
				t.Fatalf("the backend got %q without a tunnel", got)
			}
			return
		}
		for _, x := range a.fields {
			if n := http.CanonicalHeaderKey(x.Name); n == "Upgrade" || n == "Connection" || n == "Sec-Websocket-Accept" {
				t.Errorf("the client got %v", x)
			}
		}
		if behind := wantsAgreement(t, answer, offer); a.body != behind {
			t.Errorf("the client got %q behind the 101, want %q", a.body, behind)
		}
		if got := b.Read(); !bytes.Equal(got, []byte(early)) {
			t.Errorf("the backend got %q, want %q", got, early)
		}
	})
}

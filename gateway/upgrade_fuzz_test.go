// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 6455 says so
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/pvgate/pvgate/gateway/exchange"
)

// FuzzUpgrade sends a request with any fields, octets behind it and any answer, and lets net/http judge whether a tunnel
// was due.
func FuzzUpgrade(f *testing.F) {
	const up = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	const line = "HTTP/1.1 101 Switching Protocols\r\n"
	for _, fields := range []string{
		up + socketKey, "Connection: upgrade\r\nUpgrade: echo/1\r\n", up + socketKey + "Content-Length: 4\r\n", "Upgrade: websocket\r\n" + socketKey,
		"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, websocket\r\nHTTP2-Settings: AAMA\r\n" + socketKey,
		up + socketKey + "Transfer-Encoding: chunked\r\n", up + socketKey + "Sec-WebSocket-Key: a\r\n", "Connection: close, upgrade\r\nUpgrade: websocket\r\n" + socketKey,
	} {
		for _, answer := range []string{
			agree, line + "Connection: Upgrade\r\nUpgrade: echo/1\r\n\r\n", line + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", line + "\r\n",
			"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n" + agree, line + up + accepted + "Content-Length: 3\r\n\r\nabc",
		} {
			f.Add(fields, answer, "early\x00\xff")
		}
	}
	f.Fuzz(func(t *testing.T, fields, answer, early string) {
		if len(fields)+len(answer)+len(early) > 8<<10 {
			return
		}
		st := newStage(t)
		st.net.SetCapacity(64 << 10)
		e := st.net.Dial(simFrom, simFront)
		e.Write([]byte("GET /a HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + early))
		st.settle()
		b := st.back.Accept()
		if b == nil {
			return
		}
		st.settle()
		asked := b.Read()
		b.Write([]byte(answer))
		st.settle()
		got := e.Read()
		head, rest, _ := bytes.Cut(got, []byte("\r\n\r\n"))
		tunnel := bytes.HasPrefix(head, []byte("HTTP/1.1 101 "))
		if open := st.server.nodes[0].host.Tunnels() == 1 || st.server.nodes[0].meter.Tunnels != [exchange.TunnelEnds]uint64{}; tunnel != open {
			t.Fatalf("tunnel %v, the client got %q", open, got)
		}
		if !tunnel {
			return
		}
		offer := wantsOffer(t, asked)
		behind := wantsAgreement(t, answer, offer)
		if string(rest) != behind {
			t.Errorf("the client got %q behind the 101, want %q", rest, behind)
		}
		_, sent, _ := strings.Cut("GET /a HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n"+early, "\r\n\r\n")
		if got := string(b.Read()); got != sent {
			t.Errorf("the backend got %q, want %q", got, sent)
		}
	})
}

// wantsOffer fails unless what the backend was asked is one clean offer.
func wantsOffer(t *testing.T, asked []byte) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(asked)))
	if err != nil {
		t.Fatalf("%v in %q", err, asked)
	}
	u := r.Header["Upgrade"]
	if len(u) != 1 || u[0] != "websocket" && u[0] != "echo/1" || len(r.Header["Connection"]) != 1 || r.Header.Get("Connection") != "Upgrade" ||
		r.Method != http.MethodGet || r.ContentLength != 0 || len(r.TransferEncoding) > 0 || len(r.Header["Http2-Settings"]) > 0 || !bytes.HasSuffix(asked, []byte("\r\n\r\n")) {
		t.Fatalf("a tunnel after the request %q", asked)
	}
	return r
}

// wantsAgreement fails unless the answer agrees to the offer; it returns what follows it.
func wantsAgreement(t *testing.T, answer string, offer *http.Request) string {
	t.Helper()
	rest := answer
	for {
		head, behind, ok := strings.Cut(rest, "\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head+"\r\n\r\n")), offer)
		if !ok || err != nil {
			t.Fatalf("a tunnel after %q: %v", answer, err)
		}
		if rest = behind; r.StatusCode < 200 && r.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		u := r.Header["Upgrade"]
		if r.StatusCode != 101 || len(u) != 1 || !strings.EqualFold(strings.Trim(u[0], ", \t"), offer.Header.Get("Upgrade")) {
			t.Fatalf("a tunnel after %q", answer)
		}
		sum := sha1.Sum([]byte(offer.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		if a := r.Header["Sec-Websocket-Accept"]; offer.Header.Get("Upgrade") == "websocket" && (len(a) != 1 || a[0] != base64.StdEncoding.EncodeToString(sum[:])) {
			t.Fatalf("a tunnel after %q for the key %q", answer, offer.Header.Get("Sec-WebSocket-Key"))
		}
		return rest
	}
}

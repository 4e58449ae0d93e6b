// SPDX-License-Identifier: EUPL-1.2

package gateway_test

import (
	"io"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/pvgate/pvgate/gateway"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http3/wire"
)

// WebSocket over HTTP/3 (RFC 9220), octet by octet; what holds for every protocol is in tunnel_protocols_test.go.

// h3connect is the head of an extended CONNECT.
func h3connect(lines ...string) []byte {
	return h3fields(append([]string{":method: CONNECT", ":protocol: websocket", ":scheme: https", ":authority: a.example", ":path: /a"}, lines...)...)
}

func offersSockets(o *gateway.Options, s *gateway.Snapshot) {
	o.Listen[0].Protocols |= conn.WebSocket
	sockets(o, s)
}

// heard reads n octets of a stream.
func heard(t *testing.T, s *quic.Stream, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_ = s.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(s, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// h3opens reads the answer that begins a tunnel.
func h3opens(t *testing.T, s *quic.Stream) {
	t.Helper()
	head := heard(t, s, 5) // the length is four octets long
	size, _ := wire.Varint(head[1:])
	if section := heard(t, s, int(size)); head[0] != 1 || section[2] != 0xd9 {
		t.Fatalf("got % x % x, want :status 200", head, section)
	}
}

// H2-14 over HTTP/3: only WebSocket is connected, and only where it is offered.
func TestH214HTTP3OnlyWebSocketIsConnected(t *testing.T) {
	t.Parallel()
	back := origin(t, nil) // whatever came would be a panic of its own
	_, without := http3Gateway(t, back)
	_, with := http3Gateway(t, back, offersSockets)
	for _, x := range []struct {
		what   string
		dial   func() *peer
		head   []byte
		status string
	}{
		{"not offered", without, h3connect(), ""},
		{"plain", with, h3fields(":method: CONNECT", ":authority: back:80"), "405"},
		{"plain, nothing offered", without, h3fields(":method: CONNECT", ":authority: back:80"), "405"},
		{"unknown protocol", with, h3fields(":method: CONNECT", ":protocol: connect-udp", ":scheme: https", ":authority: a.example", ":path: /a"), "405"},
		{"GET", with, h3fields(":method: GET", ":protocol: websocket", ":scheme: https", ":authority: a.example", ":path: /a"), ""},
		{"no scheme", with, h3fields(":method: CONNECT", ":protocol: websocket", ":authority: a.example", ":path: /a"), ""},
		{"no path", with, h3fields(":method: CONNECT", ":protocol: websocket", ":scheme: https", ":authority: a.example"), ""},
		{"no authority", with, h3fields(":method: CONNECT", ":protocol: websocket", ":scheme: https", ":path: /a", "host: a.example"), ""},
		{"length", with, h3connect("content-length: 3"), ""},
		{"twice", with, h3fields(":method: CONNECT", ":protocol: websocket", ":protocol: websocket", ":scheme: https", ":authority: a.example", ":path: /a"), ""},
	} {
		t.Run(x.what, func(t *testing.T) {
			t.Parallel()
			p := x.dial()
			p.t = t
			p.hello()
			s := p.ask(false, x.head, h3data("GET /hidden HTTP/1.1\r\n\r\n"))
			if x.status == "" {
				resets(t, s, wire.MessageError)
			} else if got, _ := answers(t, s); got != x.status {
				t.Errorf("got %s, want %s", got, x.status)
			}
		})
	}
}

func TestHTTP3TunnelHasOnlyData(t *testing.T) {
	t.Parallel()
	s, dial := http3Gateway(t, octetEcho(t), offersSockets)
	for what, frame := range map[string][]byte{"HEADERS": h3fields("a: b"), "SETTINGS": h3frame(4), "PRIORITY of HTTP/2": h3frame(2, 0)} {
		t.Run(what, func(t *testing.T) {
			p := dial()
			p.t = t
			p.hello()
			u := p.ask(false, h3connect())
			h3opens(t, u)
			_, _ = u.Write(h3data("x"))
			if got := heard(t, u, 3); got[2] != 'x' {
				t.Fatalf("got % x", got)
			}
			_, _ = u.Write(frame)
			p.refuses(wire.FrameUnexpected)
			wantsTunnels(t, s, 0)
		})
	}
}

// What a client says too early waits; what it ends too early has ended.
func TestHTTP3TunnelHoldsWhatCameTooEarly(t *testing.T) {
	t.Parallel()
	s, dial := http3Gateway(t, octetEcho(t), offersSockets)
	for _, early := range []string{"", "early words"} {
		p := dial()
		p.hello()
		frames := [][]byte{h3connect()}
		if early != "" {
			frames = append(frames, h3data(early))
		}
		u := p.ask(true, frames...)
		if status, body := answers(t, u); status != "200" || string(body) != early {
			t.Errorf("got %s %q, want %q", status, body, early)
		}
		wantsTunnels(t, s, 0)
	}
}

// A tunnel that breaks is reset with H3_REQUEST_CANCELLED (RFC 9220, section 3).
func TestHTTP3TunnelThatBreaksIsReset(t *testing.T) {
	t.Parallel()
	s, dial := http3Gateway(t, octetEcho(t), offersSockets, func(_ *gateway.Options, s *gateway.Snapshot) {
		s.Backends[0].Tunnels.Idle = 300 * time.Millisecond
	})
	p := dial()
	p.hello()
	resets(t, p.ask(false, h3connect()), wire.RequestCancelled) // its answer may have gone with it, if nobody has read that in time
	wantsTunnels(t, s, 0)
	if ends := stats(t, s).Meter.Tunnels; ends[exchange.TunnelIdle] != 1 {
		t.Errorf("tunnels ended as %v, want one that was silent", ends)
	}
}

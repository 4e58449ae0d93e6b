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
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// WebSocket over HTTP/2 (RFC 8441), on the simulated kernel.

// h2Tunnel is one of its tunnels, with both ends.
type h2Tunnel struct {
	*stage
	c  *h2client
	id uint32
	b  *simsys.End
}

// newSocketStage is a stage whose listener speaks HTTP/2 only, and offers WebSocket there.
func newSocketStage(t *testing.T) *stage {
	t.Helper()
	return newStageWith(t, func(o *Options) { o.Listen = []Listener{{Protocols: spoken2 | conn.WebSocket}} })
}

// connect writes an extended CONNECT; a pseudo-field among the fields stands for the usual one, and leaves it out if empty.
func (c *h2client) connect(path string, end bool, fields ...string) uint32 {
	c.t.Helper()
	c.block.Reset()
	write := func(line string) {
		at := 1 + strings.Index(line[1:], ":")
		_ = c.hpack.WriteField(hpack.HeaderField{Name: line[:at], Value: strings.TrimPrefix(line[at+1:], " ")})
	}
	for _, line := range []string{":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: a", ":path: " + path} {
		name, _, _ := strings.Cut(line[1:], ":")
		for _, f := range fields {
			if strings.HasPrefix(f, ":"+name+": ") {
				line = f
			}
		}
		if !strings.HasSuffix(line, ": ") {
			write(line)
		}
	}
	for _, f := range fields {
		if f[0] != ':' {
			write(f)
		}
	}
	id := c.next
	c.next += 2
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block.Bytes(), EndStream: end, EndHeaders: true})
	return id
}

// acceptance is the backend's 101 to what it was asked.
func acceptance(t *testing.T, asked []byte) string {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(asked)))
	if err != nil {
		t.Fatalf("%v in %q", err, asked)
	}
	keys := r.Header["Sec-Websocket-Key"]
	if len(keys) != 1 {
		t.Fatalf("keys %q in %q", keys, asked)
	}
	if nonce, err := base64.StdEncoding.DecodeString(keys[0]); err != nil || len(nonce) != 16 {
		t.Fatalf("key %q: %v", keys[0], err)
	}
	return strings.Replace(agree, accepted, acceptOf(r), 1)
}

// acceptOf is the field line that proves to have understood a request for WebSocket.
func acceptOf(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return "Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
}

// h2tunnel opens one.
func (st *stage) h2tunnel(settings ...http2.Setting) *h2Tunnel {
	st.t.Helper()
	u := &h2Tunnel{stage: st, c: st.h2(settings...)}
	u.open()
	return u
}

func (u *h2Tunnel) open() {
	u.t.Helper()
	u.id = u.c.connect("/a", false, "sec-websocket-version: 13")
	u.c.flush()
	u.b = u.accept()
	u.write(u.b, acceptance(u.t, u.b.Read()))
	u.c.hear()
	if a := u.c.answer(u.id); a.status != "200" || a.ended || a.reset {
		u.t.Fatalf("the client got %+v", a)
	}
}

// say sends octets of the client.
func (u *h2Tunnel) say(s string, end bool) {
	u.t.Helper()
	u.c.data(u.id, s, end)
	u.c.flush()
}

// wantsOver fails unless the only tunnel has ended so, and nothing is left of it but the client's connection.
func (u *h2Tunnel) wantsOver(how exchange.TunnelEnd) {
	u.t.Helper()
	u.settle()
	u.c.hear()
	n := u.server.nodes[0]
	if m := &n.meter; m.Tunnels[how] != 1 || m.Codes[exchange.HTTP2][200] != 1 {
		u.t.Errorf("tunnels that ended %v, answers %d; want one %v", m.Tunnels, m.Codes[exchange.HTTP2][200], how)
	}
	u.noneTaken(how.String())
	u.c.end.Close()
	u.pass(3*time.Second, time.Second, nil)
	if open, active := n.host.Count(); open != 0 || active != 0 || n.host.Tunnels() != 0 || n.loop.Stats().Lent != 0 || u.net.Owned() != 0 {
		u.t.Errorf("left: %d connections, %d active, %d tunnels, %d buffers, %d sockets", open, active, n.host.Tunnels(), n.loop.Stats().Lent, u.net.Owned())
	}
}

func TestH2TunnelPassesOctetsBothWays(t *testing.T) {
	t.Parallel()
	st := newSocketStage(t)
	c := st.h2()
	offered := false
	for _, f := range c.frames {
		offered = offered || f.kind == http2.FrameSettings && f.connect
	}
	if !offered {
		t.Error("the client was not told that it may ask")
	}
	id := c.connect("/chat?x=1", false, "sec-websocket-version: 13", "sec-websocket-protocol: chat", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "origin: https://a")
	c.flush()
	b := st.accept()
	asked := string(b.Read())
	for _, want := range []string{"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", "sec-websocket-protocol: chat\r\n", "sec-websocket-version: 13\r\n", "origin: https://a\r\n"} {
		if !strings.HasPrefix(asked, "GET /chat HTTP/1.1\r\nHost: sim\r\n") || !strings.Contains(asked, want) || !strings.HasSuffix(asked, "\r\n\r\n") ||
			strings.Contains(asked, "dGhlIHNhbXBsZSBub25jZQ==") || strings.Contains(strings.ToLower(asked), "transfer-encoding") {
			t.Errorf("the backend was asked %q, which wants %q", asked, want)
		}
	}
	st.write(b, strings.Replace(acceptance(t, []byte(asked)), "\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n", 1)+"first")
	c.hear()
	a := c.answer(id)
	if a.status != "200" || a.body != "first" || a.ended {
		t.Fatalf("the client got %+v", a)
	}
	protocol := ""
	for _, f := range a.fields {
		switch f.Name {
		case "sec-websocket-protocol":
			protocol = f.Value
		case "sec-websocket-accept", "upgrade", "connection", "content-length", "transfer-encoding":
			t.Errorf("the client got %s: %s", f.Name, f.Value)
		}
	}
	if protocol != "chat" {
		t.Errorf("sub-protocol %q", protocol)
	}
	up := "GET / HTTP/1.1\r\n\r\n\x00\xff"
	c.data(id, up, false)
	c.flush()
	if got := string(b.Read()); got != up {
		t.Errorf("the backend got %q", got)
	}
	st.write(b, "HTTP/1.1 200 OK\r\n\r\n")
	c.hear()
	if got := c.answer(id).body; got != "firstHTTP/1.1 200 OK\r\n\r\n" {
		t.Errorf("the client got %q", got)
	}
	n := st.server.nodes[0]
	if got, want := st.metered(), [2]uint64{uint64(len(up)), uint64(len(c.answer(id).body))}; got != want {
		t.Errorf("metered %v while it is open, want %v", got, want)
	}
	if open, active := n.host.Count(); open != 1 || active != 1 || n.host.Tunnels() != 1 {
		t.Errorf("%d open, %d active, %d tunnels", open, active, n.host.Tunnels())
	}
	c.wants(c.get("/own"), "404", "own") // beside it
	u := &h2Tunnel{stage: st, c: c, id: id, b: b}
	u.say("", true)
	b.Read()
	b.Close()
	u.wantsOver(exchange.TunnelFinished)
}

func TestH2TunnelIsHalfClosedEachWay(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"client", "backend"} {
		u := newSocketStage(t).h2tunnel()
		if first == "client" {
			u.say("last", true)
			if got := string(u.b.Read()); got != "last" || !u.b.EOF() || u.b.Broken() {
				t.Errorf("the backend got %q, ended %v, broken %v", got, u.b.EOF(), u.b.Broken())
			}
			u.pass(15*time.Second, time.Second, nil)
			u.write(u.b, "still")
			u.b.CloseWrite()
			u.settle()
		} else {
			u.write(u.b, "still")
			u.b.CloseWrite()
			u.settle()
			u.c.hear()
			u.pass(15*time.Second, time.Second, nil)
			u.say("last", false)
			u.pass(15*time.Second, time.Second, nil)
			u.say("", true)
			if got := string(u.b.Read()); got != "last" || !u.b.EOF() || u.b.Broken() {
				t.Errorf("the backend got %q, ended %v, broken %v", got, u.b.EOF(), u.b.Broken())
			}
		}
		u.c.hear()
		if a := u.c.answer(u.id); a.body != "still" || !a.ended || a.reset {
			t.Errorf("%s first: the client got %+v", first, a)
		}
		u.wantsOver(exchange.TunnelFinished)
	}
}

// What nobody was offered is malformed, and an ordinary CONNECT stays refused where something else is offered (H2-14).
func TestH214OnlyWebSocketIsConnectedAndOnlyWhereItIsOffered(t *testing.T) {
	t.Parallel()
	hidden := "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, x := range []struct {
		what    string
		offered bool
		ask     func(c *h2client) uint32
		status  string
		code    http2.ErrCode
	}{
		{"not offered", false, func(c *h2client) uint32 { return c.connect("/a", false) }, "", http2.ErrCodeProtocol},
		{"plain", true, func(c *h2client) uint32 {
			return c.connect("", false, ":protocol: ", ":scheme: ", ":path: ", ":authority: backend:80")
		}, "405", 0},
		{"plain with a target", true, func(c *h2client) uint32 { return c.connect("/a", false, ":protocol: ") }, "", http2.ErrCodeProtocol},
		{"unknown protocol", true, func(c *h2client) uint32 { return c.connect("/a", false, ":protocol: connect-udp") }, "405", 0},
		{"in upper case", true, func(c *h2client) uint32 { return c.connect("/a", false, ":protocol: WebSocket") }, "405", 0},
		{"two protocols", true, func(c *h2client) uint32 { return c.connect("/a", false, ":protocol: websocket, h2c") }, "405", 0},
		{"line break", true, func(c *h2client) uint32 { return c.connect("/a", false, ":protocol: websocket\r\nX: y") }, "", http2.ErrCodeProtocol},
		{"GET", true, func(c *h2client) uint32 { return c.connect("/a", false, ":method: GET") }, "", http2.ErrCodeProtocol},
		{"no scheme", true, func(c *h2client) uint32 { return c.connect("/a", false, ":scheme: ") }, "", http2.ErrCodeProtocol},
		{"no path", true, func(c *h2client) uint32 { return c.connect("", false, ":path: ") }, "", http2.ErrCodeProtocol},
		{"no authority", true, func(c *h2client) uint32 { return c.connect("/a", false, ":authority: ", "host: a") }, "", http2.ErrCodeProtocol},
		{"asterisk", true, func(c *h2client) uint32 { return c.connect("*", false) }, "", http2.ErrCodeProtocol},
		{"absolute", true, func(c *h2client) uint32 { return c.connect("http://b/", false) }, "", http2.ErrCodeProtocol},
		{"length", true, func(c *h2client) uint32 { return c.connect("/a", false, "content-length: 5") }, "", http2.ErrCodeProtocol},
		{"no length", true, func(c *h2client) uint32 { return c.connect("/a", false, "content-length: 0") }, "", http2.ErrCodeProtocol},
		{"upgrade", true, func(c *h2client) uint32 { return c.connect("/a", false, "upgrade: h2c") }, "", http2.ErrCodeProtocol},
		{"own page", true, func(c *h2client) uint32 { return c.connect("/own/page", false) }, "405", 0},
		{"own answer", true, func(c *h2client) uint32 { return c.connect("/own", false) }, "404", 0},
	} {
		st := newStageWith(t, func(o *Options) {
			o.Listen = []Listener{{Protocols: spoken2}}
			if x.offered {
				o.Listen[0].Protocols |= conn.WebSocket
			}
		})
		c := st.h2()
		id := x.ask(c)
		c.data(id, hidden, false)
		c.flush()
		if st.settle(); st.back.Accept() != nil {
			t.Errorf("%s: the backend was asked", x.what)
		}
		if a := c.answer(id); a.status != x.status || x.status == "" && (!a.reset || a.code != x.code) {
			t.Errorf("%s: got %+v, want %s %v", x.what, a, x.status, x.code)
		}
		c.wants(c.get("/own"), "404", "own")
		st.noneTaken(x.what)
	}
}

// UP-01: only a 101 that fits makes a tunnel, and no other answer looks to the client as if it had.
func TestUP01H2OtherAnswersMakeNoTunnel(t *testing.T) {
	t.Parallel()
	for answer, status := range map[string]string{
		"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno":        "426",
		"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n":                       "302",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":                                            "502",
		"HTTP/1.1 204 No Content\r\n\r\n":                                                           "502",
		"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n": "502",
		agree: "502", // to another key
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n":                       "502",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n":                                                              "502",
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": "404",
	} {
		st := newSocketStage(t)
		c := st.h2()
		id := c.connect("/a", false, "sec-websocket-version: 13")
		c.data(id, "early", false)
		c.flush()
		b := st.accept()
		b.Read()
		st.write(b, answer)
		c.hear()
		if a := c.answer(id); a.status != status || !a.ended {
			t.Errorf("%q: got %+v, want %s", answer, a, status)
		}
		_ = c.framer.WriteData(id, false, []byte("GET /hidden HTTP/1.1\r\n\r\n"))
		c.flush()
		if got := b.Read(); len(got) > 0 || !b.EOF() {
			t.Errorf("%q: the backend got %q, ended %v", answer, got, b.EOF())
		}
		if st.back.Accept() != nil {
			t.Errorf("%q: something else was asked", answer)
		}
		c.wants(c.get("/own"), "404", "own")
		st.noneTaken(answer)
		if n := st.server.nodes[0].loop.Stats().Lent; n != 0 {
			t.Errorf("%q: %d buffers are left", answer, n)
		}
	}
}

// What a client goes on to say after a refusal is dropped, while the answer is on its way.
func TestH2TunnelThatIsRefusedHearsNothing(t *testing.T) {
	t.Parallel()
	st := newSocketStage(t)
	c := st.h2()
	id := c.connect("/a", false)
	c.data(id, "early", false)
	c.flush()
	b := st.accept()
	b.Read()
	st.write(b, "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nn")
	if n := st.server.nodes[0].loop.Stats().Lent; n != 0 {
		t.Errorf("%d buffers keep what nobody will hear", n)
	}
	for range 5 {
		c.data(id, strings.Repeat("x", 4<<10), false)
		c.flush()
	}
	st.write(b, "o!!")
	c.hear()
	c.wants(id, "403", "no!!")
	if got := b.Read(); len(got) > 0 {
		t.Errorf("the backend got %q", got)
	}
	st.noneTaken("refused")
}

func TestH2TunnelHoldsWhatCameTooEarly(t *testing.T) {
	t.Parallel()
	for _, end := range []bool{false, true} {
		st := newSocketStage(t)
		c := st.h2()
		id := c.connect("/a", false, "sec-websocket-version: 13")
		c.data(id, "early", false)
		c.data(id, " words", end)
		c.flush()
		b := st.accept()
		asked := b.Read()
		if strings.Contains(string(asked), "early") {
			t.Fatalf("the backend got %q", asked)
		}
		st.pass(20*time.Second, time.Second, nil) // the time of a body is no matter
		st.write(b, acceptance(t, asked))
		if got := string(b.Read()); got != "early words" || b.EOF() != end {
			t.Errorf("the backend got %q, ended %v, want %v", got, b.EOF(), end)
		}
		b.Close()
		u := &h2Tunnel{stage: st, c: c, id: id, b: b}
		if !end {
			c.data(id, "", true)
		}
		c.flush()
		u.wantsOver(exchange.TunnelFinished)
	}
	st := newSocketStage(t)
	c := st.h2()
	id := c.connect("/a", false)
	c.data(id, strings.Repeat("x", 16<<10), false)
	c.data(id, "x", false)
	c.flush()
	b := st.accept()
	if b.Read(); !b.Broken() {
		t.Error("the backend is asked on for who cannot wait")
	}
	c.wantsReset(id, http2.ErrCodeCancel)
	st.noneTaken("too much too early")
}

func TestH2TunnelHoldsBackTheFasterSide(t *testing.T) {
	t.Parallel()
	u := newSocketStage(t).h2tunnel()
	sent := 0
	for range 200 { // the backend takes nothing
		left := 65535 + int(u.c.answer(u.id).opened) - sent
		if left <= 0 {
			break
		}
		n := min(left, 4096)
		u.say(strings.Repeat("x", n), false)
		sent += n
	}
	if most := 65535 + u.net.Capacity() + 32<<10; sent > most {
		t.Errorf("%d octets were let in, want at most %d", sent, most)
	}
	got := 0
	for range 1000 {
		n := len(u.b.Read())
		if got += n; n == 0 {
			break
		}
		u.c.flush()
	}
	if more := 65535 + int(u.c.answer(u.id).opened) - sent; got != sent || more < 32<<10 {
		t.Errorf("%d of %d octets arrived, and the window is %d", got, sent, more)
	}
	taken := 0
	for range 400 { // the client's window is shut after 64 KiB
		taken += u.b.Write(bytes.Repeat([]byte("x"), 4<<10))
		u.settle()
		u.c.hear()
	}
	if most := 65535 + u.net.Capacity() + 2*64<<10; taken > most || len(u.c.answer(u.id).body) != 65535 {
		t.Errorf("%d octets were taken from the backend, and %d passed", taken, len(u.c.answer(u.id).body))
	}
	u.say("other way", false) // is not held up
	if got := string(u.b.Read()); got != "other way" {
		t.Errorf("the backend got %q", got)
	}
	u.b.CloseWrite()
	_ = u.c.framer.WriteWindowUpdate(0, 1<<20)
	_ = u.c.framer.WriteWindowUpdate(u.id, 1<<20)
	u.c.flush()
	if a := u.c.answer(u.id); len(a.body) != taken || !a.ended {
		t.Errorf("%d of %d octets arrived, ended %v", len(a.body), taken, a.ended)
	}
	u.say("", true)
	u.wantsOver(exchange.TunnelFinished)
}

// RS-02: who takes nothing is left, over HTTP/2 too.
func TestRS02H2TunnelOfWhoTakesNothingIsLeft(t *testing.T) {
	t.Parallel()
	for _, slow := range []string{"client", "backend"} {
		u := newSocketStage(t).h2tunnel()
		want, within := exchange.TunnelClient, 32*time.Second
		_ = u.c.framer.WriteWindowUpdate(0, 1<<20)
		if slow == "client" {
			for range 100 {
				u.b.Write(bytes.Repeat([]byte("x"), 4<<10))
				u.settle()
				u.c.hear()
			}
		} else {
			want, within = exchange.TunnelBackend, 62*time.Second
			for range 15 {
				u.say(strings.Repeat("x", 4<<10), false)
			}
		}
		u.pass(within-4*time.Second, time.Second, nil)
		if u.c.hear(); u.c.answer(u.id).reset {
			t.Errorf("%s: left too soon %v", slow, u.c.frames)
		}
		u.pass(4*time.Second, time.Second, nil)
		u.c.hear()
		u.c.wantsReset(u.id, http2.ErrCodeCancel)
		if u.b.Read(); !u.b.Broken() {
			t.Errorf("%s: the backend is not told", slow)
		}
		u.c.wants(u.c.get("/own"), "404", "own")
		u.wantsOver(want)
	}
}

// A client that opens its window little by little takes octets, though nobody says anything more meanwhile.
func TestUP03H2TunnelIsNotSilentWhileOctetsAreTaken(t *testing.T) {
	t.Parallel()
	st := newSocketStage(t)
	st.net.SetCapacity(16 << 10)
	short := *simTunnels
	short.Idle = 5 * time.Second
	st.server.Snapshot().Backends[0].Tunnels = &short
	u := st.h2tunnel()
	const window, left, last = 65535, 100, upstream.MinRead
	for range 5 {
		u.write(u.b, strings.Repeat("x", (window-left)/5))
		u.c.hear()
	}
	u.write(u.b, strings.Repeat("x", last)) // is read at once, and has to wait for the window
	open := func(n int) {
		_ = u.c.framer.WriteWindowUpdate(0, uint32(n))
		_ = u.c.framer.WriteWindowUpdate(u.id, uint32(n))
		u.c.flush()
	}
	u.pass(12*time.Second, time.Second, func() { open(300) })
	if a := u.c.answer(u.id); a.reset || len(a.body) != window+12*300 {
		t.Fatalf("reset %v after %d octets", a.reset, len(a.body))
	}
	open(last)
	u.pass(4500*time.Millisecond, 500*time.Millisecond, nil)
	if u.c.hear(); u.c.answer(u.id).reset || len(u.c.answer(u.id).body) != window-left+last {
		t.Fatalf("ended too soon after the last of %d octets", len(u.c.answer(u.id).body))
	}
	u.pass(time.Second, 100*time.Millisecond, nil)
	u.c.hear()
	u.c.wantsReset(u.id, http2.ErrCodeCancel)
	u.wantsOver(exchange.TunnelIdle)
}

func TestUP03H2TunnelThatIsSilentOrOldEnds(t *testing.T) {
	t.Parallel()
	u := newSocketStage(t).h2tunnel()
	for range 8 { // an octet either way keeps it
		u.pass(19*time.Second, time.Second, nil)
		u.say("ping", false)
		u.pass(19*time.Second, time.Second, nil)
		u.write(u.b, "pong")
	}
	u.pass(19500*time.Millisecond, 500*time.Millisecond, nil)
	if u.c.hear(); u.c.answer(u.id).reset {
		t.Fatal("ended too soon")
	}
	u.pass(time.Second, 100*time.Millisecond, nil)
	u.c.hear()
	u.c.wantsReset(u.id, http2.ErrCodeCancel)
	if u.b.Read(); !u.b.Broken() {
		t.Error("the backend is not told")
	}
	u.wantsOver(exchange.TunnelIdle)

	u = newSocketStage(t).h2tunnel()
	talk := func() {
		u.c.data(u.id, "message", false)
		u.b.Write([]byte("b"))
		u.c.flush()
		u.b.Read()
	}
	u.pass(10*time.Minute-time.Second, time.Second, talk)
	if u.c.hear(); u.c.answer(u.id).reset {
		t.Fatal("ended too soon")
	}
	u.pass(2*time.Second, 100*time.Millisecond, talk)
	u.c.hear()
	u.c.wantsReset(u.id, http2.ErrCodeCancel)
	u.wantsOver(exchange.TunnelLife)
}

func TestH2TunnelBreaksForBothWhenOneIsReset(t *testing.T) {
	t.Parallel()
	for who, want := range map[string]exchange.TunnelEnd{
		"client": exchange.TunnelClient, "backend": exchange.TunnelBackend, "connection": exchange.TunnelClient, "trailers": exchange.TunnelClient,
	} {
		u := newSocketStage(t).h2tunnel()
		switch who {
		case "client":
			_ = u.c.framer.WriteRSTStream(u.id, http2.ErrCodeCancel)
			u.c.flush()
		case "backend":
			u.b.Reset()
		case "connection":
			u.c.end.Reset()
		case "trailers": // RFC 9113, section 8.5
			u.c.block.Reset()
			_ = u.c.hpack.WriteField(hpack.HeaderField{Name: "x", Value: "y"})
			_ = u.c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: u.id, BlockFragment: u.c.block.Bytes(), EndStream: true, EndHeaders: true})
			u.c.flush()
			u.c.wantsReset(u.id, http2.ErrCodeProtocol)
		}
		u.settle()
		if who == "backend" {
			u.c.hear()
			u.c.wantsReset(u.id, http2.ErrCodeCancel)
		} else if u.b.Read(); !u.b.Broken() {
			t.Errorf("%s: the backend is not told", who)
		}
		u.wantsOver(want)
	}
}

// A backend that has finished and closed does not take what the client still sends.
func TestH2TunnelOfABackendThatClosedEndsCleanly(t *testing.T) {
	t.Parallel()
	u := newSocketStage(t).h2tunnel()
	u.write(u.b, "bye")
	u.b.Close()
	u.settle()
	u.say("too late", false)
	u.settle()
	u.say("too late again", false)
	u.c.hear()
	if a := u.c.answer(u.id); a.body != "bye" || !a.ended || a.code != http2.ErrCodeNo {
		t.Errorf("the client got %+v", a)
	}
	u.wantsOver(exchange.TunnelFinished)
}

// What the client said before both ends had finished reaches the backend, though the client closes its connection at once and
// the backend takes its time.
func TestH2TunnelOctetsOutliveTheirClient(t *testing.T) {
	t.Parallel()
	for _, taken := range []bool{true, false} {
		u := newSocketStage(t).h2tunnel()
		u.write(u.b, "bye")
		u.b.CloseWrite()
		u.settle()
		u.net.SetCapacity(4 << 10)
		said := strings.Repeat("x", 40<<10)
		for at := 0; at < len(said); at += 8 << 10 {
			u.c.data(u.id, said[at:at+8<<10], false)
		}
		u.c.data(u.id, "", true)
		for range 100 { // the client's octets pass through little room, too
			u.c.flush()
		}
		u.c.end.Close()
		u.settle()
		if got := u.server.nodes[0].held(); got != 1 {
			t.Errorf("%d descriptors are held, want that of the backend's connection", got)
		}
		got := 0
		for range 200 {
			u.pass(100*time.Millisecond, 100*time.Millisecond, nil)
			if taken {
				got += len(u.b.Read())
			}
		}
		if taken && (got != len(said) || !u.b.EOF() || u.b.Broken()) {
			t.Errorf("the backend got %d of %d octets, ended %v, broken %v", got, len(said), u.b.EOF(), u.b.Broken())
		}
		if !taken {
			u.pass(61*time.Second, time.Second, nil)
			if u.b.Read(); !u.b.Broken() {
				t.Error("a backend that takes nothing keeps the connection")
			}
		}
		if got := u.server.nodes[0].held(); got != 0 {
			t.Errorf("%d descriptors are held, want none", got)
		}
		u.wantsOver(exchange.TunnelFinished)
	}
}

func TestUP03H2TunnelsHaveTheirOwnPlaces(t *testing.T) {
	t.Parallel()
	st := newSocketStage(t)
	state := st.limited(limit.Limits{InFlight: 1, Tunnels: 2})
	u := st.h2tunnel()
	v := *u
	v.open()
	id := u.c.connect("/a", false)
	u.c.flush()
	u.c.wants(id, "503", "backend_busy")
	if got := state.Usage(0); got.Tunnels != 2 || got.InFlight != 0 {
		t.Errorf("usage %+v", got)
	}
	if n := st.server.nodes[0].host.Tunnels(); n != 1 {
		t.Errorf("%d connections with tunnels, want 1", n)
	}
	none := *st.server.Snapshot()
	none.Backends[0].Tunnels = nil
	st.server.Swap(&none)
	id = u.c.connect("/a", false)
	u.c.flush()
	u.c.wants(id, "405", "method_refused")
	if st.back.Accept() != nil {
		t.Error("the backend was asked for what it does not have")
	}
	_ = u.c.framer.WriteRSTStream(v.id, http2.ErrCodeCancel)
	u.c.flush()
	if got := state.Usage(0); got.Tunnels != 1 {
		t.Errorf("usage %+v", got)
	}
	u.say("still here", false)
	if got := string(u.b.Read()); got != "still here" {
		t.Errorf("the other tunnel got %q", got)
	}
}

func TestUP03DrainGivesH2TunnelsAGrace(t *testing.T) {
	t.Parallel()
	u := newSocketStage(t).h2tunnel()
	again := func() { u.server.nodes[0].host.Drain() }
	u.drain()
	id := u.c.connect("/a", false)
	u.c.flush()
	u.c.wants(id, "503", "draining")
	u.pass(9*time.Second, time.Second, again)
	u.say("a", false)
	u.write(u.b, "b")
	if u.c.hear(); string(u.b.Read()) != "a" || u.c.answer(u.id).body != "b" {
		t.Error("draining has stopped a tunnel at once")
	}
	u.pass(2*time.Second, 100*time.Millisecond, again)
	u.c.hear()
	u.c.wantsReset(u.id, http2.ErrCodeCancel)
	if u.b.Read(); !u.b.Broken() {
		t.Error("the backend is not told")
	}
	if n := len(u.c.goAways()); n != 2 || !u.c.end.EOF() {
		t.Errorf("%d GOAWAY, ended %v", n, u.c.end.EOF())
	}
}

// Messages of WebSocket are short and many; DATA that carries next to nothing is neither.
func TestH207TunnelTakesShortMessagesAndNoFlood(t *testing.T) {
	t.Parallel()
	u := newSocketStage(t).h2tunnel()
	for range 5000 {
		u.c.data(u.id, "123456", false)
		if u.c.out.Len() > 4000 {
			u.c.flush()
			u.b.Read()
		}
	}
	u.c.flush()
	if u.c.end.EOF() || len(u.c.goAways()) > 0 {
		t.Fatalf("an honest client heard %v", u.c.goAways())
	}
	for range 1100 {
		u.c.data(u.id, "1", false)
	}
	for u.c.out.Len() > 0 && !u.c.end.EOF() {
		u.c.out.Next(max(u.c.end.Write(u.c.out.Bytes()), 1))
		u.settle()
		u.b.Read()
		u.c.hear()
	}
	u.pass(3*time.Second, time.Second, nil)
	u.c.wantsEnd(http2.ErrCodeEnhanceYourCalm)
	u.wantsOver(exchange.TunnelClient)
}

// A tunnel outlives its client's GOAWAY, and its connection ends with it.
func TestH2TunnelOutlivesAGoAway(t *testing.T) {
	t.Parallel()
	u := newSocketStage(t).h2tunnel()
	_ = u.c.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
	u.c.flush()
	u.say("on", false)
	if got := string(u.b.Read()); got != "on" {
		t.Errorf("the backend got %q", got)
	}
	u.say("", true)
	u.b.Close()
	u.wantsOver(exchange.TunnelFinished)
}

// Little is kept for a client that opens tunnels and shuts its windows: no more than one read of each backend.
func TestH204TunnelsWithShutWindowsKeepLittle(t *testing.T) {
	t.Parallel()
	st := newSocketStage(t)
	u := st.h2tunnel(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	all := []*h2Tunnel{u}
	for range 49 {
		v := *u
		v.open()
		all = append(all, &v)
	}
	sent := 0
	for n := 1; n > 0; {
		n = 0
		for _, v := range all {
			n += v.b.Write(make([]byte, 64<<10))
		}
		sent += n
		st.settle()
	}
	if most := len(all) * (8<<10 + st.net.Capacity()); sent > most {
		t.Errorf("%d octets were taken of %d tunnels, want %d at most", sent, len(all), most)
	}
}

// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
)

// Requests that want to change the protocol, and what backends make of them.

// simTunnels is what the simulated backends allow.
var simTunnels = &exchange.Tunnels{Protocols: [][]byte{[]byte("websocket"), []byte("echo/1")}, Idle: 20 * time.Second, Life: 10 * time.Minute}

const (
	socketKey = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	askSocket = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + socketKey + "\r\n"
	accepted  = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	agree     = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + accepted + "\r\n"
	offered   = "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	ownA      = "GET /own HTTP/1.1\r\nHost: a\r\n\r\n"
)

// noneTaken fails if a place for a tunnel, or a request, is still taken.
func (st *stage) noneTaken(what string) {
	st.t.Helper()
	u := st.server.Snapshot().Backends[0].Limiter.Usage(0)
	if n := st.server.nodes[0]; u.Tunnels != 0 || u.InFlight != 0 || n.tunnels != 0 || n.host.Tunnels() != 0 {
		st.t.Errorf("%s: %d places for tunnels, %d for requests, %d and %d of the loop are left", what, u.Tunnels, u.InFlight, n.tunnels, n.host.Tunnels())
	}
}

// A tunnel begins with a 101 and with nothing else: whatever else the backend answers, what the client has sent behind
// its request is read as HTTP, decided anew and admitted anew.
func TestUP01WithoutA101TheNextRequestIsDecidedAnew(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + accepted + "Content-Length: 0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + accepted + "\r\n",
		"HTTP/1.1 103 Early Hints\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		st := newStage(t)
		e := st.send(askSocket + ownA + "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n")
		b := st.accept()
		if got := string(b.Read()); !strings.Contains(got, offered) || !strings.HasSuffix(got, "\r\n\r\n") || strings.Count(got, "HTTP/1.1") != 1 {
			t.Fatalf("the backend got %q", got)
		}
		st.wantsSilence(e)
		st.write(b, answer)
		if got := string(b.Read()); got != "" {
			t.Errorf("after %q the backend got %q on the same connection", answer, got)
		}
		if !b.EOF() {
			t.Errorf("after %q the connection is kept for others", answer)
		}
		second := st.accept()
		if got := string(second.Read()); !strings.HasPrefix(got, "GET /hidden HTTP/1.1\r\nHost: sim\r\n") || strings.Count(got, "HTTP/1.1") != 1 {
			t.Errorf("after %q the second request came as %q", answer, got)
		}
		st.write(second, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhidden")
		got := string(e.Read())
		if strings.Count(got, "HTTP/1.1 ") != 3 || !strings.Contains(got, "HTTP/1.1 404 Not Found\r\n") || !strings.HasSuffix(got, "\r\n\r\nhidden") ||
			strings.Contains(got, "HTTP/1.1 101") || strings.Contains(got, "Upgrade:") {
			t.Errorf("after %q the client got %q", answer, got)
		}
		if n := st.server.nodes[0].meter.Backends[0].Requests; n[2]+n[3]+n[4] != 2 {
			t.Errorf("after %q the backend's requests are %v, want two", answer, n)
		}
		st.noneTaken(answer)
	}
}

// An offer goes to the backend only where nobody can disagree about what it says and where it ends.
func TestUP01WhatIsNotOffered(t *testing.T) {
	t.Parallel()
	const up = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	for name, request := range map[string]string{
		"HTTP/1.0":                     "GET /a HTTP/1.0\r\nHost: a\r\n" + up + socketKey + "\r\n",
		"HTTP/1.0, keep-alive":         "GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n" + up + socketKey + "\r\n",
		"POST":                         "POST /a HTTP/1.1\r\nHost: a\r\n" + up + socketKey + "\r\n",
		"POST with body":               "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n" + up + socketKey + "\r\nhello",
		"PUT, chunked":                 "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + up + socketKey + "\r\n0\r\n\r\n",
		"HEAD":                         "HEAD /a HTTP/1.1\r\nHost: a\r\n" + up + socketKey + "\r\n",
		"OPTIONS":                      "OPTIONS /a HTTP/1.1\r\nHost: a\r\n" + up + socketKey + "\r\n",
		"GET with body":                "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n" + up + socketKey + "\r\nhello",
		"GET, chunked":                 "GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + up + socketKey + "\r\n5\r\nhello\r\n0\r\n\r\n",
		"GET that expects":             "GET /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n" + up + socketKey + "\r\nhello",
		"no Connection":                "GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" + socketKey + "\r\n",
		"no Upgrade":                   "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" + socketKey + "\r\n",
		"empty Upgrade":                "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: \r\n" + socketKey + "\r\n",
		"alias of Upgrade":             "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade_: websocket\r\n" + socketKey + "\r\n",
		"Connection names another":     "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrades\r\nUpgrade: websocket\r\n" + socketKey + "\r\n",
		"last request":                 "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n" + socketKey + "\r\n",
		"protocol not allowed":         "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n" + socketKey + "\r\n",
		"protocol with a version":      "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket/13\r\n" + socketKey + "\r\n",
		"protocol that begins so":      "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocketx, xwebsocket, web socket\r\n" + socketKey + "\r\n",
		"no key":                       "GET /a HTTP/1.1\r\nHost: a\r\n" + up + "Sec-WebSocket-Version: 13\r\n\r\n",
		"two keys":                     "GET /a HTTP/1.1\r\nHost: a\r\n" + up + socketKey + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
		"the same key twice":           "GET /a HTTP/1.1\r\nHost: a\r\n" + up + socketKey + "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"key too short":                "GET /a HTTP/1.1\r\nHost: a\r\n" + up + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub24=\r\n\r\n",
		"key of 24 characters, not 16": "GET /a HTTP/1.1\r\nHost: a\r\n" + up + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n\r\n",
		"key that is no base64":        "GET /a HTTP/1.1\r\nHost: a\r\n" + up + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j*Q==\r\n\r\n",
		"too much behind it":           askSocket + strings.Repeat("x", 16<<10+1),
	} {
		st := newStage(t)
		st.net.SetCapacity(256 << 10)
		e := st.net.Dial(simFrom, simFront)
		e.Write([]byte(request))
		st.settle()
		b := st.accept()
		got := string(b.Read())
		if head, _, _ := strings.Cut(got, "\r\n\r\n"); strings.Contains(strings.ToLower(head), "upgrade:") || strings.Contains(head, "\r\nConnection:") {
			t.Errorf("%s: the backend got %q", name, got)
		}
		b.Write([]byte(agree + "GET /smuggled HTTP/1.1\r\n\r\n")) // all the same
		st.settle()
		if got := string(e.Read()); !strings.HasPrefix(got, "HTTP/1.1 502 ") || strings.Contains(got, "smuggled") {
			t.Errorf("%s: the client got %q", name, got)
		}
		st.noneTaken(name)
	}
}

// What comes behind the request is neither parsed nor sent before the backend has agreed, and then it is the first to go.
func TestUP01WhatComesBeforeThe101IsHeld(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	early := "GET /own HTTP/1.1\r\nHost: a\r\n\r\n\x81\x82\x00\x00\x00\x00hi"
	e := st.send(askSocket + early)
	b := st.accept()
	b.Read()
	e.Write([]byte("later"))
	st.pass(5*time.Second, time.Second, nil)
	if got := string(b.Read()); got != "" {
		t.Errorf("the backend got %q before it had agreed", got)
	}
	st.wantsSilence(e)
	st.write(b, agree+"\x81\x02hi")
	if got := string(b.Read()); got != early+"later" {
		t.Errorf("the backend got %q, want what was held: %q", got, early+"later")
	}
	if got := string(e.Read()); !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.HasSuffix(got, "\r\n\r\n\x81\x02hi") {
		t.Errorf("the client got %q", got)
	}
}

func TestUP01LimitOfWhatIsHeld(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	st.net.SetCapacity(256 << 10)
	early := strings.Repeat("x", 16<<10)
	e := st.net.Dial(simFrom, simFront)
	e.Write([]byte(askSocket + early))
	st.settle()
	b := st.accept()
	b.Read()
	more := strings.Repeat("y", 100<<10)
	e.Write([]byte(more))
	st.settle()
	if n := st.server.nodes[0].loop.Stats().Lent; n != 1 {
		t.Errorf("%d buffers are lent, want one for what is held", n)
	}
	st.write(b, agree)
	if got := string(b.Read()); got != early+more {
		t.Errorf("the backend got %d octets, want %d", len(got), len(early+more))
	}
}

// h2c is never offered, and neither are its settings.
func TestUP02H2CIsNeverOffered(t *testing.T) {
	t.Parallel()
	all := *simTunnels
	for name, c := range map[string]struct{ fields, want string }{
		"h2c":               {"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", ""},
		"h2c, lower case":   {"connection: upgrade, http2-settings\r\nupgrade: H2C\r\nhttp2-settings: AAMA\r\n", ""},
		"h2c in a list":     {"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\nHTTP2-Settings: AAMA\r\n", "websocket"},
		"h2c behind":        {"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\nHTTP2-Settings: AAMA\r\n", "websocket"},
		"h2c on its line":   {"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\nHTTP2-Settings: AAMA\r\n", "websocket"},
		"not in Connection": {"Upgrade: h2c\r\nHTTP2-Settings: AAMA\r\n", ""},
		"settings alone":    {"HTTP2-Settings: AAMA\r\n", ""},
		"two allowed":       {"Connection: Upgrade\r\nUpgrade: foo, echo/1, websocket\r\n", "echo/1"},
	} {
		st := newStage(t)
		st.server.Snapshot().Backends[0].Tunnels = &all
		e := st.send("GET /a HTTP/1.1\r\nHost: a\r\n" + c.fields + socketKey + "\r\n")
		b := st.accept()
		got := string(b.Read())
		if low := strings.ToLower(got); strings.Contains(low, "h2c") || strings.Contains(low, "http2") {
			t.Errorf("%s: the backend got %q", name, got)
		}
		want := ""
		if c.want != "" {
			want = "\r\nConnection: Upgrade\r\nUpgrade: " + c.want + "\r\n"
		}
		if !strings.Contains(got, want) || strings.Count(got, "Upgrade: ") != strings.Count(want, "Upgrade: ") {
			t.Errorf("%s: the backend got %q, want the offer %q", name, got, c.want)
		}
		st.write(b, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		got = string(e.Read())
		if !strings.HasPrefix(got, "HTTP/1.1 502 ") || strings.Contains(got, "h2c") {
			t.Errorf("%s: the client got %q", name, got)
		}
	}
}

// A backend chooses among what was offered, and says so properly.
func TestUP04TheBackendChoosesOnlyWhatWasOffered(t *testing.T) {
	t.Parallel()
	const line = "HTTP/1.1 101 Switching Protocols\r\n"
	const proper = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	for name, c := range map[string]struct {
		request, answer string
		reason          string // "" = a tunnel
	}{
		"agreed":                         {askSocket, line + proper + accepted + "\r\n", ""},
		"agreed, other spelling":         {askSocket, line + "connection: keep-alive, UPGRADE\r\nUPGRADE: WebSocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", ""},
		"agreed after interim answers":   {askSocket, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + line + proper + accepted + "\r\n", ""},
		"not asked":                      {getA, line + proper + accepted + "\r\n", "response_invalid"},
		"another protocol":               {askSocket, line + "Connection: Upgrade\r\nUpgrade: echo/1\r\n" + accepted + "\r\n", "upgrade_failed"},
		"h2c":                            {askSocket, line + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "upgrade_failed"},
		"two protocols":                  {askSocket, line + "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n" + accepted + "\r\n", "upgrade_failed"},
		"one protocol twice":             {askSocket, line + proper + "Upgrade: websocket\r\n" + accepted + "\r\n", "upgrade_failed"},
		"a version":                      {askSocket, line + "Connection: Upgrade\r\nUpgrade: websocket/13\r\n" + accepted + "\r\n", "upgrade_failed"},
		"no Upgrade":                     {askSocket, line + "Connection: Upgrade\r\n" + accepted + "\r\n", "upgrade_failed"},
		"empty Upgrade":                  {askSocket, line + "Connection: Upgrade\r\nUpgrade:\r\n" + accepted + "\r\n", "upgrade_failed"},
		"no Connection":                  {askSocket, line + "Upgrade: websocket\r\n" + accepted + "\r\n", "upgrade_failed"},
		"neither":                        {askSocket, line + "\r\n", "upgrade_failed"},
		"no Sec-WebSocket-Accept":        {askSocket, line + proper + "\r\n", "upgrade_failed"},
		"wrong Sec-WebSocket-Accept":     {askSocket, line + proper + "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", "upgrade_failed"},
		"Sec-WebSocket-Accept twice":     {askSocket, line + proper + accepted + accepted + "\r\n", "upgrade_failed"},
		"HTTP/1.0":                       {askSocket, "HTTP/1.0 101 Switching Protocols\r\n" + proper + accepted + "\r\n", "upgrade_failed"},
		"with a length":                  {askSocket, line + proper + accepted + "Content-Length: 4\r\n\r\nbody", "response_invalid"},
		"chunked":                        {askSocket, line + proper + accepted + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "response_invalid"},
		"after too many interim answers": {askSocket, strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 6) + line + proper + accepted + "\r\n", "response_invalid"},
		"named protocol":                 {"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: Echo/1\r\n\r\n", line + "Connection: Upgrade\r\nUpgrade: echo/1\r\n\r\n", ""},
		"named protocol, another":        {"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: Echo/1\r\n\r\n", line + proper + accepted + "\r\n", "upgrade_failed"},
	} {
		st := newStage(t)
		e := st.send(c.request)
		b := st.accept()
		b.Read()
		st.write(b, c.answer)
		got := string(e.Read())
		if c.reason == "" {
			if !strings.HasPrefix(got, "HTTP/1.1 101 Switching Protocols\r\n") || st.server.nodes[0].host.Tunnels() != 1 || strings.Count(got, "HTTP/1.1") != 1 {
				t.Errorf("%s: the client got %q, want a tunnel", name, got)
			}
			st.write(e, "a")
			if got := string(b.Read()); got != "a" {
				t.Errorf("%s: the backend got %q, want a", name, got)
			}
			continue
		}
		if !strings.HasPrefix(got, "HTTP/1.1 502 ") || !strings.HasSuffix(got, c.reason) {
			t.Errorf("%s: the client got %q, want 502 %s", name, got, c.reason)
		}
		if !b.EOF() {
			t.Errorf("%s: the backend's connection is kept", name)
		}
		st.noneTaken(name)
		st.write(e, ownA)
		st.wants(e, 404, "own", false) // still HTTP
	}
}

// The 101 carries what the client needs and nothing that belongs to the other hop.
func TestUpgradeFieldsAreOurs(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop, Upgrade\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c, WebSocket\r\n" +
		"Sec-WebSocket-Protocol: chat\r\nOrigin: https://a.example\r\n" + socketKey + "\r\n")
	b := st.accept()
	got := string(b.Read())
	for _, want := range []string{offered, "Sec-WebSocket-Protocol: chat\r\n", "Origin: https://a.example\r\n", socketKey, "Via: 1.1 pvgate-sim\r\n", "X-Forwarded-For: 192.0.2.1\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("the backend got %q, without %q", got, want)
		}
	}
	if strings.Contains(got, "X-Hop") || strings.Contains(got, "Keep-Alive") || strings.Contains(got, "keep-alive") {
		t.Errorf("the backend got %q", got)
	}
	st.write(b, "HTTP/1.1 101 As You Like\r\nConnection: X-Hop, upgrade\r\nX-Hop: 1\r\nUpgrade: WEBSOCKET\r\nKeep-Alive: timeout=5\r\nPV-Trace: forged\r\nSec-WebSocket-Protocol: chat\r\nSet-Cookie: a=1\r\n"+accepted+"\r\n")
	got = string(e.Read())
	for _, want := range []string{"HTTP/1.1 101 Switching Protocols\r\n", offered, "Sec-WebSocket-Protocol: chat\r\n", "Set-Cookie: a=1\r\n", accepted, "Via: 1.1 pvgate-sim\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("the client got %q, without %q", got, want)
		}
	}
	if strings.Contains(got, "X-Hop") || strings.Contains(got, "Keep-Alive") || strings.Contains(got, "forged") || strings.Contains(got, "Content-Length") ||
		strings.Contains(got, "Transfer-Encoding") || strings.Contains(got, "close") {
		t.Errorf("the client got %q", got)
	}
}

// A tunnel takes a connection that has carried nothing, also when one waits in the pool: and one that has seen an offer
// is nobody else's any more.
func TestUpgradeHasAConnectionOfItsOwn(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e, b := st.kept()
	st.write(e, askSocket)
	if got := string(b.Read()); got != "" {
		t.Errorf("the connection of another request got %q", got)
	}
	own := st.accept()
	own.Read()
	own.Close() // once is enough, GET or not
	st.settle()
	st.wants(e, 502, "connection_lost", false)
	if st.back.Accept() != nil {
		t.Error("sent a second time")
	}
	st.noneTaken("lost")
}

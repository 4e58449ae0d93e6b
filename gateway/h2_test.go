// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	gwhttp2 "github.com/pvgate/pvgate/gateway/http2"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// HTTP/2 on the simulated kernel: what a connection does with its streams, one thing at a time.

const spoken2 = conn.HTTP2

const h2ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestH2StreamsAreAnsweredInAnyOrder(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	one, own, two := c.request("GET /a", true), c.request("GET /own", true), c.request("GET /b", true)
	c.flush()
	a, b := st.accept(), st.accept()
	st.write(b, h2ok)
	c.hear()
	c.wants(own, "404", "own")
	c.wants(two, "200", "ok")
	if got := c.answer(one); got.status != "" {
		t.Errorf("got %v for who waits", got)
	}
	st.write(a, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close, x-a\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\nVia: 1.1 b\r\n\r\n2\r\nok\r\n0\r\n\r\n")
	c.hear()
	c.wants(one, "200", "ok")
	for _, f := range c.answer(one).fields {
		switch f.Name {
		case "connection", "keep-alive", "transfer-encoding", "x-a", "upgrade", "proxy-connection":
			t.Errorf("%s: %s in an answer of HTTP/2", f.Name, f.Value)
		}
	}
	if n := st.server.nodes[0].meter.Codes[exchange.HTTP2][200]; n != 2 {
		t.Errorf("%d answers counted as of HTTP/2, want 2", n)
	}
	if open, active := st.server.nodes[0].host.Count(); open != 1 || active != 0 {
		t.Errorf("%d connections, %d active; want 1, 0", open, active)
	}
}

func TestH2AnswersWithoutBodyEndWithTheirHead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ line, answer, status string }{
		{"HEAD /a", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200"},
		{"GET /a", "HTTP/1.1 204 No Content\r\n\r\n", "204"},
		{"GET /a", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304"},
		{"GET /a", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200"},
		{"HEAD /own", "", "404"},
	} {
		t.Run(tt.line+" "+tt.status, func(t *testing.T) {
			t.Parallel()
			st := newH2Stage(t)
			c := st.h2()
			id := c.request(tt.line, true)
			c.flush()
			if tt.answer != "" {
				st.write(st.accept(), tt.answer)
			}
			c.hear()
			c.wants(id, tt.status, "")
			for _, f := range c.frames {
				if f.kind == http2.FrameData {
					t.Errorf("got %v", f)
				}
			}
		})
	}
}

func TestH2TheFirstOctetsDecideOnAPlaintextListener(t *testing.T) {
	t.Parallel()
	both := func(o *Options) { o.Listen = []Listener{{Protocols: conn.HTTP1 | conn.HTTP2}} }
	st := newStageWith(t, both)
	c := newH2(t, st.net.Dial(simFrom, simFront), st.settle)
	all := c.out.String()
	c.out.Reset()
	for _, octet := range all[:len(http2.ClientPreface)-1] {
		c.out.WriteRune(octet)
		c.flush()
	}
	c.out.WriteString(all[len(http2.ClientPreface)-1:])
	c.wants(c.get("/own"), "404", "own")

	e := st.send("PRI")
	st.write(e, "NT /own HTTP/1.1\r\nHost: a\r\n\r\n")
	st.wants(e, 404, "own", false)
	st.wants(st.send("GET /own HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 404, "own", true)
	st.wants(st.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), 505, "version_unsupported", true)

	only := newStage(t)
	only.wants(only.send(http2.ClientPreface), 505, "version_unsupported", true)
}

// H2-11: the preface has the time of a head.
func TestH211ThePrefaceHasTheTimeOfAHead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		protocols conn.Protocols
		sent      string
		cause     conn.Cause
	}{
		"either, one octet":    {conn.HTTP1 | conn.HTTP2, "P", conn.SlowHead},
		"either, all but one":  {conn.HTTP1 | conn.HTTP2, http2.ClientPreface[:23], conn.SlowHead},
		"either, nothing":      {conn.HTTP1 | conn.HTTP2, "", conn.NoRequest},
		"HTTP/2, one octet":    {conn.HTTP2, "P", conn.NoRequest},
		"HTTP/2, no SETTINGS":  {conn.HTTP2, http2.ClientPreface, conn.NoRequest},
		"HTTP/2, half a frame": {conn.HTTP2, http2.ClientPreface + "\x00\x00\x06\x04", conn.NoRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStageWith(t, func(o *Options) { o.Listen = []Listener{{Protocols: tt.protocols}} })
			e := st.send(tt.sent)
			st.pass(9900*time.Millisecond, 100*time.Millisecond, nil)
			if e.EOF() {
				t.Error("closed before its time")
			}
			st.pass(300*time.Millisecond, 100*time.Millisecond, nil)
			if e.Read(); !e.EOF() {
				t.Error("still open")
			}
			closed := st.server.nodes[0].host.Closed()
			if closed[conn.SlowHead]+closed[conn.NoRequest] != 1 || closed[tt.cause] != 1 && tt.protocols != conn.HTTP2 {
				t.Errorf("counted %v", closed)
			}
			st.pass(2500*time.Millisecond, 100*time.Millisecond, nil)
			if st.net.Owned() != 0 {
				t.Error("something is left")
			}
		})
	}
}

// H2-08: a window that stays shut pauses the backend, and ends its stream in time; the others go on.
func TestH208AShutWindowPausesTheBackendAndEndsItsStream(t *testing.T) {
	t.Parallel()
	for name, drip := range map[string]uint32{"shut": 0, "octet by octet": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newH2Stage(t)
			c := st.h2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			id := c.get("/a")
			b := st.accept()
			st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
			sent := 0
			for n := 1; n > 0 && sent < 50<<20; sent += n {
				n = b.Write(make([]byte, 32<<10))
				st.settle()
			}
			if most := 2*64<<10 + 2*st.net.Capacity(); sent > most {
				t.Errorf("%d octets were taken from the backend, want %d at most", sent, most)
			}
			each := func() {
				if drip > 0 {
					_ = c.framer.WriteWindowUpdate(id, drip)
					c.flush()
				}
			}
			st.pass(29*time.Second, 500*time.Millisecond, each)
			c.hear()
			if c.answer(id).reset {
				t.Error("reset before its time")
			}
			st.pass(2*time.Second, 500*time.Millisecond, each)
			c.hear()
			c.wantsReset(id, http2.ErrCodeCancel)
			if b.Read(); !b.EOF() {
				t.Error("the backend's connection is still there")
			}
			if n := st.server.nodes[0].meter.Codes[exchange.HTTP2][499]; n != 1 {
				t.Errorf("%d counted as gone, want 1", n)
			}
			other := c.request("HEAD /own", true)
			c.flush()
			c.wants(other, "404", "")
		})
	}
}

func TestH2AnOpenedWindowGoesOn(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	id := c.get("/a")
	body := strings.Repeat("0123456789", 3000)
	b := st.accept()
	c.serve(b, "HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n"+body[:5000])
	if got := c.answer(id); got.body != body[:10] || got.ended {
		t.Fatalf("got %d octets, ended %v", len(got.body), got.ended)
	}
	_ = c.framer.WriteWindowUpdate(id, 20_000)
	c.serve(b, body[5000:])
	if got := c.answer(id); got.body != body[:20_010] || got.ended {
		t.Fatalf("got %d octets, ended %v", len(got.body), got.ended)
	}
	_ = c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 40_000})
	c.flush()
	c.wants(id, "200", body)
}

func TestH2StreamsTakeTurns(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	one, two := c.get("/a"), c.get("/b")
	var backs []*simsys.End
	for i := range 2 {
		backs = append(backs, st.accept())
		c.serve(backs[i], "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n")
	}
	fill := func() {
		for quiet := 0; quiet < 3; quiet++ {
			for _, b := range backs {
				if b.Write(make([]byte, 1<<10)) > 0 {
					quiet = 0
				}
			}
			c.flush()
		}
	}
	fill()
	before := [2]int{len(c.answer(one).body), len(c.answer(two).body)}
	for range 64 { // the connection's window has been used up
		_ = c.framer.WriteWindowUpdate(0, 1<<10)
		fill()
	}
	a, b := len(c.answer(one).body)-before[0], len(c.answer(two).body)-before[1]
	if before[0]+before[1] != 65535 || a+b != 64<<10 || a < 28<<10 || b < 28<<10 {
		t.Errorf("the streams got %v, then %d and %d octets", before, a, b)
	}
}

func TestH2ABackendThatIsSlowShutsTheWindow(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	st.net.SetCapacity(8 << 10)
	c := st.h2()
	id := c.request("POST /a", false)
	c.flush()
	b := st.accept()
	for range 65535 / 15 / 1024 {
		for range 15 {
			c.data(id, strings.Repeat("x", 1024), false)
			c.flush()
		}
	}
	if got := c.answer(id).opened; got > 16<<10 {
		t.Errorf("the window was opened by %d octets though the backend takes nothing", got)
	}
	took := 0
	for range 100 {
		took += len(b.Read())
		st.settle()
	}
	c.hear()
	if got := c.answer(id).opened; took < 60<<10 || got < 32<<10 {
		t.Errorf("the backend took %d octets, the window was opened by %d", took, got)
	}
	c.data(id, "end", true)
	c.flush()
	b.Read()
	st.write(b, h2ok)
	c.hear()
	c.wants(id, "200", "ok")
}

func TestH2ADrippingBodyEndsItsStreamOnly(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	other := c.get("/b")
	back := st.accept()
	id := c.request("POST /a", false)
	c.flush()
	b := st.accept()
	st.pass(11*time.Second, time.Second, func() { c.data(id, "x", false); c.flush() })
	c.hear()
	if got := c.answer(id); got.status != "408" || !got.ended || !got.reset || got.code != http2.ErrCodeNo {
		t.Errorf("got %+v, want 408 and RST_STREAM NO_ERROR", got)
	}
	if !b.Broken() {
		t.Error("the backend may take the request for whole")
	}
	st.write(back, h2ok)
	c.hear()
	c.wants(other, "200", "ok")
}

func TestH2Expect100(t *testing.T) {
	t.Parallel()
	var (
		st *stage
		c  *h2client
		b  *simsys.End
	)
	ask := func() uint32 {
		st = newH2Stage(t)
		c = st.h2()
		id := c.request("POST /a", false, "expect: 100-continue", "content-length: 4")
		c.flush()
		b = st.accept()
		return id
	}
	id := ask()
	if got := string(b.Read()); !strings.Contains(got, "Expect: 100-continue\r\n") {
		t.Errorf("the backend got %q", got)
	}
	st.write(b, "HTTP/1.1 100 Continue\r\n\r\n")
	c.hear()
	if got := c.answer(id).status; got != "100" {
		t.Fatalf("got %q, want 100", got)
	}
	c.data(id, "body", true)
	c.flush()
	if got := string(b.Read()); got != "body" {
		t.Errorf("the backend got %q", got)
	}
	st.write(b, h2ok)
	c.hear()
	c.wants(id, "100200", "ok")

	id = ask() // the backend says nothing: we do
	b.Read()
	st.pass(1200*time.Millisecond, 100*time.Millisecond, nil)
	c.hear()
	if got := c.answer(id).status; got != "100" {
		t.Fatalf("got %q after a second, want 100", got)
	}
	id = ask() // the client does not wait
	b.Read()
	c.data(id, "body", true)
	c.flush()
	if got := string(b.Read()); got != "body" {
		t.Errorf("the backend got %q", got)
	}
	id = ask() // the backend does not want it
	b.Read()
	st.write(b, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
	c.hear()
	if got := c.answer(id); got.status != "403" || !got.ended || !got.reset || got.code != http2.ErrCodeNo {
		t.Errorf("got %+v, want 403 and RST_STREAM NO_ERROR", got)
	}
}

func TestH2AnAnswerBeforeTheEndOfTheRequest(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	id := c.request("POST /a", false)
	c.data(id, "some", false)
	c.flush()
	b := st.accept()
	st.write(b, h2ok)
	c.hear()
	c.wants(id, "200", "ok")
	c.wantsReset(id, http2.ErrCodeNo)
	c.data(id, "late", true) // was on its way
	c.wants(c.get("/own"), "404", "own")
}

func TestH2ABrokenAnswerDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	id := c.get("/a")
	b := st.accept()
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	b.Close()
	st.settle()
	c.hear()
	c.wantsReset(id, http2.ErrCodeInternal)
	if c.answer(id).ended {
		t.Error("it looks whole")
	}
	c.wants(c.get("/own"), "404", "own")
}

func TestH2AResetLeavesNothing(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	id := c.get("/a")
	b := st.accept()
	_ = c.framer.WriteRSTStream(id, http2.ErrCodeCancel)
	c.flush()
	if b.Read(); !b.EOF() {
		t.Error("the backend still works for nobody")
	}
	if n := st.server.nodes[0].meter.Codes[exchange.HTTP2][499]; n != 1 {
		t.Errorf("%d counted as gone, want 1", n)
	}
	c.wants(c.get("/own"), "404", "own")
	c.get("/b")
	b = st.accept()
	c.end.Close()
	st.settle()
	if b.Read(); !b.EOF() || st.net.Owned() != 0 {
		t.Errorf("the backend's connection ended %v, %d are left", b.EOF(), st.net.Owned())
	}
}

func TestH2AHeadHasItsTime(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(c *h2client){
		"half a frame": func(c *h2client) { c.out.WriteString("\x00\x01\x00\x01\x05\x00\x00\x00\x05abc") },
		"no end of the block": func(c *h2client) {
			_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: []byte{0x82}, EndStream: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newH2Stage(t)
			c := st.h2()
			c.get("/a") // somebody waits meanwhile
			begin(c)
			c.flush()
			st.pass(9500*time.Millisecond, 500*time.Millisecond, nil)
			if c.hear(); c.end.EOF() {
				t.Error("closed before its time")
			}
			st.pass(time.Second, 500*time.Millisecond, nil)
			c.wantsEnd(http2.ErrCodeNo)
			if n := st.server.nodes[0].host.Closed()[conn.SlowHead]; n != 1 {
				t.Errorf("counted %d times, want once", n)
			}
		})
	}
}

func TestH2AnIdleConnectionIsToldAndClosed(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	c.wants(c.get("/own"), "404", "own")
	st.pass(74*time.Second, time.Second, func() { _ = c.framer.WritePing(false, [8]byte{}); c.flush() })
	if c.end.EOF() {
		t.Fatal("closed before its time")
	}
	st.pass(1500*time.Millisecond, 100*time.Millisecond, nil)
	c.wantsEnd(http2.ErrCodeNo)
	if n := st.server.nodes[0].host.Closed()[conn.IdleTime]; n != 1 {
		t.Errorf("counted %d times, want once", n)
	}
}

// H2-12: whoever ignores GOAWAY does not keep the gateway from ending.
func TestH212DrainSaysGoAwayTwiceAndEnds(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c, idle := st.h2(), st.h2()
	id := c.get("/a")
	b := st.accept()
	again := func(d time.Duration) { st.pass(d, 20*time.Millisecond, st.server.nodes[0].host.Drain) }
	st.drain()
	again(100 * time.Millisecond)
	c.hear()
	if all := c.goAways(); len(all) != 1 || all[0].last != 1<<31-1 {
		t.Fatalf("got %v, want a warning", all)
	}
	c.wants(c.get("/own"), "404", "own") // was on its way
	again(500 * time.Millisecond)
	c.hear()
	if all := c.goAways(); len(all) != 2 || all[1].last != 3 || all[1].code != http2.ErrCodeNo {
		t.Fatalf("got %v, want the last stream", all)
	}
	idle.wantsEnd(http2.ErrCodeNo)
	if late := c.get("/own"); c.answer(late).status != "" {
		t.Error("a stream behind the last was served")
	}
	st.write(b, h2ok)
	c.hear()
	c.wants(id, "200", "ok")
	again(100 * time.Millisecond)
	c.wantsEnd(http2.ErrCodeNo)

	st = newH2Stage(t)
	c = st.h2()
	id = c.get("/a")
	st.accept()
	st.drain()
	again(5 * time.Second)
	st.server.nodes[0].host.Cut()
	st.settle()
	c.hear()
	c.wants(id, "503", "draining")
	if open, _ := st.server.nodes[0].host.Count(); open != 0 || !c.end.EOF() {
		t.Errorf("%d connections are left", open)
	}
}

// H2-14: CONNECT is refused before anything is forwarded, and so is what comes behind it.
func TestH214ConnectReachesNobody(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	c.block.Reset()
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: "CONNECT"}, {Name: ":authority", Value: "a:80"}} {
		_ = c.hpack.WriteField(f)
	}
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.block.Bytes(), EndHeaders: true})
	c.next = 3
	c.data(1, "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n", true)
	c.flush()
	if got := c.answer(1); got.status != "405" {
		t.Errorf("got %+v, want 405", got)
	}
	if st.back.Accept() != nil {
		t.Error("the backend heard of it")
	}
	c.wants(c.get("/own"), "404", "own")
}

// H2-01: however fast a client resets, no more exchanges are under way than it may have streams, and it is closed at once.
func TestH201RapidResetIsBoundedAtTheBackend(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2()
	most := 0
	for sent := 0; sent < 20_000 && len(c.goAways()) == 0; sent += 20 {
		for range 20 {
			_ = c.framer.WriteRSTStream(c.request("GET /a", true), http2.ErrCodeCancel)
		}
		for c.out.Len() > 0 && !c.end.EOF() {
			c.out.Next(c.end.Write(c.out.Bytes()))
			st.settle()
			c.hear()
			_, active := st.server.nodes[0].host.Count()
			most = max(most, active, len(st.accepted()))
		}
	}
	c.wantsEnd(http2.ErrCodeEnhanceYourCalm)
	closed := st.server.nodes[0].host.Closed()
	if n := closed[conn.Causes-conn.Cause(gwhttp2.Abuses)+conn.Cause(gwhttp2.RapidReset)]; n != 1 {
		t.Errorf("counted %v", closed)
	}
	if most > 100 {
		t.Errorf("%d connections to the backend at a time", most)
	}
	st.pass(3*time.Second, 100*time.Millisecond, nil)
	if open, active := st.server.nodes[0].host.Count(); open != 0 || active != 0 {
		t.Errorf("%d connections and %d requests are left", open, active)
	}
	if u := st.server.current.Load().snapshot.Backends[0].Limiter.Usage(0); u.InFlight != 0 {
		t.Errorf("%d places were not given back", u.InFlight)
	}
}

// accepted are the backend's connections that wait to be taken.
func (st *stage) accepted() (all []*simsys.End) {
	for e := st.back.Accept(); e != nil; e = st.back.Accept() {
		all = append(all, e)
	}
	return all
}

// H2-04: what a client makes us keep is bounded by what it sends: a stream that nobody lets go on is ended, and what its
// answer holds is given back.
// H2-08: of answers for which there is no window only a little each is read, however many they are.
func TestH208LittleIsKeptOfManyAnswers(t *testing.T) {
	t.Parallel()
	for name, window := range map[string]uint32{"no window": 0, "windows that no kernel takes": 1 << 30} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newH2Stage(t)
			st.net.SetCapacity(96 << 10)
			c := st.h2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
			_ = c.framer.WriteWindowUpdate(0, 1<<30)
			const streams = 100
			var backs []*simsys.End
			for range streams {
				c.get("/a")
				b := st.accept()
				st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
				backs = append(backs, b)
			}
			sent := 0
			for n := 1; n > 0; {
				n = 0
				for _, b := range backs {
					n += b.Write(make([]byte, 64<<10))
				}
				sent += n
				st.settle()
			}
			if most := 512<<10 + streams*(8<<10+st.net.Capacity()); sent > most {
				t.Errorf("%d octets were taken of %d answers, want %d at most", sent, streams, most)
			}
		})
	}
}

func TestH204AHundredStreamsWithShutWindowsAreEnded(t *testing.T) {
	t.Parallel()
	st := newH2Stage(t)
	c := st.h2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	for range 100 {
		c.request("GET /own", true)
	}
	c.flush()
	st.pass(31*time.Second, time.Second, func() {
		_ = c.framer.WriteWindowUpdate(0, 1)
		c.flush()
	})
	for id := uint32(1); id < c.next; id += 2 {
		c.wantsReset(id, http2.ErrCodeCancel)
	}
	if _, active := st.server.nodes[0].host.Count(); active != 0 {
		t.Error("something is still under way")
	}
}

// A request of HTTP/2 with six fields, proxied, once everything is warm.
func TestH2AllocatesNextToNothing(t *testing.T) {
	st := newH2Stage(t)
	c := st.h2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	_ = c.framer.WriteWindowUpdate(0, 1<<30)
	fields := []string{"accept: text/html", "accept-language: de", "accept-encoding: gzip", "user-agent: Mozilla/5.0 Gecko", "cookie: a=b", "referer: https://a/"}
	c.get("/a", fields...)
	b := st.accept()
	ask := func(n int) (allocs float64) {
		var before, after runtime.MemStats
		for range n {
			c.request("GET /a", true, fields...)
			frames := bytes.Clone(c.out.Bytes())
			c.out.Reset()
			c.end.Write(frames)
			for range 2 {
				runtime.ReadMemStats(&before)
				st.server.nodes[0].loop.Turn()
				runtime.ReadMemStats(&after)
				allocs += float64(after.Mallocs - before.Mallocs)
			}
			b.Read()
			b.Write([]byte(h2ok))
			for range 2 {
				runtime.ReadMemStats(&before)
				st.server.nodes[0].loop.Turn()
				runtime.ReadMemStats(&after)
				allocs += float64(after.Mallocs - before.Mallocs)
			}
			c.end.Read()
		}
		return allocs / float64(n)
	}
	b.Read()
	st.write(b, h2ok)
	ask(50)
	codes := st.server.nodes[0].meter.Codes[exchange.HTTP2][200]
	if n := ask(200); n > 6 {
		t.Errorf("%.1f allocations per request, want 6 at most", n)
	} else {
		t.Logf("%.1f allocations per request, the simulated kernel's included", n)
	}
	if n := st.server.nodes[0].meter.Codes[exchange.HTTP2][200] - codes; n != 200 {
		t.Errorf("%d requests were answered", n)
	}
}

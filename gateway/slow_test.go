// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// Requirements RS-01 to RS-03 on the simulated kernel: clients that take places, and time, and give nothing.

// closed is how many connections were closed by a cause.
func (st *stage) closed(c conn.Cause) uint64 { return st.server.nodes[0].host.Closed()[c] }

func (st *stage) wantsClosed(c conn.Cause, n uint64) {
	st.t.Helper()
	if got := st.closed(c); got != n {
		st.t.Errorf("%d connections closed by %s, want %d", got, c, n)
	}
}

// RS-01: a head that drips is over when its time is, however it drips.
func TestRS01SlowHead(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e, silent := st.send("GET /a HTTP/1.1\r\n"), st.send("")
	st.pass(9*time.Second, time.Second, func() { e.Write([]byte("X-a: b\r\n")) })
	st.wantsSilence(e)
	st.pass(1500*time.Millisecond, 100*time.Millisecond, nil)
	st.wants(e, 408, "request_timeout", true)
	if !silent.EOF() {
		t.Error("a connection without a request is still open")
	}
	st.wantsClosed(conn.SlowHead, 1)
	st.wantsClosed(conn.NoRequest, 1)
	st.wantsClosed(conn.IdleTime, 0)
}

// RS-01: a body must come at the least rate.
func TestRS01SlowBody(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
	b := st.accept()
	st.pass(40*time.Second, time.Second, func() { e.Write([]byte(strings.Repeat("x", 250))); b.Read() })
	st.wantsSilence(e) // above the rate for as long as it takes
	var got []byte
	st.pass(21*time.Second, time.Second, func() { e.Write([]byte(strings.Repeat("x", 200))); b.Read(); got = append(got, e.Read()...) })
	if !strings.HasPrefix(string(got), "HTTP/1.1 408 ") || !b.Broken() {
		t.Errorf("got %q, broken off for the backend %v", got, b.Broken())
	}
	st.wantsClosed(conn.SlowBody, 1)
}

// RS-01: an answer must be taken at the least rate; who takes a little now and then is not kept for ever.
func TestRS01SlowReader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		perSecond int
		stays     bool
	}{{5, false}, {200, false}, {300, true}, {0, false}} {
		st := newStage(t)
		st.net.SetCapacity(2000)
		e := st.send(getA)
		b := st.accept()
		const size = 100_000
		answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size) + strings.Repeat("x", size)
		sent, got := 0, 0
		st.pass(90*time.Second, time.Second, func() {
			sent += b.Write([]byte(answer[sent:]))
			got += len(e.Take(tt.perSecond))
		})
		if e.Broken() == tt.stays || b.Broken() == tt.stays {
			t.Errorf("%d octets per second: broken off %v for the client, %v for the backend, after %d octets", tt.perSecond, e.Broken(), b.Broken(), got)
		}
		if want := uint64(1); !tt.stays {
			st.wantsClosed(conn.SlowReader, want)
		}
	}
}

// RS-02: that more comes for a backend that takes nothing makes the wait for it no longer.
func TestRS02BackendThatTakesNothingIsLeftThoughMoreComes(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"form", "tunnel"} {
		st := newSocketStage(t)
		st.net.SetCapacity(4 << 10)
		c := st.h2()
		var id uint32
		var b *simsys.End
		if what == "form" {
			id = c.request("POST /a", false)
			c.flush()
			b = st.accept()
		} else {
			u := &h2Tunnel{stage: st, c: c}
			u.open()
			id, b = u.id, u.b
		}
		c.data(id, strings.Repeat("x", 8<<10), false)
		c.flush()
		drip := func() { c.data(id, "x", false); c.flush() }
		st.pass(58*time.Second, time.Second, drip)
		if b.Broken() {
			t.Errorf("%s: left too soon", what)
		}
		st.pass(4*time.Second, time.Second, drip)
		if a := c.answer(id); !b.Broken() || what == "form" && a.status != "504" || what == "tunnel" && !a.reset {
			t.Errorf("%s: broken off for the backend %v, the client got %+v", what, b.Broken(), a)
		}
	}
}

// RS-01: one network has so many places and no more; others have theirs, and what ends gives its place back.
func TestRS01NetworkLimit(t *testing.T) {
	t.Parallel()
	st := newStageWith(t, func(o *Options) { o.MaxConnections = 100 })
	st.server.networks.Set(conn.NetworkPolicy{Most: 3, Exempt: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/25")}})
	from := func(address string) *simsys.End {
		e := st.net.Dial(netip.MustParseAddrPort(address), simFront)
		st.settle()
		return e
	}
	refused := uint64(0)
	for _, tt := range []struct {
		format string
		exempt bool
	}{
		{"192.0.2.%d:4000", false},
		{"198.51.100.%d:4000", false},
		{"[2001:db8:1:%x::1]:4000", false},
		{"[2001:db8:2::%x]:4000", false},
		{"127.0.0.%d:4000", true},
		{"203.0.113.%d:4000", true},
	} {
		var in []*simsys.End
		for i := range 5 {
			e := from(fmt.Sprintf(tt.format, i+1))
			if want := i >= 3 && !tt.exempt; e.Broken() != want {
				t.Errorf(tt.format+": refused %v, want %v", i+1, e.Broken(), want)
			} else if want {
				refused++
			}
			in = append(in, e)
		}
		if tt.exempt {
			continue
		}
		in[0].Close()
		st.settle()
		if e := from(fmt.Sprintf(tt.format, 9)); e.Broken() {
			t.Errorf(tt.format+": refused although a place is free", 9)
		}
		if e := from(fmt.Sprintf(tt.format, 9)); !e.Broken() {
			t.Errorf(tt.format+": more places than allowed", 9)
		} else {
			refused++
		}
	}
	st.wantsClosed(conn.NetworkLimit, refused)
	st.server.networks.Set(conn.NetworkPolicy{})
	if e := from("192.0.2.77:4000"); e.Broken() {
		t.Error("refused without a limit")
	}
}

// RS-01: no network may have more than half of the places, whatever the operator allows.
func TestRS01NetworkLimitLeavesHalf(t *testing.T) {
	t.Parallel()
	st := newStageWith(t, func(o *Options) { o.MaxConnections = 10 })
	snap := *st.server.Snapshot()
	snap.Networks.Most = 1024
	st.server.Swap(&snap)
	for i := range 7 {
		if e := st.send(""); e.Broken() != (i >= 5) {
			t.Errorf("connection %d: refused %v", i, e.Broken())
		}
	}
}

// RS-01: when places are few, those who wait for a request give theirs to new ones, the longest first; those with a
// request in flight are not touched.
func TestRS01CrowdedConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	st := newStageWith(t, func(o *Options) { o.MaxConnections = 16 })
	busy := st.send(getA)
	b := st.accept()
	var idle []*simsys.End
	for range 13 {
		e := st.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
		st.wants(e, 404, "own", false)
		idle = append(idle, e)
		st.pass(100*time.Millisecond, 100*time.Millisecond, nil)
	}
	st.pass(2*time.Second, 100*time.Millisecond, nil)
	for i := range 8 {
		e := st.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
		st.wants(e, 404, "own", false)
		st.pass(10*time.Millisecond, 10*time.Millisecond, nil)
		if !idle[i].EOF() {
			t.Errorf("after %d newcomers, connection %d, which had waited longest, is still there", i+1, i)
		}
	}
	st.wantsClosed(conn.Crowded, 8)
	if n := st.server.nodes[0].loop.Connections(); n != 14 {
		t.Errorf("%d connections are open, want 14", n)
	}
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	st.wants(busy, 200, "", false)
}

// RS-01: when places are few, who has been served may wait for the next request a little, not the whole time.
func TestRS01CrowdedConnectionsWaitLess(t *testing.T) {
	t.Parallel()
	st := newStageWith(t, func(o *Options) { o.MaxConnections = 8 })
	var in []*simsys.End
	for range 8 {
		in = append(in, st.send(getA))
	}
	for i := range 8 {
		st.write(st.accept(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		st.wants(in[i], 200, "", false)
	}
	st.pass(2200*time.Millisecond, 100*time.Millisecond, nil)
	open := 0
	for _, e := range in {
		if !e.EOF() {
			open++
		}
	}
	if open != 7 {
		t.Errorf("%d of 8 connections wait on, want 7: more are crowded", open)
	}
}

// RS-03: framing that carries next to nothing has an end: chunks of an octet, extensions, trailers.
func TestRS03FramingWithoutData(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	for _, tt := range []struct{ name, piece string }{
		{"chunks of one octet", "1\r\nx\r\n"},
		{"chunks with extensions", "10;a=\"" + strings.Repeat("b", 500) + "\"\r\n0123456789abcdef\r\n"},
		{"leading zeros", strings.Repeat("0", 12) + "1\r\nx\r\n"},
		{"extension without an end", ";a=b"},
		{"trailer without an end", "0\r\nX-Trailer: abcdefghijklmnop\r\n"},
		{"trailers without an end", "X-Trailer: abcdefghijklmnop\r\n"},
	} {
		st := newStage(t)
		start := ""
		switch tt.name {
		case "extension without an end":
			start = "1"
		case "trailers without an end":
			start = "0\r\n"
		}
		e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + start)
		b := st.accept()
		var got []byte
		sent := 0
		for len(got) == 0 && !e.EOF() && sent < 10*limit {
			sent += e.Write([]byte(tt.piece))
			st.settle()
			b.Read()
			got = append(got, e.Read()...)
		}
		if !strings.HasPrefix(string(got), "HTTP/1.1 4") || !b.Broken() {
			t.Errorf("%s: %d octets sent, got %.60q, broken off for the backend %v", tt.name, sent, got, b.Broken())
		}
		if sent > 2*limit {
			t.Errorf("%s: refused after %d octets only", tt.name, sent)
		}
	}
}

// RS-03: chunks as programs make them are no attack, however many.
func TestRS03HonestChunks(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	b := st.accept()
	for range 20_000 {
		st.write(e, "4;n=1\r\nabcd\r\n")
		b.Read()
	}
	st.write(e, "0\r\nX-Sum: 1\r\n\r\n")
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	st.wants(e, 200, "", false)
}

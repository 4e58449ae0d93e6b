// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// pressed is a stage with a budget of 1000.
func pressed(t *testing.T) *stage {
	t.Helper()
	return newStageWith(t, func(o *Options) { o.Memory, o.Listen = 1000, []Listener{{Protocols: simSpoken}} })
}

// uses lets the watch see so many octets in use.
func (st *stage) uses(octets uint64) { st.server.observe(func() uint64 { return octets }) }

// RS-06: near the budget nothing new is taken and idle connections go; at it requests are refused, and what is in flight is
// still served; and all that ends by itself.
func TestRS06MemoryIsNeverPassed(t *testing.T) {
	t.Parallel()
	st := pressed(t)
	busy := st.send(getA)
	backend := st.accept()
	idle, pooled := st.kept()
	st.uses(849)
	st.settle()
	st.wantsSilence(idle)

	st.uses(850)
	st.settle()
	if !idle.EOF() || !pooled.EOF() {
		t.Error("idle connections, of a client and to a backend, are kept")
	}
	if late := st.send(getA); !late.Broken() {
		t.Error("a new connection is taken")
	}
	if n := st.server.nodes[0].host.Closed()[conn.Overloaded]; n != 2 {
		t.Errorf("%d connections are counted, want the idle one and the new one", n)
	}
	backend.Write([]byte(okAnswer))
	st.settle()
	got := string(busy.Read())
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("the request in flight got %q, want its answer as the last one", got)
	}

	st.uses(700)
	client := st.send(getA)
	st.uses(1200)
	backend.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok"))
	st.settle()
	if got := string(client.Read()); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("what was in flight got %q", got)
	}
	st.uses(700)
	kept := st.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
	next := st.send("GET /a HTTP/1.1\r\nHo")
	st.uses(960)
	st.write(next, "st: a\r\n\r\n")
	if got := string(next.Read()); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.HasSuffix(got, "overloaded") {
		t.Errorf("a request at the budget got %q, want 503 overloaded", got)
	}
	st.uses(799)
	again := st.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
	st.wants(again, 404, "own", false)
	kept.Reset()
	st.settle()
}

// RS-06: what loops take for answers that nobody reads counts at once, not only when somebody looks again.
func TestRS06BuffersCountAtOnce(t *testing.T) {
	t.Parallel()
	st := newStageWith(t, func(o *Options) { o.Memory, o.Listen = 8<<20, []Listener{{Protocols: simSpoken}} })
	st.net.SetCapacity(4 << 10)
	st.uses(4 << 20)
	var held []*simsys.End
	for range 300 {
		e := st.send(getA)
		if e.Broken() {
			break
		}
		b := st.accept()
		fmt.Fprintf(writer{b}, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("x", 60_000))
		st.settle()
		held = append(held, e)
	}
	// 2.8 MiB are left until connections are refused; each answer keeps a buffer of 20 KiB.
	if n := len(held); n < 100 || n > 160 {
		t.Errorf("%d connections were taken before one was refused", n)
	}
	for _, e := range held {
		e.Reset()
	}
	st.settle()
	st.uses(4 << 20)
	st.wants(st.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n"), 404, "own", false)
}

// RS-06: those that have carried large bodies over TLS go first, for they keep most.
func TestRS06LargeConnectionsGoFirst(t *testing.T) {
	t.Parallel()
	st := newStageWith(t, func(o *Options) { o.Memory, o.Inline, o.Listen = 1000, true, []Listener{{TLS: simTLS(t)}} })
	st.net.SetCapacity(256 << 10)
	var ends []*simsys.Secure
	for i := range 4 {
		config := simClientTLS(tls.VersionTLS13)
		config.NextProtos = []string{"http/1.1"}
		e := st.net.Dial(simFrom, simFront).Secure(config, false)
		for !e.Done() {
			e.Pump()
			st.settle()
		}
		e.Write([]byte(getA))
		var backend *simsys.End
		for range 10 {
			e.Pump()
			st.settle()
			if backend == nil {
				backend = st.back.Accept()
			}
		}
		size := 2
		if i == 2 {
			size = 50_000
		}
		fmt.Fprintf(writer{backend}, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
		got := 0
		for range 10 {
			st.settle()
			e.Pump()
			got += len(e.Read())
		}
		if got < size {
			t.Fatalf("connection %d: %d octets of an answer of %d", i, got, size)
		}
		ends = append(ends, e)
	}
	for _, want := range []string{"[false false true false]", "[true true true true]"} {
		st.uses(860)
		var closed []bool
		for _, e := range ends {
			st.settle()
			e.Pump()
			e.Read()
			closed = append(closed, e.EOF())
		}
		if got := fmt.Sprint(closed); got != want {
			t.Errorf("closed are %v, want %v", got, want)
		}
	}
}

type writer struct{ end *simsys.End }

func (w writer) Write(b []byte) (int, error) { return w.end.Write(b), nil }

// RS-06 over HTTP/2: one request at a time, and whoever is refused may send it again.
func TestRS06StreamsAreRefused(t *testing.T) {
	t.Parallel()
	st := pressed(t)
	c := st.h2()
	first := c.request("GET /a", true)
	c.flush()
	backend := st.accept()
	st.uses(870)
	second := c.request("GET /b", true)
	c.flush()
	refused := slices.ContainsFunc(c.frames, func(f h2frame) bool {
		return f.kind == http2.FrameRSTStream && f.stream == second && f.code == http2.ErrCodeRefusedStream
	})
	if !refused {
		t.Errorf("a second stream is not refused: %v", c.frames)
	}
	backend.Write([]byte(okAnswer))
	st.settle()
	c.hear()
	if !slices.ContainsFunc(c.frames, func(f h2frame) bool { return f.kind == http2.FrameHeaders && f.stream == first && f.status == "200" }) {
		t.Errorf("the first stream has no answer: %v", c.frames)
	}
	st.pass(3*time.Second, time.Second, nil)
}

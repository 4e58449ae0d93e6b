// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// What a hostile or clumsy client or backend does at the worst moment, one thing at a time, on the simulated kernel.

func TestBodyHasItsOwnTimeAfterALateHead(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("")
	st.pass(9500*time.Millisecond, 100*time.Millisecond, nil) // a browser that connects ahead of need
	st.send(getA)
	b := st.accept()
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	b.Read()
	st.pass(400*time.Millisecond, 100*time.Millisecond, nil)
	st.write(e, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
	st.pass(3*time.Second, 100*time.Millisecond, nil)
	st.wantsSilence(e)
	st.write(e, "body")
	if got := b.Read(); !bytes.HasSuffix(got, []byte("\r\n\r\nbody")) {
		t.Errorf("the backend got %q", got)
	}
}

func TestSlowlyTakenAnswerLeavesTheWholeIdleTime(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send(getA)
	b := st.accept()
	b.Read()
	// With what we add to its head the answer is more than the client's buffer takes.
	n := st.net.Capacity() - 60
	st.write(b, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)+strings.Repeat("x", n))
	st.pass(25*time.Second, time.Second, nil)
	st.wants(e, 200, "", false)
	if got := e.Read(); len(got) == 0 {
		t.Fatal("nothing was waiting")
	}
	st.pass(60*time.Second, time.Second, nil)
	st.wantsSilence(e) // the time to take an answer is not the time to think of another request
	st.write(e, "GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
	st.wants(e, 404, "own", false)
}

func TestClientThatLeftIsNotServedOn(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send(getA)
	b := st.accept()
	st.write(b, "HTTP/1.1 200 OK\r\n\r\n")
	st.write(b, "event")
	// The client leaves with unread input, and our next write hears of the reset before epoll does.
	b.Write([]byte("event"))
	st.net.Midturn = e.Reset
	st.pass(time.Second, 100*time.Millisecond, func() { b.Write([]byte("event")) })
	if !b.EOF() || st.net.Owned() != 0 {
		t.Errorf("backend read on: %v, %d sockets are left", !b.EOF(), st.net.Owned())
	}
	if n := st.server.nodes[0].meter.Codes[exchange.HTTP1][499]; n != 1 {
		t.Errorf("%d exchanges counted as left by the client, want 1", n)
	}
}

func TestResponseHeadThatDripsIs504(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send(getA)
	b := st.accept()
	st.pass(29*time.Second, time.Second, func() { b.Write([]byte("HTTP/1.1 200 OK\r\nX-A: bcdefghijklmnopqrstuvwxyz"[:1])) })
	_ = b
	st.pass(2*time.Second, 100*time.Millisecond, nil)
	got := string(e.Read())
	if !strings.HasPrefix(got, "HTTP/1.1 50") {
		t.Errorf("got %q, want an end of patience", got)
	}
}

func TestSurplusWaitingOnAPooledConnectionIsNobodysAnswer(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST"} {
		for _, late := range []bool{false, true} {
			st := newStage(t)
			e, b := st.kept()
			st.pass(100*time.Millisecond, 100*time.Millisecond, nil)
			poison := func() { b.Write([]byte("HTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 0\r\n\r\n")) }
			// Both arrive before the loop looks, the victim's request first in its list of events; or the surplus comes
			// while the request is being read, and the loop has not heard of it when it takes the connection.
			st.net.Order = true
			e.Write([]byte(method + " /b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"))
			if late {
				st.net.Midturn = poison
			} else {
				poison()
			}
			st.settle()
			if got := e.Read(); len(got) > 0 {
				t.Errorf("%s, late %v: the victim got %q", method, late, got)
			}
			if got := st.accept().Read(); !bytes.HasPrefix(got, []byte(method+" /b ")) {
				t.Errorf("%s, late %v: the new connection got %q", method, late, got)
			}
			if got := b.Read(); len(got) > 0 {
				t.Errorf("%s, late %v: the connection that spoke unasked was sent %q", method, late, got)
			}
		}
	}
}

func TestEndpointWithoutAddressesIsRefused(t *testing.T) {
	t.Parallel()
	st := newStage(t, []netip.AddrPort{})
	st.wants(st.send(getA), 502, "connect_refused", false)
}

func TestHalfClosedClientGetsItsAnswers(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send(getA + "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
	e.CloseWrite()
	b := st.accept()
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb")
	if got := string(e.Read()); strings.Count(got, "HTTP/1.1 200 OK\r\n") != 2 || !strings.HasSuffix(got, "\r\n\r\nb") || !e.EOF() || e.Broken() {
		t.Errorf("got %q, ended %v, broken %v", got, e.EOF(), e.Broken())
	}
}

func TestPipelinedOwnAnswersTakeTurns(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.net.Dial(simFrom, simFront)
	many := bytes.Repeat([]byte("GET /own HTTP/1.1\r\nHost: a\r\n\r\n"), 100)
	many = many[:e.Write(many)]
	l := st.server.nodes[0].loop
	answers := 0
	for range 200 {
		before := st.server.nodes[0].meter.Codes[exchange.HTTP1][404]
		l.Turn()
		if n := st.server.nodes[0].meter.Codes[exchange.HTTP1][404] - before; n > 2*16 { // once for its event, once from the ready list
			t.Fatalf("%d requests of one connection in one turn", n)
		}
		answers += bytes.Count(e.Read(), []byte("HTTP/1.1 404"))
	}
	if want := len(many) / 30; answers != want {
		t.Errorf("%d answers, want %d", answers, want)
	}
}

func TestRetryOnlyIfNothingWasAnswered(t *testing.T) {
	t.Parallel()
	for begun, want := range map[string]int{"": 200, "HTTP/1.1 103 Early Hints\r\n\r\n": 502, "HTTP/1.1 20": 502} {
		st := newStage(t)
		e, b := st.kept()
		st.write(e, "GET /b HTTP/1.1\r\nHost: a\r\n\r\n")
		if got := b.Read(); !bytes.HasPrefix(got, []byte("GET /b ")) {
			t.Fatalf("the kept connection got %q", got)
		}
		if begun != "" {
			st.write(b, begun)
		}
		b.Close()
		st.settle()
		if again := st.back.Accept(); again != nil {
			st.write(again, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
		st.wants(e, want, "", false)
	}
}

func TestLocationsOfTheBackendAreRewrittenEachToItself(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("GET /a HTTP/1.1\r\nHost: gw.example\r\n\r\n")
	b := st.accept()
	st.write(b, "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.2:8080/first\r\nLocation: http://10.0.0.2:8080/second\r\nContent-Length: 0\r\n\r\n")
	got := string(e.Read())
	if !strings.Contains(got, "Location: http://gw.example/first\r\n") || !strings.Contains(got, "Location: http://gw.example/second\r\n") {
		t.Errorf("got %q", got)
	}
	e = st.send("GET /a HTTP/1.0\r\n\r\n")
	b.Read()
	st.write(b, "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.2:8080/first\r\nContent-Length: 0\r\n\r\n")
	if got := string(e.Read()); !strings.Contains(got, "Location: /first\r\n") {
		t.Errorf("got %q, want a location that names no host", got)
	}
}

func TestFinalAnswerToAnExpectationStopsTheBody(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody")
	b := st.accept()
	b.Read()
	st.write(b, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nn")
	if got := b.Read(); len(got) > 0 {
		t.Errorf("the backend got %q after its final answer", got)
	}
	st.write(b, "o")
	st.wants(e, 413, "Connection: close", true)
}

func TestThoseWhoAreInAreServedWhenDescriptorsRunOut(t *testing.T) {
	t.Parallel()
	st := newStageWith(t, func(o *Options) { o.MaxConnections = 10 })
	st.net.Descriptors = 12 // and two for backends
	var in []*simsys.End
	for range 30 {
		in = append(in, st.send(""))
	}
	if n := st.server.nodes[0].loop.Connections(); n != 10 {
		t.Fatalf("%d connections are open, want 10", n)
	}
	for i := range 10 {
		st.write(in[i], getA)
		b := st.accept()
		b.Read()
		st.write(b, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		st.wants(in[i], 200, "", false)
	}
	for i := range 10 {
		in[i].Close()
	}
	st.pass(200*time.Millisecond, 50*time.Millisecond, nil)
	st.write(in[10], "GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
	st.wants(in[10], 404, "own", false)
}

func TestConnectionThatWaitsGivesItsDescriptorToARequest(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e, f := st.send(""), st.send("")
	st.net.Descriptors = 3
	st.write(e, getA)
	b := st.accept()
	b.Read()
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	st.wants(e, 200, "", false)
	st.pass(1500*time.Millisecond, 500*time.Millisecond, nil)
	st.write(f, "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n") // takes no connection that has waited so long
	if !b.EOF() {
		t.Error("the connection that waits is kept")
	}
	st.write(st.accept(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	st.wants(f, 200, "", false)
}

func TestRequestThatMayHaveBeenAppliedIsNotRepeated(t *testing.T) {
	t.Parallel()
	for request, again := range map[string]bool{
		"GET /b HTTP/1.1\r\nHost: a\r\n\r\n":                             true,
		"DELETE /b HTTP/1.1\r\nHost: a\r\n\r\n":                          true,
		"POST /b HTTP/1.1\r\nHost: a\r\n\r\n":                            false,
		"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n":       false,
		"PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody":    false,
		"PATCH /b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n":      false,
		"MKCALENDAR /b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n": false,
	} {
		st := newStage(t)
		e, b := st.kept()
		st.write(e, request)
		if got := b.Read(); len(got) == 0 {
			t.Fatalf("%.12q did not come on the kept connection", request)
		}
		b.Close() // after it has read it
		st.settle()
		second := st.back.Accept()
		if (second != nil) != again {
			t.Errorf("%.12q: sent again %v, want %v", request, second != nil, again)
		}
		if second == nil {
			st.wants(e, 502, "connection_lost", false)
			continue
		}
		second.Read()
		second.Close() // once is enough
		st.settle()
		if st.back.Accept() != nil {
			t.Errorf("%.12q: sent a third time", request)
		}
		st.wants(e, 502, "connection_lost", false)
	}
}

// RP-01: an answer that comes before the whole request has left ends its connection, also when the rest would have left in
// the same turn.
func TestRP01EarlyAnswerEndsItsConnection(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{false, true} {
		st := newStage(t)
		st.net.Order = true
		e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
		b := st.accept()
		e.Write([]byte("dy"))
		if whole {
			st.settle()
		}
		b.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
		st.settle()
		st.wants(e, 200, "", false)
		if got := string(b.Read()); !strings.HasSuffix(got, "\r\n\r\nbody") {
			t.Errorf("the backend got %q", got)
		}
		if b.EOF() == whole {
			t.Errorf("request sent whole %v: connection kept %v", whole, !b.EOF())
		}
	}
}

func TestConnectionThatWasResumedForTheLastOctetsIsKept(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	st.net.Order = true
	e := st.send(getA)
	b := st.accept()
	b.Read()
	n := st.net.Capacity() + 100 // more than the client's buffer takes
	st.write(b, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n+1)+strings.Repeat("x", n))
	e.Read() // the backend is read again
	b.Write([]byte("x"))
	st.settle()
	if e.Read(); b.EOF() {
		t.Error("closed, although its answer ended well")
	}
	st.write(e, getA)
	if got := string(b.Read()); !strings.HasPrefix(got, "GET /a ") {
		t.Errorf("the connection is not used again: %q", got)
	}
}

// atPath resolves as the simulation does, and something happens at the same moment.
type atPath struct {
	simResolver
	happens func(path string)
}

func (a atPath) Resolve(r *exchange.Request, p *exchange.Plan) {
	a.happens(string(r.Path))
	a.simResolver.Resolve(r, p)
}

// What a backend says unasked behind an answer in two packets, both of which the loop has seen in one turn, is nobody's answer:
// not even that of the request which waits to leave on its connection.
func TestSurplusBehindAnAnswerInTwoPacketsIsNoAnswer(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	st.net.Order = true
	var clients, backends, others []*simsys.End
	for range 3 {
		clients = append(clients, st.send(getA))
	}
	for range 3 {
		b := st.accept()
		b.Read()
		backends = append(backends, b)
	}
	for i := 1; i < 3; i++ {
		st.write(backends[i], ok200)
		st.wants(clients[i], 200, "", false)
	}
	victim := st.net.Dial(simFrom, simFront)
	for range 10 { // so many that what is written waits for the end of the turn
		others = append(others, st.net.Dial(simFrom, simFront))
	}
	st.settle()
	asked := 0
	snap := *st.server.Snapshot()
	snap.Resolver = atPath{happens: func(path string) {
		switch path {
		case "/a":
			if asked++; asked == 2 {
				backends[0].Write([]byte("cd"))
			}
		case "/own/moment":
			backends[0].Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"))
		}
	}}
	st.server.Swap(&snap)
	clients[1].Write([]byte(getA))
	clients[2].Write([]byte(getA))
	st.net.Midturn = func() {
		backends[0].Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"))
		victim.Write([]byte(getA))
		for i, o := range others {
			path := "/own/x"
			if i == 0 {
				path = "/own/moment"
			}
			o.Write(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path))
		}
	}
	st.settle()
	if got := string(clients[0].Read()); !strings.HasSuffix(got, "abcd") {
		t.Errorf("the first client got %q", got)
	}
	if got := string(victim.Read()); got != "" {
		t.Errorf("nobody has answered it, but the client got %q", got)
	}
}

// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
)

func (st *stage) drain() {
	st.t.Helper()
	st.server.nodes[0].drain()
	st.settle()
}

func TestDrainServesWhoWaitsToBeAccepted(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e, f := st.net.Dial(simFrom, simFront), st.net.Dial(simFrom, simFront)
	e.Write([]byte("GET /own HTTP/1.1\r\nHost: a\r\n\r\n"))
	st.drain() // nobody has accepted yet
	st.wants(e, 404, "Connection: close", true)
	f.Write([]byte("GET /own HTTP/1.1\r\nHost: a\r\n\r\n")) // was on its way
	st.settle()
	st.wants(f, 404, "Connection: close", true)
	if st.net.Dial(simFrom, simFront) != nil {
		t.Error("still listening")
	}
}

func TestDrainWaitsForARequestThatMayBeOnItsWay(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	busy, quiet := st.send(""), st.send("")
	st.write(quiet, "GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
	quiet.Read()
	st.pass(time.Second, 100*time.Millisecond, nil)
	st.write(busy, "GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
	st.wants(busy, 404, "", false)
	busy.Write([]byte("GET /own HTTP/1.1\r\nHost: a\r\n\r\n")) // arrived, not yet looked at
	st.drain()
	st.wants(busy, 404, "Connection: close", true)
	if !quiet.EOF() || quiet.Broken() {
		t.Error("the quiet connection was not closed cleanly")
	}
}

// Who has connected has a request, which may be lost on its way and come later; who has none is not waited for without end.
func TestDrainWaitsForTheFirstRequest(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	late, silent := st.send(""), st.send("")
	served := st.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
	served.Read()
	st.pass(time.Second, 100*time.Millisecond, nil)
	st.drain()
	again := st.server.nodes[0].host.Drain
	st.pass(1500*time.Millisecond, 20*time.Millisecond, again)
	if late.EOF() || silent.EOF() || !served.EOF() {
		t.Errorf("after 2.5 s: closed %v, %v before their first request, %v after an answer", late.EOF(), silent.EOF(), served.EOF())
	}
	st.write(late, "GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
	st.wants(late, 404, "Connection: close", true)
	st.pass(2*time.Second, 20*time.Millisecond, again)
	if !silent.EOF() {
		t.Error("who says nothing is waited for")
	}
}

// A loop that was stopped between its look at the clock and an answer takes nobody for quiet who has just got it.
func TestDrainKnowsWhenItsLoopWasStopped(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	own := "GET /own HTTP/1.1\r\nHost: a\r\n\r\n"
	e := st.send(own)
	st.wants(e, 404, "", false)
	e.Write([]byte(own))
	st.server.nodes[0].loop.Post(func() { st.net.Advance(time.Second) }) // a turn's messages come before what has come in
	st.settle()
	st.wants(e, 404, "", false)
	st.drain()
	st.write(e, own)
	st.wants(e, 404, "Connection: close", true)
}

// A handshake under way is no rest: the client, or this machine, may be slow.
func TestDrainWaitsForAHandshake(t *testing.T) {
	t.Parallel()
	st := newStageWith(t, func(o *Options) { o.Inline, o.Listen = true, []Listener{{TLS: simTLS(t)}} })
	config := simClientTLS(tls.VersionTLS13)
	config.NextProtos = []string{"http/1.1"}
	e := st.net.Dial(simFrom, simFront).Secure(config, false)
	e.Pump() // ClientHello
	st.settle()
	st.pass(time.Second, 100*time.Millisecond, nil)
	st.drain()
	st.pass(1500*time.Millisecond, 20*time.Millisecond, st.server.nodes[0].host.Drain)
	for range 5 {
		e.Pump()
		st.settle()
	}
	if !e.Done() {
		t.Fatalf("the handshake was broken off: %v", e.Err())
	}
	e.Write([]byte("GET /own HTTP/1.1\r\nHost: sim\r\n\r\n"))
	e.Pump()
	st.settle()
	e.Pump()
	if got := string(e.Read()); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
		t.Errorf("got %q", got)
	}
}

func TestAnswerSurvivesTheRequestThatFollowsIt(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send(getA)
	b := st.accept()
	st.drain()
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
	st.write(e, getA) // the client has not read yet that there is no next one
	got := string(e.Read())
	if !strings.Contains(got, "Connection: close\r\n") || !strings.HasSuffix(got, "\r\n\r\nbody") || e.Broken() {
		t.Errorf("got %q, broken %v", got, e.Broken())
	}
	e.Close()
	st.settle()
	if st.net.Owned() > 1 {
		t.Errorf("%d sockets are left", st.net.Owned())
	}
}

func TestDrainThatTakesTooLongSaysSo(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	asking, open, counted := st.send(getA), st.send("GET /b HTTP/1.0\r\n\r\n"), st.send("")
	a, o := st.accept(), st.accept()
	if got := string(a.Read()); !strings.HasPrefix(got, "GET /a") {
		a, o = o, a
	}
	st.write(o, "HTTP/1.1 200 OK\r\n\r\nhalf of it")
	st.drain()
	st.server.nodes[0].cut()
	st.settle()
	st.wants(asking, 503, "draining", true)
	if open.Read(); !open.Broken() {
		t.Error("half an answer looks whole")
	}
	if !counted.EOF() {
		t.Error("a connection is left")
	}
	if !a.Broken() || !o.Broken() || st.net.Owned() != 0 {
		t.Errorf("backends left %v %v, %d sockets", a.Broken(), o.Broken(), st.net.Owned())
	}
	if n := st.server.nodes[0].meter.Codes[exchange.HTTP1][503]; n != 1 {
		t.Errorf("%d counted as 503, want 1", n)
	}
}

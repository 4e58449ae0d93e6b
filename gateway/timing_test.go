// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/loop/simsys"

	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// stage is one loop on a faultless simulated kernel: the test moves the time.
type stage struct {
	t      *testing.T
	net    *simsys.Net
	server *Server
	back   *simsys.Listener
}

var (
	simBack6 = netip.MustParseAddrPort("[2001:db8::2]:8080")
	simFrom  = netip.MustParseAddrPort("192.0.2.1:4000")
)

// simOptions are those of a server with one loop in a simulated net.
func simOptions(n *simsys.Net) Options {
	return Options{Loops: 1, Poison: true, Inline: true, NewKernel: func(time.Time) (loop.Kernel, error) { return n.Kernel(), nil }}
}

// specs describes endpoints that have these addresses.
func specs(endpoints ...[]netip.AddrPort) (o endpoint.Options) {
	for _, a := range endpoints {
		o.Endpoints = append(o.Endpoints, endpoint.Spec{URL: fmt.Sprint(a), Addresses: a})
	}
	return o
}

// fixed returns the endpoints of a backend that have these addresses.
func fixed(endpoints ...[]netip.AddrPort) *endpoint.Group {
	return new(endpoint.Book).Group("", specs(endpoints...))
}

func newStage(t *testing.T, endpoints ...[]netip.AddrPort) *stage {
	t.Helper()
	return newStageWith(t, func(*Options) {}, endpoints...)
}

func newStageWith(t *testing.T, edit func(*Options), endpoints ...[]netip.AddrPort) *stage {
	t.Helper()
	if endpoints == nil {
		endpoints = [][]netip.AddrPort{{simBack}}
	}
	return newStageOf(t, edit, fixed(endpoints...))
}

// newStageOf has a backend with these endpoints; it is played at simBack.
func newStageOf(t *testing.T, edit func(*Options), endpoints *endpoint.Group) *stage {
	t.Helper()
	st := &stage{t: t, net: simsys.New(7, simsys.Faults{})}
	o := simOptions(st.net)
	edit(&o)
	s, err := assemble(o, &Snapshot{Resolver: simResolver{}, Via: "pvgate-sim", Backends: []Backend{{
		Name: "sim", Host: "sim", Endpoints: endpoints, Limiter: new(limit.Backend), Authorities: []string{"http://" + simBack.String()},
		Timeouts: upstream.Timeouts{Connect: 2 * time.Second, FirstByte: 30 * time.Second, Idle: 60 * time.Second, Keep: 4 * time.Second},
		Tunnels:  simTunnels,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	st.server = s
	if err := s.nodes[0].listen(st.net.LoopSocket(simFront), 0, append(o.Listen, Listener{})[0]); err != nil {
		t.Fatal(err)
	}
	st.back = st.net.Listen(simBack)
	return st
}

// settle turns the loop until nothing moves.
func (st *stage) settle() {
	for quiet := 0; quiet < 3; quiet++ {
		for st.server.workers.Work() {
		}
		st.server.nodes[0].loop.Turn()
		if st.net.Moved() {
			quiet = 0
		}
	}
}

// pass lets time go by in steps of at most step.
func (st *stage) pass(d, step time.Duration, each func()) {
	for ; d > 0; d -= step {
		st.net.Advance(min(d, step))
		if each != nil {
			each()
		}
		st.settle()
	}
}

// send connects and writes.
func (st *stage) send(request string) *simsys.End {
	st.t.Helper()
	e := st.net.Dial(simFrom, simFront)
	st.write(e, request)
	return e
}

func (st *stage) write(e *simsys.End, s string) {
	st.t.Helper()
	for b := []byte(s); len(b) > 0; {
		n := e.Write(b)
		b = b[n:]
		st.settle()
		if n == 0 {
			st.t.Fatalf("%d octets are not taken", len(b))
		}
	}
	st.settle()
}

// accept returns the backend's next connection.
func (st *stage) accept() *simsys.End {
	st.t.Helper()
	st.settle()
	e := st.back.Accept()
	if e == nil {
		st.t.Fatal("no connection came to the backend")
	}
	st.settle()
	return e
}

// kept returns a client and the backend's connection that has carried its request and waits for another.
func (st *stage) kept() (client, backend *simsys.End) {
	st.t.Helper()
	client = st.send(getA)
	backend = st.accept()
	backend.Read()
	st.write(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	st.wants(client, 200, "", false)
	return client, backend
}

// wants fails unless the client has been answered with status and reason, and whether the connection has ended.
func (st *stage) wants(e *simsys.End, status int, reason string, ended bool) {
	st.t.Helper()
	got := string(e.Read())
	st.settle()
	if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", status)) || !strings.Contains(got, reason) || e.EOF() != ended {
		st.t.Errorf("got %q, ended %v, want %d %s, ended %v", got, e.EOF(), status, reason, ended)
	}
}

func (st *stage) wantsSilence(e *simsys.End) {
	st.t.Helper()
	if got := e.Read(); len(got) > 0 || e.EOF() {
		st.t.Errorf("got %q, ended %v, want nothing yet", got, e.EOF())
	}
}

const getA = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"

func TestSlowHeadIs408(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("GET /a HT")
	st.pass(9*time.Second, time.Second, func() { e.Write([]byte("T")) }) // dripping does not help
	st.wantsSilence(e)
	st.pass(1500*time.Millisecond, 100*time.Millisecond, nil)
	st.wants(e, 408, "request_timeout", true)
}

func TestSilentConnectionIsClosedWithoutAWord(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("")
	st.pass(9900*time.Millisecond, 100*time.Millisecond, nil)
	st.wantsSilence(e)
	st.pass(300*time.Millisecond, 100*time.Millisecond, nil)
	if got := e.Read(); len(got) > 0 || !e.EOF() {
		t.Errorf("got %q, ended %v, want a close", got, e.EOF())
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
	st.wants(e, 404, "own", false)
	st.pass(74*time.Second, time.Second, nil)
	st.wantsSilence(e)
	st.pass(1500*time.Millisecond, 100*time.Millisecond, nil)
	if !e.EOF() {
		t.Error("still open")
	}
}

func TestDrippingBodyIs408AndTheBackendSeesItBroken(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
	b := st.accept()
	st.pass(9*time.Second, time.Second, func() { e.Write([]byte("x")) })
	st.wantsSilence(e)
	st.pass(2*time.Second, time.Second, func() { e.Write([]byte("x")) })
	st.wants(e, 408, "request_timeout", true)
	if !b.Broken() {
		t.Error("the backend may take the request for whole")
	}
	e.Write([]byte("x")) // lingering: what still comes is read and dropped, not answered by a reset
	st.settle()
	if e.Broken() || st.net.Owned() == 0 {
		t.Error("the connection did not linger")
	}
	st.pass(2100*time.Millisecond, 100*time.Millisecond, nil)
	if st.net.Owned() != 0 {
		t.Error("still open")
	}
}

func TestSteadyBodyIsNotTooSlow(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
	b := st.accept()
	got := 0
	st.pass(60*time.Second, time.Second, func() {
		e.Write(bytes.Repeat([]byte("x"), 1000))
		got += len(b.Read())
	})
	got += len(b.Read())
	if got < 60000 || b.Broken() {
		t.Errorf("the backend got %d octets, broken %v", got, b.Broken())
	}
}

func TestConnectThatIsNotAnsweredIs504(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	st.back.Silent = true
	e := st.send(getA)
	st.pass(1900*time.Millisecond, 100*time.Millisecond, nil)
	st.wantsSilence(e)
	st.pass(300*time.Millisecond, 100*time.Millisecond, nil)
	st.wants(e, 504, "connect_timeout", false)
}

func TestConnectThatIsRefusedIs502(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	st.back.Close()
	st.wants(st.send(getA), 502, "connect_refused", false)
}

func TestAnswerThatDoesNotComeIs504(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send(getA)
	b := st.accept()
	st.pass(29*time.Second, 500*time.Millisecond, nil)
	st.wantsSilence(e)
	st.pass(2*time.Second, 100*time.Millisecond, nil)
	st.wants(e, 504, "response_timeout", false)
	if !b.EOF() {
		t.Error("the backend's connection stays")
	}
}

func TestAnswerThatStopsIsBrokenOff(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send(getA)
	b := st.accept()
	st.write(b, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
	st.pass(59*time.Second, time.Second, nil)
	if got := e.Read(); !bytes.HasSuffix(got, []byte("abc")) || e.EOF() {
		t.Fatalf("got %q, ended %v", got, e.EOF())
	}
	st.pass(3*time.Second, 100*time.Millisecond, nil)
	if !e.Broken() {
		t.Error("the client may take the answer for whole")
	}
}

func TestClientThatTakesNothingIsLeft(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send(getA)
	b := st.accept()
	b.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"))
	st.pass(29*time.Second, time.Second, func() { b.Write(make([]byte, 1<<20)) })
	if e.EOF() {
		t.Fatal("left too early")
	}
	st.pass(4*time.Second, 100*time.Millisecond, nil)
	if !b.EOF() {
		t.Error("the backend is still read")
	}
	if st.net.Owned() != 0 {
		t.Errorf("%d sockets are left", st.net.Owned())
	}
}

func TestSlowClientPausesTheBackend(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send(getA)
	b := st.accept()
	b.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"))
	taken := 0
	for range 1000 {
		n := b.Write(make([]byte, 1<<20))
		taken += n
		st.settle()
	}
	// Two receive buffers and one batch of ours.
	if taken > 64<<10+3*(17<<10) {
		t.Errorf("%d octets were taken from the backend while the client read nothing", taken)
	}
	before := taken
	e.Read()
	st.settle()
	if taken += b.Write(make([]byte, 1<<20)); taken == before {
		t.Error("the backend stays paused after the client has read")
	}
}

func TestSlowBackendPausesTheClient(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
	b := st.accept()
	taken := 0
	for range 1000 {
		taken += e.Write(make([]byte, 1<<20))
		st.settle()
	}
	if taken > 64<<10+3*(17<<10) {
		t.Errorf("%d octets were taken from the client while the backend read nothing", taken)
	}
	before := taken
	b.Read()
	st.settle()
	if taken += e.Write(make([]byte, 1<<20)); taken == before {
		t.Error("the client stays paused after the backend has read")
	}
}

func TestBackendThatTakesNothingIs504(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
	st.accept()
	st.pass(59*time.Second, time.Second, func() { e.Write(make([]byte, 1<<20)) })
	st.wantsSilence(e)
	st.pass(35*time.Second, time.Second, nil)
	got := string(e.Read())
	if !strings.HasPrefix(got, "HTTP/1.1 504 ") || !strings.Contains(got, "write_timeout") {
		t.Errorf("got %q, want 504 write_timeout", got)
	}
}

func TestExpectationThatTheBackendIgnoresIsMetAfterASecond(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	b := st.accept()
	if got := string(b.Read()); !strings.Contains(got, "Expect: 100-continue\r\n") {
		t.Fatalf("the backend got %q", got)
	}
	st.pass(900*time.Millisecond, 100*time.Millisecond, nil)
	st.wantsSilence(e)
	st.pass(300*time.Millisecond, 100*time.Millisecond, nil)
	if got := string(e.Read()); got != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("got %q, want 100", got)
	}
	st.write(e, "body")
	if got := string(b.Read()); got != "body" {
		t.Errorf("the backend got %q", got)
	}
}

func TestFinalAnswerBeforeTheBodyEndsBothConnections(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	b := st.accept()
	st.write(b, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
	st.wants(e, 413, "Connection: close", true)
	b.Read()
	if !b.EOF() {
		t.Error("the backend's connection would be used again without its body")
	}
}

func TestPooledConnectionWaitsNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field string
		keep  time.Duration
	}{{"", 4 * time.Second}, {"Keep-Alive: timeout=3\r\n", 2 * time.Second}, {"Keep-Alive: timeout=30\r\n", 4 * time.Second}} {
		st := newStage(t)
		st.send(getA)
		b := st.accept()
		b.Read()
		st.write(b, "HTTP/1.1 200 OK\r\n"+c.field+"Content-Length: 0\r\n\r\n")
		st.pass(c.keep-200*time.Millisecond, 100*time.Millisecond, nil)
		if b.EOF() {
			t.Errorf("%q: closed too early", c.field)
		}
		st.pass(400*time.Millisecond, 100*time.Millisecond, nil)
		if !b.EOF() {
			t.Errorf("%q: open for longer than %v", c.field, c.keep)
		}
	}
}

func TestRequestThatMustNotBeRepeatedTakesNoOldConnection(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e, b := st.kept()
	st.pass(1500*time.Millisecond, 100*time.Millisecond, nil)
	st.write(e, "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
	if got := b.Read(); len(got) > 0 {
		t.Errorf("the old connection got %q", got)
	}
	if got := st.accept().Read(); !bytes.HasPrefix(got, []byte("POST /b ")) {
		t.Errorf("the new connection got %q", got)
	}
}

func TestSecondAddressIsTriedBesideASilentOne(t *testing.T) {
	t.Parallel()
	st := newStage(t, []netip.AddrPort{simBack6, simBack})
	st.net.Listen(simBack6).Silent = true
	st.send(getA)
	if st.back.Accept() != nil {
		t.Fatal("the second address was tried at once")
	}
	st.pass(300*time.Millisecond, 50*time.Millisecond, nil)
	if got := st.accept().Read(); !bytes.HasPrefix(got, []byte("GET /a ")) {
		t.Errorf("the second address got %q", got)
	}
	if n := st.net.Owned(); n != 2 {
		t.Errorf("%d sockets, want the client's and the winner", n)
	}
}

func TestSecondAddressFollowsARefusedOneAtOnce(t *testing.T) {
	t.Parallel()
	st := newStage(t, []netip.AddrPort{simBack6}, []netip.AddrPort{simBack})
	for range 4 { // whichever endpoint's turn it is
		e := st.send(getA)
		b := st.accept()
		st.write(b, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		st.wants(e, 200, "", false)
	}
}

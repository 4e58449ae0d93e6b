// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// fleet is a stage with a backend "sim" at some endpoints, a healthy one "next" below /u/, and a history of what became of
// requests.
type fleet struct {
	*stage
	origins map[netip.AddrPort]*fleetOrigin
	clients []*fleetClient
	answers []fleetAnswer
}

// fleetOrigin plays a backend's endpoint.
type fleetOrigin struct {
	listener *simsys.Listener
	ends     []*simsys.End
	status   int
	hold     bool // takes requests and says nothing
	seen     int  // requests
	most     int  // at once
	waiting  []*simsys.End
}

type fleetClient struct {
	end   *simsys.End
	path  string
	since int64
}

type fleetAnswer struct {
	path   string
	at     int64 // net time
	waited time.Duration
	status int
	text   string
}

func newFleet(t *testing.T, endpoints ...netip.AddrPort) *fleet {
	t.Helper()
	f := &fleet{stage: &stage{t: t, net: simsys.New(7, simsys.Faults{})}, origins: map[netip.AddrPort]*fleetOrigin{}}
	var lists [][]netip.AddrPort
	for _, a := range endpoints {
		lists = append(lists, []netip.AddrPort{a})
	}
	timeouts := upstream.Timeouts{Connect: 2 * time.Second, FirstByte: 30 * time.Second, Idle: 60 * time.Second, Keep: 4 * time.Second}
	s, err := assemble(simOptions(f.net), &Snapshot{Resolver: simResolver{}, Via: "pvgate-sim", Backends: []Backend{
		{Name: "sim", Host: "sim", Endpoints: fixed(lists...), Limiter: new(limit.Backend), Timeouts: timeouts},
		{Name: "next", Host: "next", Endpoints: fixed([]netip.AddrPort{simNext}), Limiter: new(limit.Backend), Timeouts: timeouts},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f.server = s
	if err := s.nodes[0].listen(f.net.LoopSocket(simFront), 0, Listener{}); err != nil {
		t.Fatal(err)
	}
	f.start(simNext)
	return f
}

func (f *fleet) start(at netip.AddrPort) *fleetOrigin {
	o := &fleetOrigin{listener: f.net.Listen(at), status: 200}
	f.origins[at] = o
	return o
}

// kill ends an origin as its process would be ended: its connections break, new ones are refused.
func (f *fleet) kill(at netip.AddrPort) {
	f.origins[at].listener.Close()
	for _, e := range f.origins[at].ends {
		e.Reset()
	}
	delete(f.origins, at)
}

// ask sends a request on a connection of its own.
func (f *fleet) ask(method, path string) {
	f.t.Helper()
	c := &fleetClient{end: f.send(method + " " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), path: path, since: f.net.Now()}
	f.clients = append(f.clients, c)
	f.play()
}

// play lets everybody say what there is to say.
func (f *fleet) play() {
	for range 8 {
		f.settle()
		for _, o := range f.origins {
			o.play()
		}
	}
	left := f.clients[:0]
	for _, c := range f.clients {
		got := c.end.Read()
		if len(got) == 0 {
			left = append(left, c)
			continue
		}
		a := fleetAnswer{path: c.path, at: f.net.Now(), waited: time.Duration(f.net.Now() - c.since), text: string(got)}
		_, _ = fmt.Sscanf(a.text, "HTTP/1.1 %d", &a.status)
		f.answers = append(f.answers, a)
		c.end.Close()
	}
	f.clients = left
	f.settle()
}

func (o *fleetOrigin) play() {
	if o.listener.Silent {
		return
	}
	for e := o.listener.Accept(); e != nil; e = o.listener.Accept() {
		o.ends = append(o.ends, e)
	}
	for _, e := range o.ends {
		n := bytes.Count(e.Read(), []byte("\r\n\r\n"))
		for range n {
			o.seen++
			o.waiting = append(o.waiting, e)
		}
	}
	o.most = max(o.most, len(o.waiting))
	if !o.hold {
		o.answer()
	}
}

func (o *fleetOrigin) answer() {
	for _, e := range o.waiting {
		e.Write(fmt.Appendf(nil, "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", o.status))
	}
	o.waiting = nil
}

// during lets time go by, with a request to each path every so often.
func (f *fleet) during(d, every time.Duration, paths ...string) {
	for ; d > 0; d -= every {
		for _, p := range paths {
			f.ask("GET", p)
		}
		for left := every; left > 0; left -= 50 * time.Millisecond {
			f.net.Advance(min(left, 50*time.Millisecond))
			f.play()
		}
	}
}

// count counts the answers to a path since a net time that have a status and a text in them.
func (f *fleet) count(path string, since int64, status int, text string) (n, of int) {
	for _, a := range f.answers {
		if a.path == path && a.at >= since {
			of++
			if a.status == status && strings.Contains(a.text, text) {
				n++
			}
		}
	}
	return n, of
}

func (f *fleet) all(path string, since int64, status int, text string) {
	f.t.Helper()
	if n, of := f.count(path, since, status, text); n != of || of == 0 {
		f.t.Errorf("%d of %d requests to %s got %d %s; last: %+v", n, of, path, status, text, f.answers[max(len(f.answers)-2, 0):])
	}
}

func (f *fleet) state(place int) endpoint.State {
	s, _ := f.server.Snapshot().Backends[0].Endpoints.At(place).State()
	return s
}

// TestBE01BlackHoleIsEjected: an only endpoint that takes no connection and refuses none is out after 3 s at the latest;
// then who asks is told at once, all but one in a while, who finds out; others notice nothing. When it answers again it is
// back within 10 s.
func TestBE01BlackHoleIsEjected(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{100 * time.Millisecond, time.Second} {
		f := newFleet(t, simDeaf)
		f.start(simDeaf).listener.Silent = true
		f.during(3*time.Second, every, "/a", "/u/b")
		if f.state(0) != endpoint.Ejected {
			t.Fatalf("with a request every %v, it is %v after 3 s", every, f.state(0))
		}
		from := f.net.Now()
		f.during(20*time.Second, every, "/a", "/u/b")
		down, of := f.count("/a", from, 503, "backend_down")
		tried, _ := f.count("/a", from, 504, "connect_timeout")
		if down+tried != of || tried > 8+int(2*time.Second/every) {
			t.Errorf("%d told, %d tried, of %d", down, tried, of)
		}
		for _, a := range f.answers {
			if a.status == 503 && a.waited > 50*time.Millisecond {
				t.Fatalf("waited %v for %d", a.waited, a.status)
			}
		}
		f.all("/u/b", 0, 200, "")
		f.start(simDeaf)
		f.during(10*time.Second, every, "/a")
		from = f.net.Now()
		f.during(5*time.Second, every, "/a")
		f.all("/a", from, 200, "")
	}
}

// TestBE01OneOfTwoIsABlackHole: nobody fails; once it is out, nobody waits either.
func TestBE01OneOfTwoIsABlackHole(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simDeaf, simBack)
	f.start(simDeaf).listener.Silent = true
	f.start(simBack)
	f.during(3*time.Second, 100*time.Millisecond, "/a")
	if f.state(0) != endpoint.Ejected {
		t.Errorf("it is %v after 3 s", f.state(0))
	}
	from := f.net.Now()
	f.during(20*time.Second, 100*time.Millisecond, "/a")
	f.all("/a", 0, 200, "")
	waited := 0
	for _, a := range f.answers {
		if a.at >= from && a.waited >= 50*time.Millisecond {
			waited++
		}
	}
	if waited > 8 {
		t.Errorf("%d requests waited for who does not answer", waited)
	}
}

// TestBE01ImpatientClientsDoNotHideABlackHole: those who leave after 1.2 s never see the connect fail.
func TestBE01ImpatientClientsDoNotHideABlackHole(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simDeaf)
	f.start(simDeaf).listener.Silent = true
	for range 6 {
		f.ask("GET", "/a")
		f.during(1200*time.Millisecond, 400*time.Millisecond)
		for _, c := range f.clients {
			c.end.Reset()
		}
		f.clients = nil
		f.play()
	}
	if f.state(0) != endpoint.Ejected {
		t.Errorf("it is %v", f.state(0))
	}
}

// TestBE02OneSlowBackendTouchesNoOther: hundreds wait for one backend, and another answers as ever.
func TestBE02OneSlowBackendTouchesNoOther(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simBack)
	slow := f.start(simBack)
	slow.hold = true
	for range 50 {
		for range 5 {
			f.ask("GET", "/a")
		}
		f.during(100*time.Millisecond, 100*time.Millisecond, "/u/b")
	}
	f.all("/u/b", 0, 200, "")
	for _, a := range f.answers {
		if a.waited > 0 {
			t.Fatalf("%s waited %v", a.path, a.waited)
		}
	}
	if f.state(0) != endpoint.InService || len(slow.waiting) != 250 {
		t.Errorf("who is slow is %v, %d wait; want all to be answered in the end", f.state(0), len(slow.waiting))
	}
	slow.hold = false
	f.play()
	f.all("/a", 0, 200, "")
}

// TestBE03AllEndpointsAnswerBadly: all are tried on, so that nothing is worse than without us, and all is well at once
// when they are.
func TestBE03AllEndpointsAnswerBadly(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simBack, simDeaf)
	a, b := f.start(simBack), f.start(simDeaf)
	a.status, b.status = 500, 500
	f.during(5*time.Second, 50*time.Millisecond, "/a", "/a")
	f.all("/a", 0, 500, "")
	if f.state(0) == endpoint.Outlier && f.state(1) == endpoint.Outlier {
		t.Error("both are out for their answers, and nobody is left")
	}
	a.status, b.status = 200, 200
	from := f.net.Now()
	f.during(10*time.Second, 50*time.Millisecond, "/a", "/a")
	f.all("/a", from, 200, "")
	if f.state(0) != endpoint.InService || f.state(1) != endpoint.InService {
		t.Errorf("10 s later they are %v and %v", f.state(0), f.state(1))
	}
}

// TestBE03ABadAnswerIsBetterThanNone: of three one answers well and dies. Of the two that answer badly none is spared then,
// and none is left alone with everything.
func TestBE03ABadAnswerIsBetterThanNone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simBack, simDeaf, simDead)
	f.start(simBack)
	bad := [...]*fleetOrigin{f.start(simDeaf), f.start(simDead)}
	for _, o := range bad {
		o.status = 500
	}
	f.during(2*time.Second, 20*time.Millisecond, "/a", "/a")
	if out := f.state(1) == endpoint.Outlier; out == (f.state(2) == endpoint.Outlier) {
		t.Errorf("they are %v and %v, and one of them should be out", f.state(1), f.state(2))
	}
	f.kill(simBack)
	f.during(2*time.Second, 20*time.Millisecond, "/a", "/a")
	before := [...]int{bad[0].seen, bad[1].seen}
	f.during(4*time.Second, 20*time.Millisecond, "/a", "/a")
	for i, o := range bad {
		if n := o.seen - before[i]; n < 400/4 {
			t.Errorf("one that answers badly had %d of 400 requests, when nobody else was left", n)
		}
	}
}

// TestBE03NoThunderingHerd: all are dead and come back; who waited for that comes little by little.
func TestBE03NoThunderingHerd(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simBack)
	f.during(10*time.Second, 100*time.Millisecond, "/a", "/a", "/a")
	if n, of := f.count("/a", int64(time.Second), 503, "backend_down"); of-n > 8 {
		t.Errorf("%d of %d tried who is dead", of-n, of)
	}
	back := f.start(simBack)
	back.hold = true
	from, last := f.net.Now(), 0
	for f.net.Now() < from+int64(10*time.Second) {
		for range 50 {
			f.ask("GET", "/a")
		}
		if n := len(back.waiting); n > max(1, 2*last) && f.state(0) != endpoint.InService {
			t.Fatalf("%d at once after %d", n, last)
		} else if n > 0 {
			last = n
		}
		back.answer()
		f.net.Advance(100 * time.Millisecond)
		f.play()
	}
	from = f.net.Now()
	back.hold = false
	f.during(time.Second, 100*time.Millisecond, "/a", "/a", "/a")
	f.all("/a", from, 200, "")
}

// TestBE03OneOfTwoDiesAndReturns: at most the requests that it had fail; others go elsewhere from then on.
func TestBE03OneOfTwoDiesAndReturns(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simBack, simDeaf)
	f.start(simBack)
	f.start(simDeaf)
	f.during(2*time.Second, 20*time.Millisecond, "/a", "/u/b")
	f.kill(simBack)
	f.during(10*time.Second, 20*time.Millisecond, "/a", "/u/b")
	if f.state(0) != endpoint.Ejected {
		t.Errorf("it is %v", f.state(0))
	}
	back := f.start(simBack)
	f.during(10*time.Second, 20*time.Millisecond, "/a", "/u/b")
	if f.state(0) != endpoint.InService || back.seen < 100 {
		t.Errorf("it is %v and has had %d requests since it returned", f.state(0), back.seen)
	}
	f.all("/a", 0, 200, "")
	f.all("/u/b", 0, 200, "")
}

// TestRS07LocalFaultsEjectNobody: want of descriptors or ports is ours.
func TestRS07LocalFaultsEjectNobody(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simBack)
	f.start(simBack)
	for range 30 {
		c := f.net.Dial(simFrom, simFront)
		f.settle()
		f.net.Descriptors = f.net.Owned()
		c.Write([]byte(getA))
		f.settle()
		if got := string(c.Read()); !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "local_resource") {
			t.Fatalf("got %q", got)
		}
		f.net.Descriptors = 0
		c.Close()
		f.settle()
	}
	if f.state(0) != endpoint.InService {
		t.Errorf("a backend that has done nothing is %v", f.state(0))
	}
	f.ask("GET", "/a")
	f.all("/a", 0, 200, "")
}

// TestClientsThatLeaveEjectNobody: whatever they waited for.
func TestClientsThatLeaveEjectNobody(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simBack)
	f.start(simBack).hold = true
	for range 30 {
		f.ask("GET", "/a")
		f.clients[0].end.Reset()
		f.clients = nil
		f.net.Advance(50 * time.Millisecond) // who says that it wants one answer is not watched at once
		f.play()
	}
	if f.state(0) != endpoint.InService || f.server.Snapshot().Backends[0].Endpoints.At(0).InFlight() != 0 {
		t.Errorf("a backend that has done nothing is %v", f.state(0))
	}
}

// TestEjectedEndpointsKeepNoConnections: those that wait there are closed.
func TestEjectedEndpointsKeepNoConnections(t *testing.T) {
	t.Parallel()
	f := newFleet(t, simBack)
	back := f.start(simBack)
	f.ask("GET", "/a")
	g := f.server.Snapshot().Backends[0].Endpoints
	g.Checked(0, false, false, f.net.Now())
	f.server.Forsake(g.At(0))
	f.play()
	if !back.ends[0].EOF() {
		t.Error("a connection to who is out is kept")
	}
	g.Checked(0, true, true, f.net.Now())
	f.ask("GET", "/a")
	f.all("/a", 0, 200, "")
	f.ask("GET", "/a")
	if len(back.ends) != 2 {
		t.Fatalf("%d connections, want the second to be used again", len(back.ends))
	}
	g.Checked(0, false, false, f.net.Now()) // and nobody closes the connection
	g.Checked(0, true, true, f.net.Now())
	f.ask("GET", "/a")
	f.all("/a", 0, 200, "")
	if len(back.ends) != 3 {
		t.Errorf("%d connections; one from before an ejection was used after it", len(back.ends))
	}
}

// TestRS07AWaitingConnectionGivesItsPort: ports are counted by the address they lead to, so it is one to the same address
// that makes room, at once, however long others have waited.
func TestRS07AWaitingConnectionGivesItsPort(t *testing.T) {
	t.Parallel()
	const ports = 3
	f := newFleet(t, simBack)
	f.net.Ports = ports
	back := f.start(simBack)
	f.ask("GET", "/u/other")
	f.all("/u/other", 0, 200, "")
	f.during(100*time.Millisecond, 100*time.Millisecond)
	for round := range 3 {
		back.hold = true
		for range ports {
			f.ask("POST", "/a")
		}
		back.hold = false
		f.play()
		f.all("/a", 0, 200, "")
		f.during(1100*time.Millisecond, 100*time.Millisecond) // too long for a form to take one that waits
		if n := f.server.nodes[0].cache.Stats(); n.Evicted != uint64(round*ports) || n.Idle != ports+1 {
			t.Errorf("round %d: %+v", round, n)
		}
	}
	if f.state(0) != endpoint.InService {
		t.Errorf("a backend that has done nothing is %v", f.state(0))
	}
	if o := f.origins[simNext]; len(o.ends) != 1 || o.ends[0].EOF() {
		t.Error("a connection to another address was closed for it")
	}
}

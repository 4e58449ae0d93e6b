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
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
	"github.com/pvgate/pvgate/gateway/reason"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// byDigit forwards "/3" to the fourth backend.
type byDigit struct{ simResolver }

func (byDigit) Resolve(r *exchange.Request, p *exchange.Plan) {
	p.Forward, p.Backend = true, int(r.Path[1]-'0')
	p.Target = []byte("/")
}

// portals are backends of a stage that answer after a while.
type portals struct {
	st      *stage
	listen  []*simsys.Listener
	late    []time.Duration // by backend
	conns   []*portal
	clients []*citizen
	good    []int // answers 200, by backend
	bad     []map[string]int
}

type portal struct {
	end  *simsys.End
	late time.Duration
	due  []int64
}

// citizen asks once, on a connection of its own.
type citizen struct {
	end   *simsys.End
	of    int
	heard []byte
}

func newPortals(st *stage, late ...time.Duration) *portals {
	p := &portals{st: st, late: late, good: make([]int, len(late))}
	snap := *st.server.Snapshot()
	snap.Backends, snap.Resolver = nil, byDigit{}
	for i := range late {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 80)
		p.listen = append(p.listen, st.net.Listen(at))
		p.bad = append(p.bad, map[string]int{})
		snap.Backends = append(snap.Backends, Backend{
			Name: fmt.Sprint("b", i), Host: "b", Endpoints: fixed([]netip.AddrPort{at}), Limiter: new(limit.Backend),
			Timeouts: upstream.Timeouts{Connect: 2 * time.Second, FirstByte: 30 * time.Second, Idle: 60 * time.Second, Keep: 4 * time.Second},
		})
	}
	st.server.Swap(&snap)
	return p
}

// ask sends a request for a backend.
func (p *portals) ask(backend int) {
	e := p.st.net.Dial(simFrom, simFront)
	e.Write(fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", backend))
	p.clients = append(p.clients, &citizen{end: e, of: backend})
}

// step lets a while go by: backends answer what is due, citizens hear it.
func (p *portals) step(d time.Duration) {
	p.st.net.Advance(d)
	p.st.settle()
	now := p.st.net.Now()
	for i, l := range p.listen {
		for e := l.Accept(); e != nil; e = l.Accept() {
			p.conns = append(p.conns, &portal{end: e, late: p.late[i]})
		}
	}
	conns := p.conns[:0]
	for _, c := range p.conns {
		for range bytes.Count(c.end.Read(), []byte("\r\n\r\n")) {
			c.due = append(c.due, now+int64(c.late))
		}
		for len(c.due) > 0 && c.due[0] <= now {
			c.end.Write([]byte(okAnswer))
			c.due = c.due[1:]
		}
		if c.end.EOF() {
			c.end.Close()
			continue
		}
		conns = append(conns, c)
	}
	p.conns = conns
	p.st.settle()
	clients := p.clients[:0]
	for _, c := range p.clients {
		if c.heard = append(c.heard, c.end.Read()...); !c.end.EOF() {
			clients = append(clients, c)
			continue
		}
		if strings.HasPrefix(string(c.heard), "HTTP/1.1 200 ") {
			p.good[c.of]++
		} else {
			_, why, _ := strings.Cut(string(c.heard), "\r\n\r\n")
			p.bad[c.of][why]++
		}
		c.end.Close()
	}
	p.clients = clients
}

// BE-02: of ten backends one is slow by 5 s, and nobody has limited it. Its requests take neither the descriptors nor the
// places of the others, and there never are more than may be.
func TestBE02OneSlowBackendLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	const descriptors = 300
	st := newStageWith(t, func(o *Options) { o.Descriptors = descriptors })
	st.net.Descriptors = descriptors - reserved(descriptors)
	late := make([]time.Duration, 10)
	for i := range late {
		late[i] = 20 * time.Millisecond
	}
	late[3] += 5 * time.Second
	p := newPortals(st, late...)
	most, taken := 0, 0
	const rounds = 1500 // of 10 ms: each backend is asked 100 times a second
	for range rounds {
		for i := range late {
			p.ask(i)
		}
		p.step(10 * time.Millisecond)
		most, taken = max(most, st.net.Owned()), max(taken, st.server.nodes[0].share.by[st.server.indexes["b3"]])
	}
	for range 600 {
		p.step(10 * time.Millisecond)
	}
	for i := range late {
		if i != 3 && p.good[i] < rounds*99/100 {
			t.Errorf("backend %d: %d of %d requests were answered: %v", i, p.good[i], rounds, p.bad[i])
		}
	}
	if n := p.bad[3][reason.BackendBusy.String()]; n == 0 || n+p.good[3] != rounds {
		t.Errorf("the slow one: %d answered, %v; want the others refused as backend_busy", p.good[3], p.bad[3])
	}
	if most > descriptors || taken > descriptors/3 || taken < descriptors/6 {
		t.Errorf("%d connections at most, %d requests at the slow backend; want at most %d and about a third of them", most, taken, descriptors)
	}
	st.pass(10*time.Second, time.Second, nil)
	if n := st.server.nodes[0]; n.share.taken != 0 || n.loop.Stats().Streams != 0 {
		t.Errorf("%d requests and %d connections are left", n.share.taken, n.loop.Stats().Streams)
	}
}

// Where clients have taken what there is, the want is ours and no backend's.
func TestWantOfDescriptorsIsOurOwn(t *testing.T) {
	t.Parallel()
	s := share{descriptors: 160}
	for _, tt := range []struct {
		others int
		want   exchange.Admission
	}{{0, exchange.Admitted}, {120, exchange.Admitted}, {158, exchange.Exhausted}, {0, exchange.Admitted}} {
		if got := s.enter(0, tt.others); got != tt.want {
			t.Errorf("beside %d others: %v, want %v", tt.others, got, tt.want)
		}
	}
	for s.enter(0, 0) == exchange.Admitted {
	}
	if s.by[0] != 80 || s.enter(0, 0) != exchange.Busy || s.enter(1, 0) != exchange.Admitted {
		t.Errorf("one backend has %d of 160, and no other may come", s.by[0])
	}
}

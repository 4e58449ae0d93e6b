// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"golang.org/x/net/http2"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// lookResolver is simResolver, but what lies below /look has to be looked up first, twice below /look/look.
type lookResolver struct {
	simResolver
	lookups []*simLookup // in the order in which they were wanted
	resumed int
	random  *rand.Rand      // any request may have to be looked up; nil: by its path
	wanted  map[string]bool // of random requests, by tag: that had to be
}

// simLookup is a look-up that the test answers.
type simLookup struct {
	r         *lookResolver
	done      func()
	times     int // that it has to be waited for
	called    bool
	cancelled bool
	from      netip.Prefix
}

func (l *simLookup) Want(from netip.Prefix, done func()) bool {
	l.done, l.called, l.from = done, false, from
	l.times--
	l.r.lookups = append(l.r.lookups, l)
	return true
}

func (l *simLookup) Cancel() bool {
	l.cancelled = true
	return !l.called
}

// answer posts that all has been heard.
func (l *simLookup) answer() {
	l.called = true
	l.done()
}

func (lr *lookResolver) Resolve(r *exchange.Request, p *exchange.Plan) {
	l, _ := r.Lookup.(*simLookup)
	if l == nil {
		l = &simLookup{r: lr, times: bytes.Count(r.Path, []byte("/look"))}
		if lr.random != nil && lr.random.IntN(4) == 0 {
			l.times = 1 + lr.random.IntN(2)
			lr.wanted[string(r.Path[bytes.LastIndexByte(r.Path, '/')+1:])] = true
		}
	} else {
		lr.resumed++
	}
	if l.times > 0 {
		p.Lookup = l
		return
	}
	q := *r
	q.Path = bytes.ReplaceAll(r.Path, []byte("/look"), nil)
	lr.simResolver.Resolve(&q, p)
}

// simHead is more than is held for the head of a simulated request.
const simHead = 1 << 10

// unlooked says whether an answer tells that there was no time, or no place, to look up what its request needs. In a calm world
// there is enough of both, except for who has sent more of a body meanwhile than may be kept.
func (w *world) unlooked(tag string, sent, status int, body string, cut bool) bool {
	switch {
	case w.looks == nil || !w.looks.wanted[tag] || status != 503:
		return false
	case w.calm:
		return body == "registry_unavailable" && sent > exchange.MaxHeld-simHead
	}
	return says("registry_unavailable", body, cut) || says("draining", body, cut)
}

// play answers some of those who wait, or is about to when they leave.
func (lr *lookResolver) play() {
	left := lr.lookups[:0]
	var called []*simLookup
	for _, l := range lr.lookups {
		switch {
		case lr.random.IntN(8) > 0:
			left = append(left, l)
		case l.called:
			called = append(called, l)
		case !l.cancelled:
			l.called = true
			left = append(left, l)
		}
	}
	lr.lookups = left
	for _, l := range called {
		l.done()
	}
}

// looking is a stage where requests may wait for look-ups.
func looking(t *testing.T, st *stage, most int) (*stage, *lookResolver) {
	t.Helper()
	r := &lookResolver{}
	snap := *st.server.Snapshot()
	snap.Resolver, snap.Parking = r, Parking{Most: most, Wait: 2 * time.Second}
	st.server.Swap(&snap)
	return st, r
}

// wantsParked fails unless so many wait.
func (st *stage) wantsParked(n int64) {
	st.t.Helper()
	if got := st.server.parking.taken.Load(); got != n {
		st.t.Errorf("%d wait, want %d", got, n)
	}
}

const getLook = "GET /look/a HTTP/1.1\r\nHost: a\r\n\r\n"

func TestARequestWaitsForALookup(t *testing.T) {
	t.Parallel()
	st, r := looking(t, newStage(t), 10)
	get, post := st.send(getLook), st.send("POST /look/look/b?x=1 HTTP/1.1\r\nHost: a\r\nX-Kept: yes\r\nContent-Length: 7\r\n\r\n123")
	own := st.send("GET /look/own HTTP/1.1\r\nHost: a\r\n\r\n")
	st.write(post, "45")
	for _, e := range []*simsys.End{get, post, own} {
		st.wantsSilence(e)
	}
	st.wantsParked(3)
	if st.back.Accept() != nil {
		t.Fatal("a backend is asked before the route is known")
	}
	for i := range 3 {
		r.lookups[i].answer()
	}
	st.settle()
	st.wants(own, 404, "own", false)
	if got := string(st.accept().Read()); !strings.HasPrefix(got, "GET /a ") {
		t.Errorf("the backend got %q", got)
	}
	st.wantsParked(1) // the second key of the one that has two
	r.lookups[3].answer()
	st.settle()
	backend := st.accept()
	if got := string(backend.Read()); !strings.HasPrefix(got, "POST /b?x=1 ") && !strings.HasPrefix(got, "POST /b ") || !strings.HasSuffix(got, "\r\n\r\n12345") || !strings.Contains(got, "X-Kept: yes\r\n") {
		t.Errorf("the backend got %q", got)
	}
	st.write(post, "67")
	if got := string(backend.Read()); got != "67" {
		t.Errorf("the backend got %q, want the rest of the body", got)
	}
	backend.Write([]byte(okAnswer))
	st.settle()
	st.wants(post, 200, "ok", false)
	st.wantsParked(0)
	if n := st.server.nodes[0].stale; n != 0 {
		t.Errorf("%d messages were stale", n)
	}
}

func TestALookupThatTakesTooLongIsTold(t *testing.T) {
	t.Parallel()
	st, r := looking(t, newStage(t), 10)
	e, twice := st.send("POST /look/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n123"), st.send("GET /look/look/b HTTP/1.1\r\nHost: a\r\n\r\n")
	st.pass(1500*time.Millisecond, 100*time.Millisecond, nil)
	r.lookups[1].answer()
	st.settle()
	st.pass(400*time.Millisecond, 100*time.Millisecond, nil)
	st.wantsSilence(e)
	st.wantsSilence(twice)
	st.pass(200*time.Millisecond, 100*time.Millisecond, nil)
	st.wants(e, 503, "registry_unavailable", false)
	st.wants(twice, 503, "registry_unavailable", false) // one deadline for both keys
	st.wantsParked(0)
	r.lookups[0].called = true
	r.lookups[0].done() // does not know yet, and would be too late
	st.settle()
	st.write(e, "GET /own HTTP/1.1\r\nHost: a\r\n\r\n")
	st.wants(e, 404, "own", false)
	if st.back.Accept() != nil || r.resumed != 1 {
		t.Errorf("resumed %d times, or a backend was asked", r.resumed)
	}
}

func TestNoMoreWaitForLookupsThanMay(t *testing.T) {
	t.Parallel()
	st, r := looking(t, newStage(t), 2)
	a, b := st.send(getLook), st.send(getLook)
	st.wants(st.send(getLook), 503, "registry_unavailable", false)
	st.wantsParked(2)
	b.Reset()
	st.settle()
	st.wantsParked(1)
	c := st.send(getLook)
	st.wantsParked(2)
	st.wantsSilence(a)
	st.wantsSilence(c)
	if st.server.parking.refused.Load() != 1 || len(r.lookups) != 3 {
		t.Errorf("%d refused, %d asked", st.server.parking.refused.Load(), len(r.lookups))
	}
}

// Without a place nobody may wait: it is how a gateway without look-up sources is built.
func TestNobodyWaitsWhereNobodyMay(t *testing.T) {
	t.Parallel()
	st, _ := looking(t, newStage(t), 0)
	st.wants(st.send(getLook), 503, "registry_unavailable", false)
	st.wantsParked(0)
}

// RS-01, for places to wait: one network takes its share and no more, however many requests it has on a connection.
func TestRS01ANetworkHasItsShareOfPlaces(t *testing.T) {
	t.Parallel()
	st := newStageWith(t, func(o *Options) { o.MaxConnections = 100 })
	st, r := looking(t, st, 6)
	snap := *st.server.Snapshot()
	snap.Networks = conn.NetworkPolicy{Most: 5, Exempt: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/25")}}
	st.server.Swap(&snap)
	from := func(address string) *simsys.End {
		e := st.net.Dial(netip.MustParseAddrPort(address), simFront)
		e.Write([]byte(getLook))
		st.settle()
		return e
	}
	var first []*simsys.End
	for i := range 3 { // half of all: fewer than connections
		first = append(first, from(fmt.Sprintf("192.0.2.%d:4000", i+1)))
	}
	st.wantsParked(3)
	st.wants(from("192.0.2.77:4000"), 503, "registry_unavailable", false)
	st.wantsSilence(from("198.51.100.1:4000"))
	st.wantsParked(4)
	first[0].Reset()
	st.settle()
	st.wantsSilence(from("192.0.2.78:4000")) // the place of the one that has left
	r.lookups[1].answer()
	st.settle()
	st.wantsSilence(from("192.0.2.79:4000")) // and that of the one that was answered
	st.wantsParked(4)
	for i := range 2 {
		st.wantsSilence(from(fmt.Sprintf("203.0.113.%d:4000", i)))
	}
	st.wants(from("203.0.113.9:4000"), 503, "registry_unavailable", false) // all are taken
	for i, want := range map[int]netip.Prefix{0: netip.MustParsePrefix("192.0.2.0/24"), 3: netip.MustParsePrefix("198.51.100.0/24"), len(r.lookups) - 1: {}} {
		if got := r.lookups[i].from; got != want {
			t.Errorf("look-up %d is of %v, want %v", i, got, want)
		}
	}
	if full, crowded := st.server.parking.refused.Load(), st.server.parking.crowded.Load(); full != 1 || crowded != 1 {
		t.Errorf("%d found no place and %d had their share; want one each", full, crowded)
	}
}

func TestWhoLeavesALookupFreesItsPlace(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*simsys.End){"reset": (*simsys.End).Reset, "FIN": (*simsys.End).Close} {
		st, r := looking(t, newStage(t), 10)
		e := st.send(getLook)
		leave(e)
		st.settle()
		st.wantsParked(0)
		if !r.lookups[0].cancelled {
			t.Errorf("%s: the look-up was not told", name)
		}
	}
}

// What was heard too late never reaches a request that has come meanwhile, though it uses the same exchange and would
// use the same place.
func TestALateAnswerResumesNobodyElse(t *testing.T) {
	t.Parallel()
	st, r := looking(t, newStage(t), 10)
	gone := st.send(getLook)
	r.lookups[0].called = true // all has been heard, and the message is on its way when the client goes
	gone.Reset()
	st.settle()
	st.wantsParked(0)
	other := st.send("GET /look/other HTTP/1.1\r\nHost: a\r\n\r\n")
	st.pass(1900*time.Millisecond, 100*time.Millisecond, nil)
	late := r.lookups[len(r.lookups)-1]
	st.wantsSilence(other)
	r.lookups[0].done()
	st.settle()
	st.wantsSilence(other)
	late.called = true // it is just being called
	st.pass(200*time.Millisecond, 100*time.Millisecond, nil)
	st.wants(other, 503, "registry_unavailable", false)
	third := st.send("GET /look/third HTTP/1.1\r\nHost: a\r\n\r\n")
	late.done()
	st.settle()
	st.wantsSilence(third)
	st.wantsParked(1)
	if n := st.server.nodes[0].stale; n != 2 {
		t.Errorf("%d messages were stale, want two", n)
	}
	r.lookups[len(r.lookups)-1].answer()
	st.settle()
	if got := string(st.accept().Read()); !strings.HasPrefix(got, "GET /third ") {
		t.Errorf("the backend got %q", got)
	}
}

// Requests behind one that waits on the same connection wait, too: answers keep their order, and a client has one place.
func TestPipelinedRequestsWaitBehindALookup(t *testing.T) {
	t.Parallel()
	st, r := looking(t, newStage(t), 200)
	e := st.send(strings.Repeat("GET /look/own HTTP/1.1\r\nHost: a\r\n\r\n", 100) + "GET /own/page HTTP/1.1\r\nHost: a\r\n\r\n")
	for i := range 100 {
		st.wantsParked(1)
		st.wantsSilence(e)
		r.lookups[i].answer()
		st.settle()
		if got := string(e.Read()); strings.Count(got, "HTTP/1.1 404 ") != 1 {
			t.Fatalf("answer %d: got %q", i, got)
		} else if i == 99 && !strings.Contains(got, "HTTP/1.1 200 ") {
			t.Errorf("the last one got %q", got)
		}
	}
	st.wantsParked(0)
}

// Nobody is told to send a body before it is known to whom.
func TestContinueIsNotSaidBeforeTheRouteIsKnown(t *testing.T) {
	t.Parallel()
	st, r := looking(t, newStage(t), 10)
	e := st.send("POST /look/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	st.pass(1900*time.Millisecond, 100*time.Millisecond, nil)
	st.wantsSilence(e)
	r.lookups[0].answer()
	st.settle()
	backend := st.accept()
	if got := string(backend.Read()); !strings.Contains(got, "Expect: 100-continue") {
		t.Errorf("the backend got %q", got)
	}
	st.wantsSilence(e)
	backend.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	st.settle()
	if got := string(e.Read()); got != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Errorf("got %q", got)
	}
	st.write(e, "123")
	backend.Write([]byte(okAnswer))
	st.settle()
	if got := string(backend.Read()); got != "123" {
		t.Errorf("the backend got %q", got)
	}
	st.wants(e, 200, "ok", false)
}

// A reload changes nothing for who waits; afterwards the old snapshot is let go.
func TestAReloadChangesNothingForWhoWaits(t *testing.T) {
	t.Parallel()
	st, r := looking(t, newStage(t), 10)
	old := weak.Make(&st.server.current.Load().views[0])
	e := st.send(getLook)
	now := *st.server.Snapshot()
	now.Resolver = simResolver{} // knows nothing of look-ups
	now.Backends = append([]Backend(nil), now.Backends...)
	now.Backends[0].Name = "other"
	st.server.Swap(&now)
	runtime.GC()
	if old.Value() == nil {
		t.Fatal("the snapshot is gone while somebody waits for it")
	}
	r.lookups[0].answer()
	st.settle()
	backend := st.accept()
	if got := string(backend.Read()); !strings.HasPrefix(got, "GET /a ") || r.resumed != 1 {
		t.Errorf("the backend got %q, resumed %d times", got, r.resumed)
	}
	backend.Write([]byte(okAnswer))
	st.settle()
	st.wants(e, 200, "ok", false)
	r.lookups = nil
	for range 20 {
		if runtime.GC(); old.Value() == nil {
			return
		}
		st.pass(10*time.Second, time.Second, nil)
	}
	t.Error("the old snapshot is kept")
}

func TestDrainAnswersWhoWaitsForALookup(t *testing.T) {
	t.Parallel()
	st, r := looking(t, newStage(t), 10)
	heard, cut := st.send("GET /look/own HTTP/1.1\r\nHost: a\r\n\r\n"), st.send(getLook)
	st.drain()
	st.wantsSilence(heard)
	r.lookups[0].answer()
	st.settle()
	st.wants(heard, 404, "own", true)
	st.server.nodes[0].cut()
	late := r.lookups[1]
	st.settle()
	st.wants(cut, 503, "draining", true)
	st.wantsParked(0)
	late.done() // the gateway has ended
}

// What is kept of a request that waits is no more than may be.
func TestLittleIsKeptOfWhoWaitsForALookup(t *testing.T) {
	t.Parallel()
	st, r := looking(t, newStage(t), 10)
	st.net.SetCapacity(256 << 10)
	e := st.net.Dial(simFrom, simFront)
	const head, size = "POST /look/b HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", 1_000_000
	message := []byte(head + strings.Repeat("x", size))
	sent := 0
	for range 10 {
		sent += e.Write(message[sent:])
		st.settle()
	}
	if taken := sent - (st.net.Capacity() - e.Room()); taken > exchange.MaxHeld {
		t.Errorf("%d octets are kept, want %d at most", taken, exchange.MaxHeld)
	}
	st.wantsParked(1)
	r.lookups[0].answer()
	st.settle()
	backend, got := st.accept(), 0
	for range 100 {
		st.settle()
		got += len(backend.Read())
		if sent < len(message) {
			sent += e.Write(message[sent:])
		}
	}
	if got < size {
		t.Errorf("the backend got %d octets, want the body's %d", got, size)
	}
	backend.Write([]byte(okAnswer))
	st.settle()
	st.wants(e, 200, "ok", false)
}

// Over HTTP/2 a window may hold more than may be kept: that request is told to come again.
func TestTooMuchToKeepOverHTTP2IsRefused(t *testing.T) {
	t.Parallel()
	st, r := looking(t, newH2Stage(t), 200)
	c := st.h2()
	large, small := c.request("POST /look/own", false), c.request("POST /look/own", false)
	c.flush()
	st.wantsParked(2)
	for range 4 {
		_ = c.framer.WriteData(large, false, make([]byte, 16_000))
	}
	_ = c.framer.WriteData(small, false, make([]byte, 1000))
	c.flush()
	st.wantsParked(2)
	_ = c.framer.WriteData(large, false, make([]byte, 1530))
	c.flush()
	st.wantsParked(1)
	c.wants(large, "503", "registry_unavailable")
	r.lookups[1].answer()
	st.settle()
	c.flush()
	c.wants(small, "404", "own")
}

// Before a request begins, what has come of the one before is used, which may end that; the connection is busy all the same, once.
func TestARequestThatEndsAsTheNextBeginsLeavesNothingCounted(t *testing.T) {
	t.Parallel()
	st, _ := looking(t, newH2Stage(t), 200)
	c := st.h2()
	large := c.request("POST /look/own", false)
	for range 4 {
		_ = c.framer.WriteData(large, false, make([]byte, 16_000))
	}
	c.flush()
	st.wantsParked(1)
	_ = c.framer.WriteData(large, false, make([]byte, 1530))
	next := c.request("GET /look/own", true)
	c.flush()
	c.wants(large, "503", "registry_unavailable")
	st.wantsParked(1)
	if _, active := st.server.nodes[0].host.Count(); active != 1 {
		t.Errorf("%d connections count as busy, want one", active)
	}
	_ = c.framer.WriteRSTStream(next, http2.ErrCodeCancel)
	c.flush()
	if _, active := st.server.nodes[0].host.Count(); active != 0 {
		t.Errorf("%d connections count as busy, want none", active)
	}
}

// A client that resets what it asks as fast as it can leaves nothing behind, and is slowed down.
func TestRapidResetOfLookups(t *testing.T) {
	t.Parallel()
	st, r := looking(t, newH2Stage(t), 1000)
	c := st.h2()
	for range 20 {
		for range 50 {
			id := c.request("GET /look/own", true)
			_ = c.framer.WriteRSTStream(id, http2.ErrCodeCancel)
		}
		c.out.Next(c.end.Write(c.out.Bytes()))
		st.settle()
	}
	if n := len(r.lookups); n > 500 {
		t.Errorf("%d look-ups were begun of 1000 that nobody waits for", n)
	}
	for c.out.Len() > 0 {
		c.out.Next(c.end.Write(c.out.Bytes()))
		st.settle()
	}
	st.pass(time.Second, 10*time.Millisecond, nil)
	st.wantsParked(0)
	for i, l := range r.lookups {
		if !l.cancelled {
			t.Fatalf("look-up %d was not told", i)
		}
	}
}

// A hundred streams of a connection wait, and end with it.
func TestStreamsThatWaitEndWithTheirConnection(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(farEnd){"reset": farEnd.Reset, "FIN": farEnd.Close} {
		st, _ := looking(t, newH2Stage(t), 1000)
		c := st.h2()
		for range 100 {
			c.request("GET /look/own", true)
		}
		c.flush()
		st.wantsParked(100)
		leave(c.end)
		st.settle()
		if st.server.parking.taken.Load() != 0 {
			t.Errorf("%s: %d wait", name, st.server.parking.taken.Load())
		}
	}
}

// When memory is short nobody may begin to wait.
func TestNobodyWaitsForALookupWhenMemoryIsShort(t *testing.T) {
	t.Parallel()
	st, r := looking(t, pressed(t), 10)
	e := st.send("")
	e.Write([]byte("GET "))
	st.settle()
	st.uses(900)
	st.write(e, "/look/a HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := string(e.Read()); !strings.HasPrefix(got, "HTTP/1.1 503 ") || len(r.lookups) > 0 {
		t.Errorf("got %q, %d looked up", got, len(r.lookups))
	}
}

// Of a crowd whose wait ends at once, a few are answered before whoever asks meanwhile for what is known.
func TestACrowdThatHasWaitedHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	const crowd = 200
	st, r := looking(t, newStage(t), crowd)
	var waiting []*simsys.End
	for range crowd {
		waiting = append(waiting, st.send("GET /look/own HTTP/1.1\r\nHost: a\r\n\r\n"))
	}
	other := st.send("GET /own/page HTTP/1.1\r\nHost: a\r\n\r\n")
	st.wants(other, 200, "own", false)
	st.wantsParked(crowd)
	for _, l := range r.lookups {
		l.answer()
	}
	other.Write([]byte("GET /own/page HTTP/1.1\r\nHost: a\r\n\r\n"))
	turns := 0
	for answered := ""; answered == "" && turns < 10; turns++ {
		st.server.nodes[0].loop.Turn()
		answered = string(other.Read())
	}
	if left := st.server.parking.taken.Load(); turns == 10 || left < crowd*9/10 {
		t.Errorf("answered in turn %d, when %d of %d still waited", turns, left, crowd)
	}
	for st.server.parking.taken.Load() > 0 {
		before := st.server.parking.taken.Load()
		if st.server.nodes[0].loop.Turn(); st.server.parking.taken.Load() == before {
			t.Fatalf("a turn answered none of %d", before)
		}
	}
	st.settle()
	for _, e := range waiting {
		st.wants(e, 404, "own", false)
	}
}

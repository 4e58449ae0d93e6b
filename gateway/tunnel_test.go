// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
	"github.com/pvgate/pvgate/gateway/reason"
)

// The life of a tunnel, on the simulated kernel.

// tunnel opens one and returns both ends, with nothing left to read.
func (st *stage) tunnel() (client, backend *simsys.End) {
	st.t.Helper()
	client = st.send(askSocket)
	backend = st.accept()
	if got := string(backend.Read()); !strings.Contains(got, offered) {
		st.t.Fatalf("the backend got %q", got)
	}
	st.write(backend, agree)
	if got := string(client.Read()); !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.Contains(got, accepted) ||
		!strings.Contains(got, offered) || !strings.HasSuffix(got, "\r\n\r\n") {
		st.t.Fatalf("the client got %q", got)
	}
	return client, backend
}

// ended fails unless the only tunnel has ended that way and nothing is left of it.
func (st *stage) ended(how exchange.TunnelEnd) {
	st.t.Helper()
	st.settle()
	m := &st.server.nodes[0].meter
	if m.Tunnels[how] != 1 || m.Codes[exchange.HTTP1][101] != 1 || m.Backends[0].Requests[1] != 1 {
		st.t.Errorf("tunnels that ended %v, answers with 101 %d, by class %v; want one %v", m.Tunnels, m.Codes[exchange.HTTP1][101], m.Backends[0].Requests, how)
	}
	st.noneTaken(how.String())
	if n := st.server.nodes[0].loop.Stats(); st.net.Owned() != 0 || n.Streams != 0 || n.Lent != 0 {
		st.t.Errorf("%d sockets, %d streams, %d buffers are left", st.net.Owned(), n.Streams, n.Lent)
	}
}

// metered returns the octets counted so far, from the client and from the backend.
func (st *stage) metered() [2]uint64 {
	b := &st.server.nodes[0].meter.Backends[0]
	return [2]uint64{b.BytesIn, b.BytesOut}
}

func TestUP03TunnelPassesOctetsAndCountsThemAsTheyPass(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	c, b := st.tunnel()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	up := string(all) + "GET / HTTP/1.1\r\n\r\n0\r\n\r\n"
	down := "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + string(all) + "\r\n\r\n"
	st.write(c, up)
	st.write(b, down)
	if got := string(b.Read()); got != up {
		t.Errorf("the backend got %q, want %q", got, up)
	}
	if got := string(c.Read()); got != down {
		t.Errorf("the client got %q, want %q", got, down)
	}
	if got, want := st.metered(), [2]uint64{uint64(len(up)), uint64(len(down))}; got != want {
		t.Errorf("metered %v while it is open, want %v", got, want)
	}
	st.write(c, "!")
	c.CloseWrite()
	st.settle()
	b.Read()
	b.Close()
	st.ended(exchange.TunnelFinished)
	if got, want := st.metered(), [2]uint64{uint64(len(up)) + 1, uint64(len(down))}; got != want {
		t.Errorf("metered %v after its end, want %v", got, want)
	}
	if n := st.server.nodes[0].meter.Overhead[exchange.HTTP1].Sum; n > int64(time.Second) {
		t.Errorf("its life of %v is counted as our overhead", time.Duration(n))
	}
}

func TestTunnelIsHalfClosedEachWay(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"client", "backend"} {
		st := newStage(t)
		c, b := st.tunnel()
		one, other := c, b
		if first == "backend" {
			one, other = b, c
		}
		st.write(one, "last")
		one.CloseWrite()
		st.settle()
		if got := string(other.Read()); got != "last" || !other.EOF() || other.Broken() {
			t.Errorf("%s first: got %q, ended %v, broken %v", first, got, other.EOF(), other.Broken())
		}
		for range 3 {
			st.pass(15*time.Second, time.Second, nil)
			st.write(other, "still")
			if got := string(one.Read()); got != "still" || one.EOF() {
				t.Errorf("%s first: got %q, ended %v", first, got, one.EOF())
			}
		}
		other.CloseWrite()
		st.settle()
		if !one.EOF() || one.Broken() {
			t.Errorf("%s first: ended %v, broken %v", first, one.EOF(), one.Broken())
		}
		st.ended(exchange.TunnelFinished)
	}
}

// What was sent before a FIN arrives before it, however slowly it is taken.
func TestTunnelFinishesAfterWhatWasSent(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"client", "backend", "client last", "backend last"} {
		st := newStage(t)
		c, b := st.tunnel()
		one, other := c, b
		if strings.HasPrefix(first, "backend") {
			one, other = b, c
		}
		if strings.HasSuffix(first, "last") { // the other side has finished already
			other.CloseWrite()
			st.settle()
		}
		sent := bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16)
		var got []byte
		for left := sent; len(left) > 0 || !other.EOF(); {
			n := one.Write(left)
			if left = left[n:]; len(left) == 0 {
				one.CloseWrite()
			}
			st.settle()
			if n == 0 {
				piece := other.Read()
				got = append(got, piece...)
				st.settle()
				if len(piece) == 0 && n == 0 && other.EOF() {
					break
				}
			}
		}
		got = append(got, other.Read()...)
		if !bytes.Equal(got, sent) || other.Broken() {
			t.Errorf("%s: %d of %d octets arrived, broken %v", first, len(got), len(sent), other.Broken())
		}
		other.CloseWrite()
		st.ended(exchange.TunnelFinished)
	}
}

func TestUP03TunnelThatIsSilentEnds(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	c, b := st.tunnel()
	for i := range 8 { // an octet either way keeps it
		st.pass(19*time.Second, time.Second, nil)
		st.write([]*simsys.End{c, b}[i%2], "ping")
		if got := string([]*simsys.End{b, c}[i%2].Read()); got != "ping" {
			t.Fatalf("after %d: got %q", i, got)
		}
	}
	st.pass(19500*time.Millisecond, 500*time.Millisecond, nil)
	st.wantsSilence(c)
	st.pass(time.Second, 100*time.Millisecond, nil)
	if !c.Broken() || !b.Broken() {
		t.Errorf("client broken %v, backend broken %v: an end that looks like theirs", c.Broken(), b.Broken())
	}
	st.ended(exchange.TunnelIdle)
}

func TestUP03TunnelEndsWhenItsLifeIsOver(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	c, b := st.tunnel()
	talk := func() {
		c.Write([]byte("a"))
		b.Write([]byte("b"))
		c.Read()
		b.Read()
	}
	st.pass(10*time.Minute-time.Second, time.Second, talk)
	if c.EOF() || b.EOF() {
		t.Fatal("ended too soon")
	}
	st.pass(2*time.Second, 100*time.Millisecond, talk)
	if !c.Broken() || !b.Broken() {
		t.Errorf("client broken %v, backend broken %v", c.Broken(), b.Broken())
	}
	st.ended(exchange.TunnelLife)
}

// RS-02: who sends an octet now and then holds a tunnel no longer than its life; who takes none is left sooner.
func TestRS02PeerThatTakesNothingIsLeft(t *testing.T) {
	t.Parallel()
	for _, slow := range []string{"client", "backend"} {
		st := newStage(t)
		c, b := st.tunnel()
		from, to, want := b, c, exchange.TunnelClient
		within := 32 * time.Second
		if slow == "backend" {
			from, to, want, within = c, b, exchange.TunnelBackend, 62*time.Second
		}
		for range 100 { // more than all buffers take
			from.Write(bytes.Repeat([]byte("x"), 4<<10))
			st.settle()
		}
		if n := st.server.nodes[0].loop.Stats().Lent; n > 1 {
			t.Errorf("%s: %d buffers wait for it", slow, n)
		}
		st.pass(within-4*time.Second, time.Second, nil)
		if to.EOF() && to.Broken() {
			t.Errorf("%s: left too soon", slow)
		}
		st.pass(4*time.Second, time.Second, nil)
		if !to.Broken() || !from.Broken() {
			t.Errorf("%s: broken %v, other side %v", slow, to.Broken(), from.Broken())
		}
		st.ended(want)
	}
}

// Octets that are being taken are no silence, though nobody says anything more meanwhile.
func TestUP03TunnelIsNotSilentWhileOctetsAreTaken(t *testing.T) {
	t.Parallel()
	for _, slow := range []string{"client", "backend"} {
		st := newStage(t)
		const full = 16 << 10 // what a kernel's buffer holds, and what is read at a time
		st.net.SetCapacity(full)
		c, b := st.tunnel()
		from, to := b, c
		if slow == "backend" {
			from, to = c, b
		}
		st.write(from, strings.Repeat("x", 2*full)) // half of it has to wait
		got := 0
		st.pass(50*time.Second, time.Second, func() { got += len(to.Take(300)) })
		if from.EOF() || got != 50*300 {
			t.Errorf("%s: ended %v after %d octets", slow, from.EOF(), got)
		}
		got += len(to.Read())
		st.settle()
		got += len(to.Read())
		st.pass(19500*time.Millisecond, 500*time.Millisecond, nil)
		if from.EOF() || got != 2*full {
			t.Errorf("%s: ended %v, too soon after the last of %d octets", slow, from.EOF(), got)
		}
		st.pass(time.Second, 100*time.Millisecond, nil)
		if !c.Broken() || !b.Broken() {
			t.Errorf("%s: client broken %v, backend broken %v after a silence", slow, c.Broken(), b.Broken())
		}
		st.ended(exchange.TunnelIdle)
	}
}

func TestTunnelHoldsBackTheFasterSide(t *testing.T) {
	t.Parallel()
	for _, slow := range []string{"client", "backend"} {
		st := newStage(t)
		c, b := st.tunnel()
		from, to := b, c
		if slow == "backend" {
			from, to = c, b
		}
		sent, got := 0, 0
		for range 400 {
			sent += from.Write(bytes.Repeat([]byte("x"), 4<<10))
			st.settle()
		}
		// Both kernel buffers, one read that waits and what the next has in flight.
		if most := 2*st.net.Capacity() + 2*64<<10; sent > most {
			t.Errorf("%s: %d octets were taken, at most %d have room", slow, sent, most)
		}
		from.Read()
		st.write(to, "other way") // is not held up
		if got := string(from.Read()); got != "other way" {
			t.Errorf("%s: got %q", slow, got)
		}
		for range 1000 {
			got += len(to.Read())
			st.settle()
		}
		if got != sent {
			t.Errorf("%s: %d of %d octets arrived", slow, got, sent)
		}
	}
}

func TestTunnelBreaksForBothWhenOneIsReset(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"client", "backend"} {
		st := newStage(t)
		c, b := st.tunnel()
		one, other, want := c, b, exchange.TunnelClient
		if who == "backend" {
			one, other, want = b, c, exchange.TunnelBackend
		}
		one.Write([]byte("a"))
		one.Reset()
		st.settle()
		if !other.Broken() {
			t.Errorf("%s: the other side is not told", who)
		}
		st.ended(want)
		failures := st.server.nodes[0].meter.Backends[0].Failures
		if n := failures[reason.ResponseIncomplete]; (n == 1) != (who == "backend") {
			t.Errorf("%s: %d failures of the backend", who, n)
		}
	}
}

// A backend that has finished and closed does not take what the client still sends; the client gets all that was sent
// before, and a clean end.
func TestTunnelOfABackendThatClosedEndsCleanly(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	c, b := st.tunnel()
	st.write(b, "bye")
	b.Close()
	st.settle()
	st.write(c, "too late")
	st.settle()
	st.write(c, "too late again")
	st.settle()
	if got := string(c.Read()); got != "bye" || !c.EOF() || c.Broken() {
		t.Errorf("got %q, ended %v, broken %v", got, c.EOF(), c.Broken())
	}
	c.Close()
	st.ended(exchange.TunnelFinished)
}

func TestClientThatFinishedBeforeThe101IsServed(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send(askSocket + "held")
	e.CloseWrite()
	b := st.accept()
	b.Read()
	st.write(b, agree+"answer")
	if got := string(b.Read()); got != "held" || !b.EOF() || b.Broken() {
		t.Errorf("the backend got %q, ended %v, broken %v", got, b.EOF(), b.Broken())
	}
	if got := string(e.Read()); !strings.HasSuffix(got, "\r\n\r\nanswer") {
		t.Errorf("the client got %q", got)
	}
	b.Close()
	st.settle()
	if !e.EOF() || e.Broken() {
		t.Errorf("ended %v, broken %v", e.EOF(), e.Broken())
	}
	st.ended(exchange.TunnelFinished)
}

func TestClientThatLeftBeforeThe101(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send(askSocket)
	b := st.accept()
	b.Read()
	e.Reset()
	st.settle()
	if !b.Broken() {
		t.Error("the backend is asked on")
	}
	st.noneTaken("left")
	if n := st.server.nodes[0].meter.Codes[exchange.HTTP1][499]; n != 1 {
		t.Errorf("%d counted as left, want 1", n)
	}
}

func TestUP03TunnelsHaveTheirOwnPlaces(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	state := st.limited(limit.Limits{InFlight: 1, Tunnels: 2})
	c1, b1 := st.tunnel()
	st.tunnel()
	// They take no place of a request's.
	st.kept()
	st.wants(st.send(askSocket), 503, "backend_busy", false)
	if u := state.Usage(0); u.Tunnels != 2 || u.InFlight != 0 || u.BusyRefused != 1 {
		t.Errorf("usage %+v", u)
	}
	c1.Close()
	b1.Close()
	st.settle()
	st.tunnel()
	if n := st.server.nodes[0].host.Tunnels(); n != 2 {
		t.Errorf("%d tunnels, want 2", n)
	}
}

func TestUP03TunnelsOfTheProcessAreBounded(t *testing.T) {
	t.Parallel()
	st := newStageWith(t, func(o *Options) { o.MaxTunnels = 1 })
	c, _ := st.tunnel()
	e := st.send(askSocket)
	st.wants(e, 503, "local_resource", false)
	c.Reset()
	st.settle()
	st.tunnel()
	st.write(e, ownA)
	st.wants(e, 404, "own", false)
}

func TestUP03DrainGivesTunnelsAGrace(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	c, b := st.tunnel()
	again := func() { st.server.nodes[0].host.Drain() }
	st.drain()
	st.pass(9*time.Second, time.Second, again)
	st.write(c, "a")
	st.write(b, "b")
	if string(b.Read()) != "a" || string(c.Read()) != "b" {
		t.Error("draining has stopped a tunnel at once")
	}
	st.pass(2*time.Second, 100*time.Millisecond, again)
	if !c.Broken() || !b.Broken() {
		t.Errorf("client broken %v, backend broken %v after the grace", c.Broken(), b.Broken())
	}
	st.ended(exchange.TunnelDraining)
	if open, _ := st.server.nodes[0].host.Count(); open != 0 {
		t.Errorf("%d connections are left", open)
	}
}

// The deadline of a drain ends tunnels too, those that stand in the middle of something included.
func TestUP03DrainDeadlineBreaksTunnels(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	c, b := st.tunnel()
	for range 100 { // the client takes nothing
		b.Write(bytes.Repeat([]byte("x"), 4<<10))
		st.settle()
	}
	pending := st.send(askSocket) // offered, not yet answered
	p := st.accept()
	st.drain()
	st.server.nodes[0].cut()
	st.settle()
	if !c.Broken() || !b.Broken() || !p.Broken() {
		t.Errorf("client broken %v, backends broken %v %v", c.Broken(), b.Broken(), p.Broken())
	}
	st.wants(pending, 503, "draining", true)
	st.ended(exchange.TunnelDraining)
}

func TestDrainOffersNoTunnel(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	e := st.send("")
	st.drain()
	st.write(e, askSocket)
	b := st.accept()
	if got := string(b.Read()); strings.Contains(got, "Upgrade") {
		t.Errorf("the backend got %q", got)
	}
	st.write(b, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
	st.wants(e, 426, "Connection: close", true)
}

// A tunnel outlives the snapshot under which it began, and does not keep it.
func TestTunnelPinsNoSnapshot(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	type big struct {
		simResolver
		_ [1 << 16]byte // no small object, which would share its place
	}
	old := *st.server.Snapshot()
	r := new(big)
	old.Resolver = r
	held := weak.Make(r)
	st.server.Swap(&old)
	c, b := st.tunnel()
	st.server.Swap(&Snapshot{Resolver: simResolver{}, Via: old.Via, Backends: old.Backends})
	old.Resolver = nil
	for range 50 {
		runtime.GC()
		if held.Value() == nil {
			break
		}
	}
	if held.Value() != nil {
		t.Error("the resolver of the snapshot before is still held")
	}
	st.write(c, "a")
	if got := string(b.Read()); got != "a" {
		t.Errorf("got %q", got)
	}
	st.server.Swap(&Snapshot{Resolver: simResolver{}, Via: "other"}) // its backend is gone, and its pools are closed
	st.settle()
	st.write(b, "b")
	if got := string(c.Read()); got != "b" {
		t.Errorf("got %q", got)
	}
	c.Close()
	b.Close()
	st.settle()
	if n := st.server.nodes[0].meter.Tunnels[exchange.TunnelFinished]; n != 1 || st.net.Owned() != 0 {
		t.Errorf("%d ended, %d sockets are left", n, st.net.Owned())
	}
}

func TestTunnelTakesTurns(t *testing.T) {
	t.Parallel()
	st := newStage(t)
	st.net.SetCapacity(1 << 20)
	c, b := st.tunnel()
	c.Write(make([]byte, 1<<20))
	l := st.server.nodes[0].loop
	got := 0
	for range 100 {
		l.Turn()
		n := len(b.Read())
		if got += n; n > 2*64<<10 { // once for its event, once from the ready list
			t.Fatalf("%d octets in one turn", n)
		}
	}
	if got != 1<<20 {
		t.Errorf("%d octets arrived, want %d", got, 1<<20)
	}
}

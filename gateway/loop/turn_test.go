// SPDX-License-Identifier: EUPL-1.2

package loop_test

import (
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// scribe is an owner that notes what it is told.
type scribe struct {
	stream         loop.Stream
	readable       func(*scribe)
	spoke, left    int
	stuck          int
	drained, ended int
}

func (c *scribe) Connected(syscall.Errno) {}
func (c *scribe) Drained()                { c.drained++ }
func (c *scribe) Stuck()                  { c.stuck++ }
func (c *scribe) Spoke()                  { c.spoke++ }
func (c *scribe) Left()                   { c.left++ }
func (c *scribe) Broken()                 { c.ended++ }
func (c *scribe) Expire(int64)            {}
func (c *scribe) Readable() {
	if c.readable != nil {
		c.readable(c)
	}
}

// room is a loop with as many accepted connections, each of which does what readable says.
func room(t *testing.T, net *simsys.Net, o loop.Options, connections int, readable func(*scribe)) (l *loop.Loop, ends []*simsys.End, at []*scribe) {
	t.Helper()
	here := netip.MustParseAddrPort("10.0.0.1:80")
	l = loop.New(o)
	_, err := l.Listen(net.LoopSocket(here), func(*loop.Loop) loop.Accepted {
		return func(l *loop.Loop, fd int32, peer netip.AddrPort) {
			c := &scribe{readable: readable}
			at = append(at, c)
			l.Adopt(fd, peer, &c.stream, c)
		}
	})
	if err != 0 {
		t.Fatal(err)
	}
	for range connections {
		ends = append(ends, net.Dial(netip.MustParseAddrPort("192.0.2.1:1"), here))
		for range 3 {
			l.Turn()
		}
	}
	return l, ends, at
}

// desk is a room with one.
func desk(t *testing.T, readable func(*scribe)) (*simsys.Net, *loop.Loop, *simsys.End, *scribe) {
	t.Helper()
	net := simsys.New(1, simsys.Faults{})
	l, ends, at := room(t, net, loop.Options{Kernel: net.Kernel()}, 1, readable)
	return net, l, ends[0], at[0]
}

func TestWhatATurnWritesLeavesTogetherAtItsEnd(t *testing.T) {
	t.Parallel()
	var during string
	var end *simsys.End
	_, l, end, _ := desk(t, func(c *scribe) {
		var b [16]byte
		if _, st := c.stream.Read(b[:]); st != loop.Data {
			return
		}
		c.stream.Write([]byte("one "))
		c.stream.Give(append(c.stream.Loop().Buffer(8), "two "...))
		c.stream.Write([]byte("three"))
		during += string(end.Read())
	})
	end.Write([]byte("go"))
	l.Turn()
	if got := string(end.Read()); got != "one two three" || during != "" {
		t.Errorf("during the turn %q, after it %q", during, got)
	}
}

func TestFullKernelIsToldAndDrains(t *testing.T) {
	t.Parallel()
	net, l, end, c := desk(t, func(c *scribe) {
		var b [16]byte
		if _, st := c.stream.Read(b[:]); st == loop.Data {
			c.stream.Write(make([]byte, 1000))
			if c.stream.Pending() != 0 {
				t.Error("what waits for the end of the turn is no backlog")
			}
		}
	})
	net.SetCapacity(100)
	end.Write([]byte("go"))
	l.Turn()
	if c.stuck != 1 || c.stream.Pending() == 0 {
		t.Fatalf("stuck %d times, %d pending", c.stuck, c.stream.Pending())
	}
	got := 0
	for range 50 {
		got += len(end.Read())
		l.Turn()
	}
	if got += len(end.Read()); got != 1000 || c.drained != 1 || c.stream.Pending() != 0 {
		t.Errorf("%d bytes, drained %d times, %d pending", got, c.drained, c.stream.Pending())
	}
}

func TestGuardHoldsBackWhatAnEarlyPeerMustNotGet(t *testing.T) {
	t.Parallel()
	for _, early := range []string{"", "data", "end"} {
		net, l, end, c := desk(t, func(c *scribe) {
			if c.spoke == 0 {
				_, _ = c.stream.Read(make([]byte, 1)) // nothing: only then is it silent
			}
		})
		var sent bool
		l.Post(func() {
			sent = true
			c.stream.Guard(c, false)
			c.stream.Write([]byte("request"))
		})
		net.Midturn = func() {
			switch early {
			case "data":
				end.Write([]byte("surplus"))
			case "end":
				end.CloseWrite()
			}
		}
		l.Turn()
		got, wantSpoke, want := string(end.Read()), 1, ""
		if early == "" {
			wantSpoke, want = 0, "request"
		}
		if !sent || got != want || c.spoke != wantSpoke {
			t.Errorf("early %q: sent %q, warned %d times", early, got, c.spoke)
		}
	}
}

// Of what the kernel has refused whole nothing has left: the peer must still be silent when it is tried again.
func TestGuardHoldsOnWhenTheKernelRefusesAll(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		peer    func(end *simsys.End)
		midturn func(end *simsys.End)
		speaks  bool
	}{
		"makes room":                    {peer: func(end *simsys.End) { end.Read() }},
		"speaks":                        {peer: func(end *simsys.End) { end.Write([]byte("surplus")) }, speaks: true},
		"ends":                          {peer: (*simsys.End).CloseWrite, speaks: true},
		"resets":                        {peer: (*simsys.End).Reset, speaks: true},
		"makes room and speaks":         {peer: func(end *simsys.End) { end.Read(); end.Write([]byte("surplus")) }, speaks: true},
		"makes room and then it speaks": {peer: func(end *simsys.End) { end.Read() }, midturn: func(end *simsys.End) { end.Write([]byte("surplus")) }, speaks: true},
	} {
		net, l, ends, who := salon(t, 1)
		end, at := ends[0], who[0]
		early := false
		at.readable = func(s *scribe) { early = s.heard() && s.spoke == 0 }
		net.SetCapacity(100)
		l.Post(func() { at.stream.Write(make([]byte, 100)) })
		l.Turn()
		at.ask(false)
		if l.Turn(); at.stuck != 1 || at.left+at.spoke > 0 {
			t.Fatalf("%s: stuck %d times, left %d, warned %d", what, at.stuck, at.left, at.spoke)
		}
		c.peer(end)
		if c.midturn != nil {
			net.Midturn = func() { c.midturn(end) }
		}
		for range 3 {
			l.Turn()
		}
		got := string(end.Read())
		if (at.spoke == 1) != c.speaks || (at.left == 1) == c.speaks || strings.Contains(got, "request") == c.speaks || early {
			t.Errorf("a peer %s: warned %d times, left %d, got %q, taken for an answer %v", what, at.spoke, at.left, got, early)
		}
	}
}

// The guard is told once that it is over, with the first octets that the kernel takes, whatever makes them leave.
func TestGuardIsToldWhatHasLeft(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		write int
		flush bool
	}{"at the end": {write: 10}, "in parts": {write: 1000}, "at once": {write: 10, flush: true}, "much": {write: 20 << 10}} {
		net, l, ends, who := salon(t, 1)
		end, at := ends[0], who[0]
		net.SetCapacity(100)
		early := 0
		l.Post(func() {
			at.stream.Guard(at, false)
			at.stream.Write(make([]byte, c.write))
			if c.flush {
				at.stream.Flush()
			}
			early = at.left
		})
		l.Turn()
		if want := c.flush || c.write > 1000; (early == 1) != want || at.left != 1 {
			t.Errorf("%s: told %d times before the turn's end, %d by then", what, early, at.left)
		}
		for end.Read() != nil {
			l.Turn()
		}
		if at.left != 1 || at.spoke != 0 {
			t.Errorf("%s: told %d times in all, warned %d times", what, at.left, at.spoke)
		}
	}
}

func TestClosingSendsWhatIsHeldAndResettingDoesNot(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]string{"close": "last words", "shut": "last words", "reset": ""} {
		_, l, end, c := desk(t, nil)
		l.Post(func() {
			c.stream.Write([]byte("last words"))
			switch what {
			case "close":
				c.stream.Close()
			case "shut":
				c.stream.CloseWrite()
			default:
				c.stream.Reset()
			}
		})
		l.Turn()
		if got := string(end.Read()); got != want || !end.EOF() {
			t.Errorf("%s: got %q, ended %v", what, got, end.EOF())
		}
	}
}

func TestPostDuringATurnThatWritesIsNotSleptOver(t *testing.T) {
	t.Parallel()
	net := simsys.New(1, simsys.Faults{})
	k := net.Kernel()
	l, ends, _ := room(t, net, loop.Options{Kernel: k}, 1, func(c *scribe) {
		var b [16]byte
		if _, st := c.stream.Read(b[:]); st == loop.Data {
			c.stream.Guard(c, false)
			c.stream.Write([]byte("request"))
			c.stream.Loop().Post(func() {})
		}
	})
	ends[0].Write([]byte("go"))
	l.Turn() // its look before it sends takes the wake-up of the post
	l.Turn()
	if k.Sleep() != 0 {
		t.Errorf("with a message in the box the loop would sleep %v", k.Sleep())
	}
}

// salon is a room where reports come in the order in which they happened, and everybody listens.
func salon(t *testing.T, connections int) (*simsys.Net, *loop.Loop, []*simsys.End, []*scribe) {
	t.Helper()
	net := simsys.New(1, simsys.Faults{})
	net.Order = true
	o := loop.Options{Kernel: net.Kernel(), Panic: func(any, []byte) {}}
	l, ends, at := room(t, net, o, connections, func(c *scribe) { c.heard() })
	return net, l, ends, at
}

// heard reads what has come, and reports whether something has.
func (c *scribe) heard() bool {
	var b [16]byte
	_, st := c.stream.Read(b[:])
	return st == loop.Data
}

// Of few reports what the first makes somebody write has left when the second is served; of more it waits for all, and so it does
// if whoever writes gathers what a turn brings, or if whoever it is for has something to say already.
func TestOfFewReportsEachIsServedToItsEnd(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		connections int
		gathers     bool
		speaks      bool // the one that is written to
		want        string
	}{
		"two":                  {connections: 3, want: "text"},
		"few":                  {connections: 9, want: "text"},
		"many":                 {connections: 10},
		"gathers":              {connections: 3, gathers: true},
		"has something to say": {connections: 3, speaks: true},
	} {
		_, l, ends, at := salon(t, c.connections)
		told := ends[2]
		at[0].readable = func(from *scribe) {
			if !from.heard() {
				return
			}
			if to := &at[2].stream; c.gathers {
				to.AtEnd(&filler{to})
			} else {
				to.Write([]byte("text"))
			}
		}
		second := false
		at[1].readable = func(from *scribe) {
			if !from.heard() {
				return
			}
			second = true
			if got := string(told.Read()); got != c.want {
				t.Errorf("%s: when the second is served %q has left, want %q", what, got, c.want)
			}
		}
		for i, e := range ends {
			if i != 2 || c.speaks {
				e.Write([]byte("go"))
			}
		}
		l.Turn()
		if rest := string(told.Read()); !second || c.want+rest != "text" {
			t.Errorf("%s: served %v, and %q has left at the turn's end", what, second, rest)
		}
	}
}

// Whoever was written to and has closed since keeps nobody waiting.
func TestWhoHasClosedHoldsNothingBack(t *testing.T) {
	t.Parallel()
	_, l, ends, at := salon(t, 4)
	at[0].readable = func(from *scribe) {
		if from.heard() { // and there is an end to be heard still
			from.stream.Write([]byte("bye"))
			from.stream.Close()
			at[3].stream.Write([]byte("text"))
		}
	}
	left := ""
	at[1].readable = func(from *scribe) {
		if from.heard() {
			left = string(ends[3].Read())
		}
	}
	ends[0].Write([]byte("go"))
	ends[0].CloseWrite()
	ends[1].Write([]byte("go"))
	if l.Turn(); left != "text" {
		t.Errorf("when the second is served %q has left", left)
	}
}

// A broken invariant lets nothing leave that is held back.
func TestAPanicSendsNothingEarlier(t *testing.T) {
	t.Parallel()
	_, l, ends, at := salon(t, 3)
	at[0].readable = func(from *scribe) {
		if from.heard() {
			at[2].stream.Write([]byte("the rest of a request"))
		}
	}
	at[1].readable = func(from *scribe) {
		if from.heard() {
			panic("broken")
		}
	}
	held := false
	at[2].readable = func(from *scribe) {
		if from.heard() {
			held = from.stream.Held()
		}
	}
	for _, e := range ends {
		e.Write([]byte("go"))
	}
	if l.Turn(); !held {
		t.Error("the rest has left before the answer that had come was heard")
	}
}

// filler writes at the turn's end.
type filler struct{ to *loop.Stream }

func (f *filler) Fill() { f.to.Write([]byte("text")) }

// What is served to its end is watched no less: a backend that speaks before its request leaves is found out, and what it said has
// the next turn.
func TestEachRequestThatLeavesEarlyIsGuarded(t *testing.T) {
	t.Parallel()
	net, l, ends, at := salon(t, 4)
	order := ""
	ask := func(i int, name string) {
		at[i].readable = func(from *scribe) {
			if from.heard() {
				order += name
				to := at[i+2]
				to.stream.Guard(to, false)
				to.stream.Write([]byte("request"))
			}
		}
	}
	ask(0, "first ")
	ask(1, "second ")
	at[3].readable = func(from *scribe) {
		if from.heard() {
			order += "surplus "
		}
	}
	ends[0].Write([]byte("go"))
	ends[1].Write([]byte("go"))
	net.Midturn = func() { ends[3].Write([]byte("surplus")) }
	l.Turn()
	if first, second := string(ends[2].Read()), string(ends[3].Read()); first != "request" || second != "" || at[2].spoke != 0 || at[3].spoke != 1 {
		t.Errorf("the silent backend got %q, the one that spoke %q; warned %d and %d times", first, second, at[2].spoke, at[3].spoke)
	}
	if l.Turn(); order != "first second surplus " {
		t.Errorf("served in the order %s", order)
	}
}

// Where there is more than a poll takes, backends' answers do not wait behind clients' requests; where there is not, everything
// has its turn as it came.
func TestAnswersComeFirstWhereMoreWaits(t *testing.T) {
	t.Parallel()
	here, there := netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:80")
	for clients, first := range map[int]bool{20: false, 200: true} {
		net := simsys.New(1, simsys.Faults{})
		net.Order = true
		l := loop.New(loop.Options{Kernel: net.Kernel()})
		var heard string
		hear := func(who string) *scribe {
			return &scribe{readable: func(c *scribe) {
				var b [16]byte
				if _, st := c.stream.Read(b[:]); st == loop.Data {
					heard += who
				}
			}}
		}
		_, err := l.Listen(net.LoopSocket(here), func(*loop.Loop) loop.Accepted {
			return func(l *loop.Loop, fd int32, peer netip.AddrPort) {
				c := hear("c")
				l.Adopt(fd, peer, &c.stream, c)
			}
		})
		if err != 0 {
			t.Fatal(err)
		}
		listener := net.Listen(there)
		b := hear("b")
		if err := l.Dial(there, &b.stream, b); err != 0 {
			t.Fatal(err)
		}
		var ends []*simsys.End
		for range clients {
			ends = append(ends, net.Dial(netip.MustParseAddrPort("192.0.2.1:1"), here))
		}
		for range 20 {
			l.Turn()
		}
		for i, e := range ends {
			if i == 10 {
				listener.Accept().Write([]byte("answer"))
			}
			e.Write([]byte("request"))
		}
		for range 20 {
			l.Turn()
		}
		if len(heard) != clients+1 || (heard[0] == 'b') != first || (heard[10] == 'b') == first {
			t.Errorf("of %d clients and a backend, the loop heard %.12s… in this order, %d in all", clients, heard, len(heard))
		}
	}
}

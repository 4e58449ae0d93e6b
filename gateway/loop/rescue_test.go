// SPDX-License-Identifier: EUPL-1.2

package loop_test

import (
	"net/netip"
	"syscall"
	"testing"

	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// clumsy breaks an invariant when it is asked to read.
type clumsy struct {
	stream loop.Stream
	worse  bool // again when it is told to give up
	told   bool
}

func (c *clumsy) Connected(syscall.Errno) {}
func (c *clumsy) Drained()                {}
func (c *clumsy) Stuck()                  {}
func (c *clumsy) Expire(int64)            {}
func (c *clumsy) Readable()               { panic("clumsy") }
func (c *clumsy) Broken() {
	c.told = true
	if c.worse {
		panic("still clumsy")
	}
	c.stream.Close()
}

func TestBrokenInvariantCostsOneConnection(t *testing.T) {
	t.Parallel()
	net := simsys.New(1, simsys.Faults{})
	here := netip.MustParseAddrPort("10.0.0.1:80")
	var said []any
	l := loop.New(loop.Options{Kernel: net.Kernel(), Panic: func(v any, stack []byte) {
		said = append(said, v)
		if len(stack) == 0 {
			t.Error("no stack")
		}
	}})
	var owners []*clumsy
	_, err := l.Listen(net.LoopSocket(here), func(*loop.Loop) loop.Accepted {
		return func(l *loop.Loop, fd int32, peer netip.AddrPort) {
			c := &clumsy{worse: len(owners)%2 == 1}
			owners = append(owners, c)
			l.Adopt(fd, peer, &c.stream, c)
		}
	})
	if err != 0 {
		t.Fatal(err)
	}
	for range 4 {
		net.Dial(netip.MustParseAddrPort("192.0.2.1:1"), here).Write([]byte("x"))
	}
	for range 20 {
		l.Turn()
	}
	if len(said) != 4 || l.Stats().Panics != 4 || l.Stats().Streams != 0 {
		t.Errorf("got %v, %+v, want 4 panics survived and no stream left", said, l.Stats())
	}
	for i, c := range owners {
		if !c.told || !c.stream.Closed() {
			t.Errorf("connection %d: told %v, closed %v, want both", i, c.told, c.stream.Closed())
		}
	}
}

// careless breaks an invariant when it is asked for more to write, or warned.
type careless struct{ *scribe }

func (c careless) Fill()   { panic("careless") }
func (c careless) Spoke()  { panic("careless") }
func (c careless) Broken() { c.stream.Reset() }

// Whoever breaks an invariant when what is held leaves costs nobody else what was written to them: it leaves in the same turn, on
// either side, once.
func TestBrokenInvariantWhileAllLeavesCostsOneConnection(t *testing.T) {
	t.Parallel()
	net := simsys.New(1, simsys.Faults{})
	here, there := netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:80")
	var owners []careless
	l := loop.New(loop.Options{Kernel: net.Kernel(), Panic: func(any, []byte) {}})
	_, err := l.Listen(net.LoopSocket(here), func(*loop.Loop) loop.Accepted {
		return func(l *loop.Loop, fd int32, peer netip.AddrPort) {
			c := careless{&scribe{}}
			owners = append(owners, c)
			l.Adopt(fd, peer, &c.stream, c)
		}
	})
	if err != 0 {
		t.Fatal(err)
	}
	listener := net.Listen(there)
	var ends []*simsys.End
	for range 3 {
		c := careless{&scribe{}}
		if err := l.Dial(there, &c.stream, c); err != 0 {
			t.Fatal(err)
		}
		l.Turn()
		owners, ends = append(owners, c), append(ends, listener.Accept())
	}
	for range 3 {
		ends = append(ends, net.Dial(netip.MustParseAddrPort("192.0.2.1:1"), here))
		for range 3 {
			l.Turn()
		}
	}
	l.Post(func() {
		for i, c := range owners {
			if i%3 == 1 {
				c.stream.AtEnd(c)
			} else {
				c.stream.Write([]byte("text"))
			}
		}
	})
	l.Turn()
	for i, e := range ends {
		if got, want := string(e.Read()), [...]string{"text", "", "text"}[i%3]; got != want || owners[i].stream.Closed() != (i%3 == 1) {
			t.Errorf("connection %d got %q, want %q, closed %v", i, got, want, owners[i].stream.Closed())
		}
	}
	if s := l.Stats(); s.Panics != 2 || s.Streams != 4 || s.Lent != 0 {
		t.Errorf("%d panics, %d streams, %d buffers lent", s.Panics, s.Streams, s.Lent)
	}
}

// The same of what leaves before the turn's end: it has left when the next report is served.
func TestBrokenInvariantWhileSomeLeaveEarly(t *testing.T) {
	t.Parallel()
	net, l, ends, at := salon(t, 4)
	at[0].readable = func(from *scribe) {
		if from.heard() {
			at[2].stream.Own(careless{at[2]})
			at[2].stream.Guard(careless{at[2]}, false)
			at[2].stream.Write([]byte("request"))
			at[3].stream.Write([]byte("text"))
		}
	}
	got := ""
	at[1].readable = func(from *scribe) {
		if from.heard() {
			got = string(ends[3].Read())
		}
	}
	ends[0].Write([]byte("go"))
	ends[1].Write([]byte("go"))
	net.Midturn = func() { ends[2].Write([]byte("surplus")) }
	l.Turn()
	if rest := string(ends[3].Read()); got != "text" || rest != "" || len(ends[2].Read()) > 0 || l.Stats().Panics != 1 {
		t.Errorf("when the next is served %q has left, and %q after it; %d panics", got, rest, l.Stats().Panics)
	}
}

// Nobody has looked for what a backend says of which a request is asked while all leaves, as here by one that takes over from a
// connection that breaks: it is looked for then.
func TestRequestThatIsMadeWhileAllLeavesIsGuarded(t *testing.T) {
	t.Parallel()
	for _, surplus := range []string{"", "surplus"} {
		net, l, ends, at := salon(t, 2)
		heir := at[1]
		at[0].stream.Own(executor{at[0], func() {
			heir.stream.Guard(heir, false)
			heir.stream.Write([]byte("request"))
		}})
		l.Post(func() { at[0].stream.AtEnd(executor{scribe: at[0]}) })
		net.Midturn = func() { ends[1].Write([]byte(surplus)) }
		l.Turn()
		l.Turn()
		want := "request"
		if surplus != "" {
			want = ""
		}
		if got := string(ends[1].Read()); got != want || (heir.spoke == 1) != (surplus != "") || l.Stats().Panics != 1 {
			t.Errorf("surplus %q: sent %q, warned %d times, %d panics", surplus, got, heir.spoke, l.Stats().Panics)
		}
	}
}

// executor breaks when it is asked for more to write, and has something done then.
type executor struct {
	*scribe
	last func()
}

func (e executor) Fill()   { panic("executor") }
func (e executor) Broken() { e.last(); e.stream.Reset() }

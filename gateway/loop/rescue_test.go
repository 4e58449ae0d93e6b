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

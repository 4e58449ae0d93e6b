// SPDX-License-Identifier: EUPL-1.2

package loop_test

import (
	"net/netip"
	"testing"

	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/loop/simsys"
)

// ask puts a request on an idle connection in the next turn; more says that another part of it will follow.
func (c *scribe) ask(more bool) {
	c.stream.Loop().Post(func() {
		c.stream.Guard(c, more)
		c.stream.Write([]byte("request"))
	})
}

// What has come while a request was made is served before it leaves, and what that makes somebody write leaves with it.
func TestRequestsLeaveInARow(t *testing.T) {
	t.Parallel()
	net, l, ends, at := salon(t, 4)
	early := ""
	at[1].readable = func(c *scribe) {
		if c.heard() {
			early = string(ends[0].Read())
			at[2].stream.Guard(at[2], false)
			at[2].stream.Write([]byte("another"))
			c.stream.Write([]byte("answer"))
		}
	}
	at[0].ask(false)
	net.Midturn = func() { ends[1].Write([]byte("go")) }
	l.Turn()
	if early += string(ends[0].Read()); early != "" {
		t.Fatalf("%q has left before what came meanwhile was served", early)
	}
	l.Turn()
	if first, second, answer := string(ends[0].Read()), string(ends[2].Read()), string(ends[1].Read()); early != "" || first != "request" || second != "another" || answer != "answer" {
		t.Errorf("before the row's end %q, at its end %q, %q and %q have left", early, first, second, answer)
	}
}

// silence gathers nothing.
type silence struct{}

func (silence) Fill() {}

// chat has as many of a salon speak after each look at epoll, from the tenth on.
func chat(net *simsys.Net, ends []*simsys.End, speakers int) {
	net.Midturn = func() {
		for _, e := range ends[9:][:speakers] {
			e.Write([]byte("go"))
		}
		chat(net, ends, speakers)
	}
}

// A row has eight parts at most, and serves no more than two polls take besides what was there when it began. It is over where a poll
// is full, the request has more to come, somebody gathers, or wants another turn, the loop ends or nothing has come. What one row was
// does not count for the next.
func TestWhatEndsARow(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		come  int  // so many speak after each look
		more  bool // of the request follows
		with  func(at []*scribe)
		turns int // until the request leaves
	}{
		"nothing comes":    {turns: 1},
		"something comes":  {come: 1, turns: 8},
		"much comes":       {come: 32, turns: 5},
		"it is too much":   {come: 33, turns: 4},
		"almost a poll":    {come: 63, turns: 3},
		"a poll is full":   {come: 64, turns: 1},
		"more than a poll": {come: 70, turns: 1},
		"more follows":     {come: 1, more: true, turns: 1},
		"of one of two":    {come: 1, more: true, turns: 1, with: func(at []*scribe) { at[3].stream.Guard(at[3], false) }},
		"of the other":     {come: 1, turns: 1, with: func(at []*scribe) { at[3].stream.Guard(at[3], true) }},
		"somebody gathers": {come: 1, turns: 1, with: func(at []*scribe) { at[3].stream.AtEnd(silence{}) }},
		"a client goes on": {come: 1, turns: 8, with: func(at []*scribe) { at[9].stream.Write([]byte("answer")) }},
		"somebody goes on": {come: 1, turns: 1, with: func(at []*scribe) { at[1].stream.Again() }},
		"the loop ends":    {come: 1, turns: 1, with: func(at []*scribe) { at[1].stream.Loop().Stop() }},
	} {
		net, l, ends, at := salon(t, 80)
		at[1].readable = func(c *scribe) { c.stream.Again() } // once it has begun
		leaves := func(who int) (turns int) {
			for got := ""; got == "" && turns < 10; turns++ {
				l.Turn()
				got = string(ends[who].Read())
			}
			return turns
		}
		chat(net, ends, c.come)
		at[0].ask(c.more)
		if c.with != nil {
			l.Post(func() { c.with(at) })
		}
		if got := leaves(0); got != c.turns {
			t.Errorf("%s: the request leaves after %d turns, want %d", what, got, c.turns)
		}
		if c.with != nil {
			continue
		}
		for net.Midturn = nil; net.Moved(); {
			l.Turn()
		}
		chat(net, ends, 1)
		at[2].ask(false)
		if got := leaves(2); got != 8 {
			t.Errorf("%s: the next request leaves after %d turns", what, got)
		}
	}
}

// New connections are as much to serve as what is heard of others, those as well that epoll is not asked to watch.
func TestNewConnectionsEndARow(t *testing.T) {
	t.Parallel()
	net := simsys.New(1, simsys.Faults{})
	l, ends, at := room(t, net, loop.Options{Kernel: net.Kernel()}, 1, func(c *scribe) {
		if c.heard() {
			c.stream.Patient()
		}
	})
	var crowd func()
	crowd = func() {
		for range 50 {
			net.Dial(netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("10.0.0.1:80")).Write([]byte("go"))
		}
		net.Midturn = crowd
	}
	net.Midturn = crowd
	at[0].ask(false)
	turns := 0
	for got := ""; got == "" && turns < 10; turns++ {
		l.Turn()
		got = string(ends[0].Read())
	}
	if turns > 4 || turns == 1 {
		t.Errorf("the request leaves after %d turns", turns)
	}
}

// Where nobody is asked anything, nobody waits.
func TestAnswersAloneMakeNoRow(t *testing.T) {
	t.Parallel()
	net, l, ends, at := salon(t, 10)
	at[0].ask(false)
	l.Turn()
	l.Post(func() { at[1].stream.Write([]byte("answer")) })
	chat(net, ends, 1)
	if l.Turn(); string(ends[1].Read()) != "answer" {
		t.Error("an answer waits for what has come after it")
	}
}

// Between any two looks of a row a backend may speak, or leave, before its request has left: that ends the row. It gets nothing and
// is told so first, and the others get theirs.
func TestWhoSpeaksInARowGetsNothing(t *testing.T) {
	t.Parallel()
	for after := range 4 { // looks
		for what, speak := range map[string]func(*simsys.End){
			"says something": func(e *simsys.End) { e.Write([]byte("surplus")) },
			"ends":           (*simsys.End).CloseWrite,
			"resets":         (*simsys.End).Reset,
		} {
			net, l, ends, at := salon(t, 10)
			heard := ""
			for _, c := range at[:2] {
				c.readable = func(c *scribe) {
					if c.heard() && c.spoke == 0 {
						heard += "taken for an answer "
					}
				}
				c.ask(false)
			}
			looked := 0
			var news func()
			news = func() {
				if ends[9].Write([]byte("go")); looked == after {
					speak(ends[0])
				}
				looked++
				net.Midturn = news
			}
			net.Midturn = news
			for range after + 1 {
				l.Turn()
			}
			if first, second := string(ends[0].Read()), string(ends[1].Read()); first != "" || second != "request" || at[0].spoke != 1 || at[1].spoke != 0 {
				t.Errorf("a backend %s after %d looks: it got %q, the other %q; warned %d and %d times", what, after, first, second, at[0].spoke, at[1].spoke)
			}
			for range 3 {
				l.Turn()
			}
			if heard != "" {
				t.Errorf("a backend %s after %d looks: what it said was %s", what, after, heard)
			}
		}
	}
}

// Who has been reported when a request is made for it is told so when that would leave, and not asked to read before.
func TestWhoHasSpokenIsNotHeardBeforeItIsWarned(t *testing.T) {
	t.Parallel()
	_, l, ends, at := salon(t, 3)
	at[0].readable = func(c *scribe) {
		if c.heard() {
			at[2].stream.Guard(at[2], false)
			at[2].stream.Write([]byte("request"))
		}
	}
	heard := false
	at[2].readable = func(c *scribe) { heard = heard || c.spoke == 0 && c.heard() }
	ends[0].Write([]byte("go"))
	ends[2].Write([]byte("surplus"))
	if l.Turn(); heard || at[2].spoke != 1 || len(ends[2].Read()) > 0 {
		t.Errorf("heard before it was warned %v, warned %d times", heard, at[2].spoke)
	}
}

// A poll that is full does not say who is silent.
func TestWhoSpeaksBehindACrowdGetsNothing(t *testing.T) {
	t.Parallel()
	net, l, ends, at := salon(t, 300)
	at[0].ask(false)
	net.Midturn = func() {
		for i := range ends {
			ends[len(ends)-1-i].Write([]byte("go"))
		}
	}
	for range 3 {
		l.Turn()
	}
	if got := string(ends[0].Read()); got != "" || at[0].spoke != 1 {
		t.Errorf("a backend that had spoken got %q, warned %d times", got, at[0].spoke)
	}
}

// What is too large to be held leaves unguarded, and so does what follows it: that is no longer the first that the peer gets.
func TestWhatFollowsALargePieceIsNotGuarded(t *testing.T) {
	t.Parallel()
	net, l, ends, at := salon(t, 1)
	net.SetCapacity(1 << 20)
	l.Post(func() {
		at[0].stream.Guard(at[0], true)
		at[0].stream.Write(make([]byte, 20<<10))
		at[0].stream.Write([]byte("and more"))
	})
	net.Midturn = func() { ends[0].Write([]byte("an answer")) }
	l.Turn()
	if got := len(ends[0].Read()); got != 20<<10+8 || at[0].spoke != 0 {
		t.Errorf("%d octets have left, warned %d times", got, at[0].spoke)
	}
}

// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/limit"
	"github.com/pvgate/pvgate/gateway/loop"
)

// ticket is an exchange's place in a backend's queue; it implements exchange.Ticket and loop.Expirer. Owned by its loop's
// thread, except that a grant comes on any. It is not used for another exchange before the message of that grant has come:
// a late message is about an exchange that has left, never about another one.
type ticket struct {
	waiter limit.Waiter
	node   *node
	member *member
	x      *exchange.Exchange // nil when it has left
	timer  loop.Timer
}

// queue lets x wait at a backend.
func (n *node) queue(m *member, x *exchange.Exchange) (limit.Outcome, *ticket, int64) {
	var t *ticket
	if k := len(n.tickets); k > 0 {
		t, n.tickets = n.tickets[k-1], n.tickets[:k-1]
	} else {
		t = &ticket{node: n}
		arrive := t.arrive
		t.waiter.Granted = func() { n.loop.Post(arrive) }
	}
	t.member, t.x = m, x
	outcome, retry := m.limiter.Wait(n.loop.Now(), &t.waiter)
	if outcome != limit.Queued {
		t.free()
		return outcome, nil, retry
	}
	n.loop.SetTimer(&t.timer, t, n.loop.Now()+m.limiter.Patience())
	return outcome, t, 0
}

// freeTickets bounds a loop's stock of tickets.
const freeTickets = 1024

func (t *ticket) free() {
	t.member, t.x = nil, nil
	if n := t.node; len(n.tickets) < freeTickets {
		n.tickets = append(n.tickets, t)
	}
}

// arrive takes the message of a grant. Whoever has quit meanwhile has given the place back.
func (t *ticket) arrive() {
	x := t.x
	t.node.loop.StopTimer(&t.timer)
	t.free()
	if x == nil {
		t.node.stale++
		return
	}
	x.Granted()
}

// Expire ends a wait that has lasted long enough, unless a grant is on its way.
func (t *ticket) Expire(int64) {
	if m, x := t.member, t.x; m.limiter.Quit(&t.waiter) {
		t.free()
		t.node.share.leave(m.index)
		x.GaveUp()
	}
}

// Quit leaves the queue.
func (t *ticket) Quit() {
	m := t.member
	t.node.loop.StopTimer(&t.timer)
	t.node.share.leave(m.index)
	if m.limiter.Quit(&t.waiter) {
		t.free()
		return
	}
	t.x, t.member = nil, nil
	m.limiter.Release(t.node.loop.Now())
}

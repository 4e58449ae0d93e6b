// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

// waiting is what a request needs that waits for a place at its backend: it owns copies, because what it came in is used
// for others meanwhile.
type waiting struct {
	ticket Ticket // nil while it does not wait
	since  int64  // loop time
	head   message.Kept
	body   []byte // that came with the head, or that the client could not be kept from sending: a read or a window at most
}

// park is the state of a request whose backend has no place for it now, but a queue. It ends with Granted or GaveUp, or as
// any other state does.
func (x *Exchange) park(h *message.Head, t Ticket) {
	w := &x.waiting
	w.ticket, w.since = t, x.host.Now()
	if !x.offer(h) || !x.prepare(h) {
		return
	}
	x.state = parked
	w.head = message.Kept{Octets: x.backend.AppendHead(nil, h, x.plan.Target), HEAD: x.isHEAD, Chunked: h.Chunked, Upgrade: h.Upgrade}
}

// Parked reports that the request waits for a look-up, or for a place at its backend.
func (x *Exchange) Parked() bool { return x.state == parked || x.state == looksUp }

// Granted ends the wait: there is a place. The exchange may be Over when it returns.
func (x *Exchange) Granted() {
	w := x.waiting
	x.waiting = waiting{} // if no connection is to be had, this exchange is over, and the next may wait, too
	x.state, x.rec.Queued = asking, x.host.Now()-w.since
	up := x.lend()
	if up == nil {
		return
	}
	up.SendKept(w.head, x.replayable)
	x.catchUp(w.body)
}

// catchUp sends what has come of the body behind a head that had to wait.
func (x *Exchange) catchUp(body []byte) {
	up := x.up
	if len(body) > 0 {
		up.SendBody(body)
	}
	if x.bodyEnded {
		up.SendEnd()
	}
	if up.Flush(); !x.Over() && !x.bodyEnded && !x.expecting {
		x.front.Resume()
	}
}

// GaveUp ends the wait: it has lasted long enough, and the queue has been left.
func (x *Exchange) GaveUp() {
	x.rec.Queued = x.host.Now() - x.waiting.since
	x.backend, x.waiting = nil, waiting{}
	x.req.Head = &x.wish
	x.refuse(reason.QueueTimeout, Detail{Backend: x.plan.Backend})
}

// quit leaves the queue, if the request is in it.
func (x *Exchange) quit() {
	if t := x.waiting.ticket; t != nil {
		x.rec.Queued = x.host.Now() - x.waiting.since
		x.backend, x.waiting = nil, waiting{}
		t.Quit()
	}
}

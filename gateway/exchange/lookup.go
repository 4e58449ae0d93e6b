// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	"net/netip"
	"time"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

// MaxHeld is how many octets are held of a request while it waits for a look-up: its head, in the two forms that are needed of
// the path, and its body.
const MaxHeld = 64 << 10

// fieldOctets is more than a message.Field takes beside its text.
const fieldOctets = 64

// Lookup is what a decision waits for, and what is found out meanwhile. The resolver makes it, and gets it back in
// [Request].
type Lookup interface {
	// Want asks for what is missing, for a client of a network, the zero one for nobody's. It reports false if nothing is any more; else
	// done is called once, on any thread, when all has been heard: it posts a message.
	Want(from netip.Prefix, done func()) bool
	// Cancel ends the wait. It reports false if done has been called, or will be all the same.
	Cancel() bool
}

// looking is what a request needs that waits for a look-up: it owns copies, because what it came in is used for others
// meanwhile.
type looking struct {
	place Ticket // nil while it does not wait
	until int64  // loop time at which it is told that nothing was heard; 0: it has never waited
	head  message.Head
	size  int  // octets that are held for the head
	full  bool // more has come of the body than may be kept: what has is of no use
}

// look is the state of a request whose route is not in the snapshot: sources have to be asked (R15). It ends with Looked or
// LookedInVain, or as any other state does. However many keys have to be looked up one after the other, there is one
// deadline.
func (x *Exchange) look(h *message.Head) {
	l := &x.looking
	if l.until == 0 {
		if l.until = x.began + int64(x.host.LookupWait()); !l.keep(h) {
			x.unlooked()
			return
		}
		x.req.Head = &l.head
	}
	x.state = looksUp
	for x.plan.Lookup != nil {
		place, outcome := x.host.Park(x, x.plan.Lookup, l.until)
		switch outcome {
		case ParkedThere:
			l.place = place
			return
		case ParkedNowhere:
			x.unlooked()
			return
		case NothingToWaitFor:
			x.resolve()
		}
	}
	x.found()
}

// unlooked answers a request whose route nobody could say.
func (x *Exchange) unlooked() {
	x.state = asking
	x.attribute()
	x.refuse(reason.RegistryUnavailable, Detail{Backend: -1})
}

// keep copies a head. It reports false if that is too large.
func (l *looking) keep(h *message.Head) bool {
	// Exchange.path is a second path.
	if l.size = h.Size() + len(h.Fields)*fieldOctets + len(h.Path); l.size > MaxHeld {
		return false
	}
	l.head = h.Clone()
	return true
}

// Looked ends the wait: everything has been heard. The exchange may be Over when it returns.
func (x *Exchange) Looked() {
	l := &x.looking
	l.place = nil
	if x.resolve(); x.plan.Lookup != nil {
		x.look(&l.head)
		return
	}
	x.found()
}

// resolve asks the resolver again, the same question at the same moment of the same snapshot, with what has been heard.
func (x *Exchange) resolve() {
	x.req.Lookup = x.plan.Lookup
	x.req.Tick = x.host.Now()
	x.plan.reset()
	x.consult()
}

// found goes on where the request would have gone at once, with what has come of its body.
func (x *Exchange) found() {
	x.state = asking
	if x.decided(&x.looking.head); x.Over() {
		return
	}
	x.letGo()
	x.req.Head = &x.wish
	if x.up != nil {
		body := x.waiting.body
		x.waiting.body = nil
		x.catchUp(body)
	}
}

// LookedInVain ends the wait: it has lasted long enough, and the place has been given back.
func (x *Exchange) LookedInVain() {
	x.looking.place = nil
	x.unlooked()
}

// unlook gives the place back, and forgets what was kept.
func (x *Exchange) unlook() {
	if x.looking.until == 0 {
		return
	}
	if p := x.looking.place; p != nil {
		x.looking.place = nil
		p.Quit()
	}
	x.waiting.body = nil
	x.letGo()
}

// letGo drops what was kept of the head, and what holds the snapshot's table.
func (x *Exchange) letGo() {
	x.looking = looking{}
	x.plan.Lookup, x.req.Lookup = nil, nil
}

// hold keeps octets of the body of a request that waits, for a look-up in no more memory than may be.
func (x *Exchange) hold(b []byte) {
	held := x.waiting.body
	if x.state == looksUp {
		need, room := len(held)+len(b), MaxHeld-x.looking.size
		if x.looking.full = x.looking.full || need > room; x.looking.full {
			x.waiting.body = nil
			return
		}
		if need > cap(held) {
			held = append(make([]byte, 0, min(2*need, room)), held...)
		}
	}
	x.waiting.body = append(held, b...)
}

// asker is the head for a page of ours, when that of the client's message is gone.
func (x *Exchange) asker() *message.Head {
	if x.state == looksUp {
		return &x.looking.head
	}
	return &x.wish
}

// Parking is what became of a wish to wait for a look-up.
type Parking uint8

// The values of Parking.
const (
	ParkedThere      Parking = iota // Looked or LookedInVain will be called, in another turn of the loop
	ParkedNowhere                   // as many wait as may
	NothingToWaitFor                // all has been heard meanwhile
)

// LookupHost is what of a [Host] is for requests that wait for look-ups.
type LookupHost interface {
	// Park finds x a place until a loop time.
	Park(x *Exchange, l Lookup, until int64) (Ticket, Parking)
	// LookupWait is how long a request may wait.
	LookupWait() time.Duration
}

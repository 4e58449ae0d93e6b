// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	"time"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

// MaxHeld is how many octets of a request are kept while it waits for a look-up, head and body.
const MaxHeld = 64 << 10

// Lookup is what a decision waits for, and what is found out meanwhile. The resolver makes it, and gets it back in
// [Request].
type Lookup interface {
	// Want asks for what is missing. It reports false if nothing is any more; else done is called once, on any thread, when
	// all has been heard: it posts a message.
	Want(done func()) bool
	// Cancel ends the wait. It reports false if done has been called, or will be all the same.
	Cancel() bool
}

// looking is what a request needs that waits for a look-up: it owns copies, because what it came in is used for others
// meanwhile.
type looking struct {
	place Ticket // nil while it does not wait
	until int64  // loop time at which it is told that nothing was heard; 0: it has never waited
	head  message.Head
	text  []byte // what the head points to
	full  bool   // more has come of the body than may be kept: what has is of no use
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
		x.remember(h)
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
	size := len(h.MethodText) + len(h.Target) + len(h.Authority) + len(h.Path) + len(h.Query)
	for i := range h.Fields {
		size += len(h.Fields[i].Name) + len(h.Fields[i].Value)
	}
	if size > MaxHeld {
		return false
	}
	text := make([]byte, 0, size)
	own := func(b []byte) []byte {
		if b == nil {
			return nil // of a field, that it is not there
		}
		at := len(text)
		text = append(text, b...)
		return text[at:len(text):len(text)]
	}
	l.head = *h
	l.head.Fields = make([]message.Field, len(h.Fields))
	for _, b := range [...]*[]byte{&l.head.MethodText, &l.head.Target, &l.head.Authority, &l.head.Path, &l.head.Query} {
		*b = own(*b)
	}
	for i := range h.Fields {
		l.head.Fields[i] = message.Field{Name: own(h.Fields[i].Name), Value: own(h.Fields[i].Value), ID: h.Fields[i].ID}
	}
	l.text = text
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
	x.snapshot.Resolver.Resolve(&x.req, &x.plan)
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
		x.catchUp()
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

// hold keeps octets of the body of a request that waits.
func (x *Exchange) hold(b []byte) {
	if x.state == looksUp && len(x.looking.text)+len(x.waiting.body)+len(b) > MaxHeld {
		x.looking.full, x.waiting.body = true, nil
	}
	if !x.looking.full {
		x.waiting.body = append(x.waiting.body, b...)
	}
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

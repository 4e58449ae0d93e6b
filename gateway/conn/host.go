// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
)

// Timeouts towards clients.
type Timeouts struct {
	Head     time.Duration // from a head's first byte (or the accept) to its last
	Idle     time.Duration // between two requests
	Body     time.Duration // the span over which BodyRate must hold while the body is awaited
	BodyRate int           // octets per second
	Write    time.Duration // the client takes not one byte of an answer
	Expect   time.Duration // how long a backend may leave Expect: 100-continue unanswered before we say 100
	Linger   time.Duration // reading on after the last answer
}

// DefaultTimeouts returns the timeouts used when the operator names none.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Head: 10 * time.Second, Idle: 75 * time.Second, Body: 10 * time.Second, BodyRate: 240,
		Write: 30 * time.Second, Expect: time.Second, Linger: 2 * time.Second,
	}
}

// lingerBytes is how much is read and dropped after the last answer.
const lingerBytes = 64 << 10

// drainRest is how long a connection must have been idle to be closed while draining.
const drainRest = 500 * time.Millisecond

// freeExchanges bounds a loop's stock of exchanges.
const freeExchanges = 1024

// Host is what the client connections of one loop share. Owned by the loop's thread.
type Host struct {
	loop        *loop.Loop
	services    exchange.Host
	limits      *http1.Limits
	timeouts    Timeouts
	lingerBytes int
	head        message.Head // scratch of whoever is being fed
	free        []*exchange.Exchange
	first       *H1
	open        int
	active      int
	draining    bool
}

// NewHost returns the shared part for a loop. limits must not change.
func NewHost(l *loop.Loop, services exchange.Host, limits *http1.Limits, t Timeouts) *Host {
	return &Host{loop: l, services: services, limits: limits, timeouts: t, lingerBytes: lingerBytes}
}

// Count returns how many connections are open and how many of them have a request in flight.
func (h *Host) Count() (open, active int) { return h.open, h.active }

func (h *Host) exchange() *exchange.Exchange {
	h.active++
	if n := len(h.free); n > 0 {
		x := h.free[n-1]
		h.free = h.free[:n-1]
		return x
	}
	return new(exchange.Exchange)
}

func (h *Host) release(x *exchange.Exchange) {
	h.active--
	if len(h.free) < freeExchanges {
		h.free = append(h.free, x)
	}
}

func (h *Host) enter(c *H1) {
	c.next = h.first
	if h.first != nil {
		h.first.prev = c
	}
	h.first = c
	h.open++
}

func (h *Host) exit(c *H1) {
	if c.host == nil || c.prev == nil && h.first != c {
		return // has left already
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		h.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	h.open--
	h.loop.Release()
}

// Drain closes the connections that have waited for a request for a while; every other one is closed after its present
// answer, or the next: a request may be on its way. Call it again until Count says that none is open.
func (h *Host) Drain() {
	h.draining = true
	quiet := h.loop.Now() - int64(drainRest)
	for c := h.first; c != nil; {
		next := c.next
		if c.x == nil && !c.closing && c.since <= quiet && len(c.in) == 0 && c.stream.Pending() == 0 && c.stream.Healthy() {
			c.leave()
			c.stream.Close()
		}
		c = next
	}
}

// Cut breaks off every connection that is left.
func (h *Host) Cut() {
	for h.first != nil {
		h.first.cut()
	}
}

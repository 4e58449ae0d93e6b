// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"math"
	"net/netip"
	"time"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/http2"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// Timeouts towards clients.
type Timeouts struct {
	Head   time.Duration // from a head's first byte (or the accept) to its last
	Idle   time.Duration // between two requests
	Body   time.Duration // the span over which Rate must hold while the body is awaited
	Write  time.Duration // the client takes an answer below Rate
	Rate   int           // octets per second that a client must at least send of a body, or take of an answer
	Expect time.Duration // how long a backend may leave Expect: 100-continue unanswered before we say 100
	Linger time.Duration // reading on after the last answer
}

// DefaultTimeouts returns the timeouts used when the operator names none.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Head: 10 * time.Second, Idle: 75 * time.Second, Body: 10 * time.Second,
		Write: 30 * time.Second, Rate: 240, Expect: time.Second, Linger: 2 * time.Second,
	}
}

// lingerBytes is how much is read and dropped after the last answer.
const lingerBytes = 64 << 10

// tunnelGrace is how long tunnels are left alone while draining: whoever is at the other end learns nothing of it and
// would stay for hours.
const tunnelGrace = 10 * time.Second

const (
	// drainRest is how long a connection must have been idle after an answer to be closed while draining.
	drainRest = 500 * time.Millisecond
	// drainFirst is the same before its first request: it was opened for one, which may still be waiting for the handshake,
	// or has been lost and comes again (RFC 6298: after one second, and then after two more).
	drainFirst = 3 * time.Second
)

// freeStreams bounds a loop's stock of streams.
const freeStreams = 1024

// When more than seven eighths of the places are taken, those that wait for a request make room.
const (
	// crowdedIdle is how long a connection may then wait for its next request.
	crowdedIdle = 2 * time.Second
	// crowdedRest is how long it must have waited to be closed for another.
	crowdedRest = time.Second
	// crowdedLook is how many connections are looked at for each new one.
	crowdedLook = 32
)

const (
	// relieved is how many connections are closed at most each time when memory is short, and relieveLook how many are
	// looked at for it.
	relieved, relieveLook = 256, 4096
)

// Host is what the client connections of one loop share. Owned by the loop's thread.
type Host struct {
	loop        *loop.Loop
	tls         *tlsconn.Host // nil without a listener that needs it
	services    exchange.Host
	limits      *http1.Limits
	timeouts    Timeouts
	lingerBytes int
	networks    *Networks
	head        message.Head  // scratch of whoever is being fed
	scratch     http2.Scratch // the same
	bounds      http2.Limits
	sockets     http2.Limits // the same, where WebSocket is offered
	stock       exchange.Stock
	spare       []*h2stream
	first       *link
	open        int
	active      int
	tunnels     int
	draining    bool
	crowded     bool  // few places are left
	hand        *link // who is looked at next when room is needed
	closed      [Causes]uint64
	drainFrom   int64 // loop time
}

// NewHost returns the shared part for a loop; networks is shared by all of them. limits must not change; secure is nil
// if no connection is of TLS.
func NewHost(l *loop.Loop, secure *tlsconn.Host, services exchange.Host, limits *http1.Limits, t Timeouts, networks *Networks) *Host {
	bounds := http2.DefaultLimits()
	bounds.HeadLimits = limits.Heads()
	sockets := bounds
	sockets.WebSocket = true
	return &Host{
		loop: l, tls: secure, services: services, limits: limits, bounds: bounds, sockets: sockets, timeouts: t, lingerBytes: lingerBytes,
		networks: networks,
	}
}

// Protocols are versions of HTTP, and what is offered in them.
type Protocols uint8

// The versions, and WebSocket over those that need a word for it.
const (
	HTTP1 Protocols = 1 << iota
	HTTP2
	HTTP3     // over UDP: no connection of a Host speaks it
	WebSocket // over HTTP/2 and HTTP/3 (RFC 8441, RFC 9220); HTTP/1.1 always has it
)

// Accept takes a connection of a listener that speaks these protocols, HTTP/1.1 if none; over TLS if there is a
// configuration for it.
func (h *Host) Accept(fd int32, peer netip.AddrPort, listener int, protocols Protocols, secure *tlsconn.Config) {
	speaks, trusted := h.speaksProxy(listener, peer.Addr())
	if speaks && !trusted {
		h.closed[ProxyPeer]++
		h.loop.Refuse(fd)
		return
	}
	if !h.networks.Enter(peer.Addr()) {
		h.networks.Leave(peer.Addr())
		h.closed[NetworkLimit]++
		h.loop.Refuse(fd)
		return
	}
	if h.pressed() {
		h.networks.Leave(peer.Addr())
		h.closed[Overloaded]++
		h.loop.Refuse(fd)
		return
	}
	l := &link{host: h, config: secure, protocols: protocols}
	l.wire, l.speaks = &l.stream, l
	h.loop.Adopt(fd, peer, &l.stream, proxied{l})
	l.client = exchange.Client{Addr: peer.Addr(), Text: peer.Addr().AppendTo(l.text[:0]), Listener: listener}
	l.wait(int64(h.timeouts.Head))
	h.enter(l)
	if !speaks {
		l.open() // it may end in here already
	}
}

// Closed returns how many connections were closed by cause.
func (h *Host) Closed() [Causes]uint64 { return h.closed }

// Tunnels returns how many connections have changed their protocol, or have a stream that has; Count counts them as active
// too.
func (h *Host) Tunnels() int { return h.tunnels }

// Count returns how many connections are open and how many of them have a request in flight.
func (h *Host) Count() (open, active int) { return h.open, h.active }

// Held is how many descriptors connections hold: clients' and, of tunnels, the backends' as well.
func (h *Host) Held() int { return h.open + h.tunnels }

func (h *Host) enter(c *link) {
	c.next = h.first
	if h.first != nil {
		h.first.prev = c
	}
	h.first = c
	h.open++
	if h.look(); h.crowded {
		h.makeRoom()
	}
}

// look finds out whether places are few.
func (h *Host) look() {
	taken, most := h.loop.Places()
	h.crowded = most > 0 && taken > most-most/8
}

// idle is how long a connection may wait for its next request, nanoseconds.
func (h *Host) idle() int64 {
	if h.crowded {
		return int64(min(crowdedIdle, h.timeouts.Idle))
	}
	return int64(h.timeouts.Idle)
}

// makeRoom closes, of the next few connections, the one that has waited longest for a request. So those who hold
// connections without using them do not keep others out.
func (h *Host) makeRoom() {
	var longest *link
	for range min(crowdedLook, h.open) {
		if h.hand == nil {
			h.hand = h.first
		}
		c := h.hand
		h.hand = c.next
		if c.speaks.resting(h.loop.Now()-int64(crowdedRest)) && (longest == nil || c.since < longest.since) {
			longest = c
		}
	}
	if longest != nil && longest.stream.Healthy() {
		longest.end(Crowded)
	}
}

// pressed reports that memory is short.
func (h *Host) pressed() bool { return h.services.Pressure() != exchange.Calm }

// Relieve closes connections that wait for a request, because memory is short: first those that have most of it, which are
// those over TLS that have carried large bodies.
func (h *Host) Relieve() {
	closed := 0
	for _, large := range [...]bool{true, false} {
		for range min(relieveLook, h.open) {
			if h.hand == nil {
				h.hand = h.first
			}
			c := h.hand
			h.hand = c.next
			if (c.large && c.secure != nil || !large) && c.speaks.resting(h.loop.Now()) && c.stream.Healthy() {
				if c.end(Overloaded); closed == relieved {
					return
				}
				closed++
			}
		}
		if closed > 0 {
			return
		}
	}
}

func (h *Host) exit(c *link) {
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
	if h.hand == c {
		h.hand = c.next
	}
	c.prev, c.next = nil, nil
	h.open--
	h.networks.Leave(c.client.Addr)
	h.loop.Release()
	if h.crowded {
		h.look()
	}
}

// Drain closes the connections that have waited for a request for a while; every other one is closed after its present
// answer, or the next: a request may be on its way. Tunnels have a grace. Call it again until Count says that none is open.
func (h *Host) Drain() {
	if !h.draining {
		h.draining, h.drainFrom = true, h.loop.Now()
	}
	for c := h.first; c != nil; {
		next := c.next
		c.speaks.drain(h.loop.Now())
		c = next
	}
}

// quiet is the time since which a connection must have been resting to have done so for a while. After a stall of the loop
// that is nobody at first: who was answered in that turn has rested for less than it seems.
func (h *Host) quiet(now int64, rest time.Duration) int64 {
	if now-h.loop.Stalled() < int64(rest) {
		return math.MinInt64
	}
	return now - int64(rest)
}

// Cut breaks off every connection that is left.
func (h *Host) Cut() {
	for h.first != nil {
		h.first.speaks.cut()
	}
}

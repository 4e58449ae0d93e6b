// SPDX-License-Identifier: EUPL-1.2

// Package upstream keeps the connections to backends: per loop, per endpoint, HTTP/1.1 with keep-alive over TCP or TLS.
//
// The two calls to know: [NewPool] for a backend's endpoints on one loop, and [Pool.Get], which lends a [Conn] to a
// [User] until its Done or Abort.
//
// It deliberately does not choose a backend, resolve names, count requests or decide what a failure means to a client;
// and it never sends a request twice by itself.
package upstream

import (
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/prefetch"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// User is lent a connection and hears of it. All calls come on the loop's thread; slices are valid during the call.
type User interface {
	// UpstreamExpect says that an answer is about to be read: what that touches can be asked from memory.
	UpstreamExpect()
	// UpstreamRoom says how much to read at a time, octets; MinRead at least is read.
	UpstreamRoom() int
	UpstreamInterim(status int)
	UpstreamHead(h *message.Head)
	UpstreamData(b []byte)
	// UpstreamSink is the stream of a loop that octets of the body are moved to instead, behind everything that was told
	// before; nil: none. UpstreamMoved says how many were.
	UpstreamSink() Sink
	UpstreamMoved(n int)
	// UpstreamEnd comes after the last octet; UpstreamFlush ends each batch of the calls above.
	UpstreamEnd()
	UpstreamFlush()
	// UpstreamDrained says that everything sent has been taken by the kernel after some of it had to wait.
	UpstreamDrained()
	// UpstreamFailed says that the connection is of no further use; Abort it.
	UpstreamFailed(f message.Fault)
}

// Sink takes octets of another connection without their passing through the process. It is a *loop.Stream; nobody else needs
// to know.
type Sink = interface{ Pending() int }

// MinRead is how much is read at least, octets: little is lost on who takes less, and heads get on.
const MinRead = 4 << 10

// Timeouts of a backend's connections.
type Timeouts struct {
	Connect   time.Duration // until the connection stands, TLS included
	FirstByte time.Duration // from the last byte of the request to the response's head
	Idle      time.Duration // no byte of an exchange either way
	Keep      time.Duration // how long a pooled connection may wait; a backend's Keep-Alive: timeout − 1 s shortens it
}

// Cache is what the pools of one loop share: the budget of idle connections, the limits of answers and the scratch head.
type Cache struct {
	loop   *loop.Loop
	tls    *tlsconn.Host
	limits *http1.Limits
	budget int
	room   func() int
	idle   int
	// oldest and newest end the list of all idle connections of the loop, least recently used first.
	oldest, newest *Conn
	head           message.Head
	stats          Stats
	parting        int // connections that nobody uses and that are not idle
}

// Stats counts what the pools of a loop did.
type Stats struct {
	Dials   uint64 // connections opened
	Reuses  uint64 // exchanges on a connection that had carried another
	Idle    int    // connections waiting now
	Evicted uint64 // idle connections closed to stay within the budget or to make room
	Refused uint64 // connects that were not made, for the address is none of a backend's
	Repeats uint64 // requests sent a second time
	// Withheld are requests that were not, for the backend's budget was used up.
	Withheld uint64
	Surplus  uint64 // connections closed because a backend sent what was not asked for
}

// Add adds another loop's counts.
func (s *Stats) Add(o Stats) {
	s.Dials += o.Dials
	s.Reuses += o.Reuses
	s.Idle += o.Idle
	s.Evicted += o.Evicted
	s.Refused += o.Refused
	s.Repeats += o.Repeats
	s.Withheld += o.Withheld
	s.Surplus += o.Surplus
}

// NewCache returns the shared part for a loop. Its idle connections over all backends are no more than budget, nor than room
// says that the loop has descriptors for; limits are those of answers.
func NewCache(l *loop.Loop, t *tlsconn.Host, budget int, room func() int, limits http1.Limits) *Cache {
	return &Cache{loop: l, tls: t, limits: &limits, budget: max(budget, 1), room: room}
}

// Trim closes the idle connections that are too many, those that have waited longest first. To be called when the loop has
// less room than before.
func (c *Cache) Trim() {
	for c.idle > 0 && c.idle > min(c.budget, c.room()) {
		c.stats.Evicted++
		c.oldest.discard()
	}
}

// Stats returns the counts. To be called on the loop's thread.
func (c *Cache) Stats() Stats {
	s := c.stats
	s.Idle = c.idle
	return s
}

// Forsake closes the idle connections to an endpoint.
func (c *Cache) Forsake(e *endpoint.Endpoint) {
	for o := c.oldest; o != nil; {
		next := o.lruNext
		if o.place.endpoint == e {
			o.discard()
		}
		o = next
	}
}

// DropIdle closes every idle connection of the loop.
func (c *Cache) DropIdle() {
	for c.oldest != nil {
		c.oldest.discard()
	}
}

// Pool is one backend's connections on one loop.
type Pool struct {
	cache    *Cache
	secure   *atomic.Pointer[tlsconn.Client] // nil without TLS
	places   []place                         // by their place in the group
	one      [1]place                        // those of most
	turn     uint64
	closed   bool
	timeouts Timeouts
}

// place is one endpoint's connections.
type place struct {
	endpoint *endpoint.Endpoint
	newest   *Conn // idle ones, most recently used first
	at       int
	epoch    uint32 // of the endpoint, when the idle ones were found good
}

// current reports that the endpoint has not been ejected since the idle connections were; if it has, they are dropped.
func (p *place) current() bool {
	e := p.endpoint.Epoch()
	if p.epoch == e {
		return true
	}
	p.epoch = e
	p.drop()
	return false
}

// drop closes the idle connections.
func (p *place) drop() {
	for p.newest != nil {
		p.newest.discard()
	}
}

// NewPool returns a pool without connections for a backend that has an endpoint at least. New connections are secured with
// what secure holds then; nil: they are not. To be called on the loop's thread or before it runs.
func NewPool(c *Cache, g *endpoint.Group, secure *atomic.Pointer[tlsconn.Client], t Timeouts) *Pool {
	p := &Pool{cache: c, secure: secure, timeouts: t}
	if p.places = p.one[:]; g.Len() > 1 {
		p.places = make([]place, g.Len())
	}
	for i := range p.places {
		e := g.At(i)
		p.places[i] = place{endpoint: e, at: i, epoch: e.Epoch()}
	}
	return p
}

// Close drops the idle connections; those that are lent end with their exchange.
func (p *Pool) Close() {
	p.closed = true
	for i := range p.places {
		p.places[i].drop()
	}
}

// Reuse says which idle connections may be lent.
type Reuse uint8

// The values of Reuse. An idle connection closes when the backend wants, perhaps just now: what is sent then is lost, and
// nobody knows whether it was read before (RFC 9112, section 9.3.1). If the backend turns out to have spoken or closed
// before the request leaves, the user is told that the connection is lost, and the request is Unsent.
const (
	// ReuseAny lends any.
	ReuseAny Reuse = iota
	// ReuseRecent lends one that was used within the last second and that the kernel has heard nothing on.
	ReuseRecent
	// ReuseNone opens a new one.
	ReuseNone
)

// recent is how long ago ReuseRecent allows the last use to be, ns.
const recent = int64(time.Second)

// Get lends a connection to u: of the endpoint that the group picks the most recently used idle one that reuse allows,
// else a new one, whose connect is under way: if the endpoint cannot be reached, to the next one. The group has the same
// endpoints as the pool. safe says that the request may be sent a second time, stay is as
// in [endpoint.Wish]. A fault says that no endpoint is in service
// (FaultDown), or why no attempt could even be started.
func (p *Pool) Get(u User, reuse Reuse, g *endpoint.Group, safe bool, stay int) (*Conn, message.Fault) {
	return p.get(u, reuse, g, endpoint.Wish{Safe: safe, Stay: stay})
}

func (p *Pool) get(u User, reuse Reuse, g *endpoint.Group, w endpoint.Wish) (*Conn, message.Fault) {
	p.turn++
	w.Now, w.Turn = p.cache.loop.Now(), p.turn
	at := g.Pick(w)
	if at == endpoint.None {
		return nil, message.FaultDown
	}
	to := &p.places[at]
	to.current()
	for c := to.newest; c != nil && reuse != ReuseNone; c = to.newest {
		if reuse == ReuseRecent && p.cache.loop.Now()-c.idleSince > recent {
			break // the others have waited longer
		}
		// What has come meanwhile would be taken for the next answer.
		if !c.stream.Silent() || c.wire.Ready() || c.secure != nil && c.secure.tls.Begun() || !c.current() || reuse == ReuseRecent && !c.stream.Healthy() {
			c.discard()
			continue
		}
		// Counted before it is taken off the lists: an atomic waits for what was written before it, and the neighbours there
		// are in no cache.
		c.lend(u, g)
		c.unlist()
		c.stay = w.Stay
		c.reused, c.guarded = true, true
		p.cache.stats.Reuses++
		return c, message.FaultNone
	}
	p.cache.Trim()
	c := &Conn{pool: p, group: g, stay: w.Stay, place: to, loop: p.cache.loop}
	c.machine.Init(p.cache.limits)
	if fault := c.dial(at); fault != message.FaultNone {
		return nil, fault
	}
	p.cache.stats.Dials++
	c.lend(u, g)
	return c, message.FaultNone
}

// yield closes an idle connection, if there is one, for want of what err says: its descriptor is better used now. Ports are
// counted by the address they lead to, so for want of one it is the oldest to the same address, which is reset: closed, it
// would keep its port for a minute (TIME_WAIT).
func (c *Cache) yield(err syscall.Errno, to netip.AddrPort) bool {
	o := c.oldest
	if err == syscall.EADDRNOTAVAIL { // the kernel has looked at every port for as long
		for o != nil && o.stream.Peer() != to {
			o = o.lruNext
		}
		if o != nil {
			o.wire.Reset()
		} else {
			o = c.oldest
		}
	}
	if o == nil {
		return false
	}
	o.discard()
	c.stats.Evicted++
	return true
}

// reaches reports whether the connection still leads to an address of its endpoint.
func (c *Conn) reaches() bool {
	e := c.place.endpoint
	w := e.Where()
	if w == c.where {
		return true
	}
	c.where = w
	return e.Reaches(c.stream.Peer())
}

// list puts a connection to the idle ones.
func (c *Conn) list() {
	p, cache := c.place, c.pool.cache
	c.idleSince = c.loop.Now()
	c.poolNext, c.poolPrev = p.newest, nil
	if p.newest != nil {
		p.newest.poolPrev = c
	}
	p.newest = c
	c.lruPrev, c.lruNext = cache.newest, nil
	if cache.newest != nil {
		cache.newest.lruNext = c
	} else {
		cache.oldest = c
	}
	cache.newest = c
	cache.idle++
	c.listed = true
	cache.Trim()
}

func (c *Conn) unlist() {
	if !c.listed {
		return
	}
	p, cache := c.place, c.pool.cache
	if c.poolPrev != nil {
		c.poolPrev.poolNext = c.poolNext
	} else {
		p.newest = c.poolNext
	}
	if c.poolNext != nil {
		c.poolNext.poolPrev = c.poolPrev
	}
	if c.lruPrev != nil {
		c.lruPrev.lruNext = c.lruNext
	} else {
		cache.oldest = c.lruNext
	}
	if c.lruNext != nil {
		c.lruNext.lruPrev = c.lruPrev
	} else {
		cache.newest = c.lruPrev
	}
	c.poolNext, c.poolPrev, c.lruNext, c.lruPrev = nil, nil, nil, nil
	cache.idle--
	c.listed = false
}

// faultOf says what a failed connect means. Want of descriptors, ports or memory is ours and never counts against the
// backend.
func faultOf(err syscall.Errno) message.Fault {
	switch err {
	case 0:
		return message.FaultNone
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EADDRINUSE:
		return message.FaultLocal
	case syscall.ETIMEDOUT:
		return message.FaultConnectTimeout
	}
	return message.FaultRefused
}

// Expect asks the memory for what Get will touch of the pool, ExpectConn for what it and the exchange after it will of the
// connection that is lent: where that is must have come before.
func (p *Pool) Expect() { prefetch.All(p) }

// ExpectConn: see Expect.
func (p *Pool) ExpectConn() {
	if c := p.places[0].newest; c != nil {
		prefetch.All(c)
		c.stream.Expect()
	}
}

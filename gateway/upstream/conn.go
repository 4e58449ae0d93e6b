// SPDX-License-Identifier: EUPL-1.2

package upstream

import (
	"net/netip"
	"syscall"

	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
)

// Conn is one connection to a backend. It is lent to one [User] at a time. Owned by its loop's thread.
type Conn struct {
	pool    *Pool
	group   *endpoint.Group // of the exchange's snapshot
	stay    int             // as in endpoint.Wish
	place   *place          // of the pool: the endpoint that is tried first, until the connection stands
	loop    *loop.Loop
	stream  *loop.Stream // nil until the connection stands
	wire    wire         // the stream as it is, or TLS over it
	secure  *secure      // TLS, also while its handshake is under way; nil without
	dialing *dialer
	user    User // nil while idle or closed
	machine http1.Client

	gather []byte // sent by the user, not yet written
	kept   []byte // of what was sent, for sending it again; what waits in the stream is there
	in     []byte // an incomplete head

	chunked  bool // the request's body
	isHEAD   bool
	upgrade  bool
	replay   bool // the request may be sent again after the backend has seen it
	sentEnd  bool // the request has been handed over whole
	answers  bool // octets of a response have come
	headSeen bool // its head has come
	ended    bool // the response has ended
	reused   bool
	guarded  bool // what is sent depends on the backend's silence
	begun    bool // bytes of the request have been written,
	earlier  bool // and some of them before the end of this turn, so that they may have left
	gone     bool // some of it is held nowhere
	paused   bool
	tunnel   bool // the backend has changed the protocol
	finish   bool // FIN follows when the kernel has taken everything
	parting  bool // as part says
	closed   bool
	since    int64          // loop time of the last byte either way
	began    int64          // loop time at which it was lent
	keep     int64          // how long it may be idle, ns
	where    endpoint.Where // when the peer was one of the endpoint's addresses

	counted            bool // among the requests at the endpoint
	listed             bool
	idleSince          int64
	poolNext, poolPrev *Conn
	lruNext, lruPrev   *Conn
}

// wire is the octets of HTTP. Everything else is the stream's.
type wire interface {
	Read(b []byte) (int, loop.ReadStatus)
	Write(b []byte) bool
	// Give is Write for a buffer of the loop, which is returned when it is sent.
	Give(b []byte) bool
	// Ready reports whether a Read might find something.
	Ready() bool
	// CloseWrite ends what is written; call it again when the stream has drained, if it had not.
	CloseWrite()
	Close()
	Reset()
}

func (c *Conn) lend(u User, g *endpoint.Group) {
	c.user, c.group = u, g
	c.enter()
	c.answers, c.headSeen, c.ended, c.reused, c.guarded, c.begun, c.earlier, c.gone, c.paused, c.sentEnd = false, false, false, false, false, false, false, false, false, false
	c.since = c.loop.Now()
	c.began = c.since
	c.keep = int64(c.pool.timeouts.Keep)
}

// Reused reports that the connection has carried another exchange before.
func (c *Conn) Reused() bool { return c.reused }

// Endpoint is the address of the backend, zero while there is no connection to one, and of a Unix socket.
func (c *Conn) Endpoint() netip.AddrPort {
	switch {
	case c.stream != nil:
		return c.stream.Peer()
	case c.secure != nil:
		return c.secure.stream.Peer()
	}
	return netip.AddrPort{}
}

// Socket is the endpoint's URL if a Unix socket was reached, else "".
func (c *Conn) Socket() string {
	if e := c.place.endpoint; c.stream != nil && e.Network() == endpoint.Unix {
		return e.URL()
	}
	return ""
}

// Place is that of the endpoint in its group: the one that was reached, or is tried first.
func (c *Conn) Place() int { return c.place.at }

func (c *Conn) giveBack(b *[]byte) {
	if *b != nil {
		c.loop.Return(*b)
		*b = nil
	}
}

// arm sets the timer to the earliest moment at which something may be late. More to send makes the wait for a backend that takes
// nothing no longer.
func (c *Conn) arm() {
	t := &c.pool.timeouts
	due := c.loop.Now() + int64(min(t.FirstByte, t.Idle))
	if c.stream.Pending() > 0 {
		due = min(due, c.stream.Moved()+int64(t.Idle))
	}
	c.stream.SetTimer(due)
}

// Expire finds out what is late, if anything. How long a tunnel may be silent is its user's business.
func (c *Conn) Expire(now int64) {
	t := &c.pool.timeouts
	if c.parting {
		c.partLater(now)
		return
	}
	if c.user == nil {
		if left := c.idleSince + c.keep; left > now {
			c.stream.SetTimer(left)
			return
		}
		c.discard()
		return
	}
	late := message.FaultNone
	since, limit := c.since, int64(t.Idle)
	switch {
	case c.Pending() > 0:
		if since = c.stream.Moved(); now-since >= limit {
			late = message.FaultWriteTimeout
		}
	case c.tunnel:
		return
	case c.headSeen:
		if !c.paused && now-since >= limit {
			late = message.FaultIncomplete
		}
	case c.sentEnd:
		limit = int64(t.FirstByte)
		if now-since >= limit {
			late = message.FaultResponseTimeout
		}
	}
	if late != message.FaultNone {
		c.fail(late)
		return
	}
	next := since + limit
	if next <= now {
		next = now + limit
	}
	c.stream.SetTimer(next)
}

// stand begins HTTP on a connection that stands.
func (c *Conn) stand(s *loop.Stream, w wire) {
	c.stream, c.wire = s, w
	s.Own(c)
	c.since = c.loop.Now()
	waited := len(c.gather) > 0
	c.Flush()
	if waited && c.user != nil && s.Pending() == 0 {
		c.user.UpstreamDrained()
	}
}

// Connected is the dialer's business.
func (c *Conn) Connected(syscall.Errno) {}

// Spoke says that the backend spoke, or closed, before the request left.
func (c *Conn) Spoke() {
	c.begun, c.earlier = false, false
	if _, st := c.wire.Read(c.loop.ReadBuffer()); st == loop.Data {
		c.pool.cache.stats.Surplus++
	}
	c.lost()
}

// Stuck says that the backend does not take what was written. Pending says so too.
func (c *Conn) Stuck() { c.arm() }

// Drained says that the queue is empty.
func (c *Conn) Drained() {
	c.since = c.loop.Now()
	c.fin()
	if c.parting {
		if !c.finish {
			c.discard()
		}
		return
	}
	if c.user != nil {
		c.user.UpstreamDrained()
	}
	if c.secure != nil && !c.closed && c.wire.Ready() { // it may have been too much to go on reading
		c.stream.Again()
	}
}

// Broken reads what is left before the reset.
func (c *Conn) Broken() {
	if c.stream.Dead() {
		c.lost()
		return
	}
	c.Readable()
}

// lost fails a connection that has gone away.
func (c *Conn) lost() {
	f := message.FaultLost
	switch {
	case c.headSeen:
		f = message.FaultIncomplete
	case c.secure != nil && !c.reused && !c.answers && c.secure.tls.Rejected():
		f = message.FaultTLS // it refuses the certificate that we have shown
	}
	c.fail(f)
}

// fail tells the user, who aborts the connection.
func (c *Conn) fail(f message.Fault) {
	if c.user != nil {
		c.blame(f)
	}
	if u := c.user; u != nil {
		u.UpstreamFailed(f)
	}
	if c.user == nil {
		c.discard()
	}
}

// Done gives the connection back. It is kept if clean (the request was handed over whole, and all of it has left) and if
// the response was framed perfectly, nothing came after it, the backend keeps the connection too and has not moved.
func (c *Conn) Done(clean bool) {
	c.user = nil
	c.leave()
	c.giveBack(&c.kept)
	if clean && c.ended && !c.pool.closed && c.place.current() && c.keep > 0 && c.Pending() == 0 && !c.stream.Held() &&
		c.machine.Reusable() && c.current() && c.reaches() && c.silent() {
		c.list()
		if !c.closed {
			c.stream.SetTimer(c.idleSince + c.keep)
		}
		return
	}
	if !c.part() {
		c.discard()
	}
}

// silent reports that the backend has said nothing more.
func (c *Conn) silent() bool {
	if !c.wire.Ready() {
		return true
	}
	c.stream.Settle()
	return !c.wire.Ready()
}

// Abort breaks the connection off: what was sent of the request does not look whole to the backend.
func (c *Conn) Abort() {
	c.user = nil
	if c.stream != nil && !c.closed {
		c.wire.Reset()
	}
	c.discard()
}

// discard closes the connection and frees what it holds.
func (c *Conn) discard() {
	if c.closed {
		return
	}
	c.unlist()
	c.leave()
	if c.closed = true; c.parting {
		c.parting = false
		c.pool.cache.parting--
	}
	if c.dialing != nil {
		c.dialing.stop(nil)
	}
	switch {
	case c.stream != nil:
		c.wire.Close()
	case c.secure != nil:
		c.secure.tls.Close()
	}
	c.giveBack(&c.gather)
	c.giveBack(&c.kept)
	c.giveBack(&c.in)
}

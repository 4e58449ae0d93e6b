// SPDX-License-Identifier: EUPL-1.2

package http3

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http3/wire"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

const (
	// wasteful is how many requests a client may reset before they are answered, or make us reset, in a row; one more
	// every wastefulEvery.
	wasteful      = 200
	wastefulEvery = 50 * time.Millisecond
	// wastefulPause is what passes between the requests of who has wasted a quarter of that.
	wastefulPause = time.Millisecond
	// everyStream is above every stream's number: GOAWAY with it warns only (RFC 9114, section 5.2).
	everyStream = 1<<62 - 4
)

// connection is one client connection. Its goroutines are those of serve, of its requests and, unless they rest, of its
// unidirectional streams.
type connection struct {
	server   *Server
	socket   *socket
	quic     *quic.Conn
	host     *Host
	config   *tlsconn.Config
	network  netip.Addr // it is counted for
	turn     uint64     // of the sweep in which it is looked at
	control  *quic.SendStream
	accepted *exchange.Client // as of the latest request; serve's
	from     net.Addr         // its address

	requests atomic.Uint64 // that have begun
	idle     *time.Timer
	wasted   atomic.Int64 // virtual time of the rate of wasted requests
	silence  atomic.Int64 // packets that had come when the first of resting fell silent; awake without one

	// mu guards what is below.
	mu      sync.Mutex
	active  int // requests that have not ended
	since   time.Time
	opened  uint64  // the number of the next request's stream
	goingTo uint64  // streams from this number on are refused
	seen    [4]bool // types of streams that come once
	unknown int
	closed  bool
	resting []func() // what reads its unidirectional streams when something has come
}

// prepare says who we are. It reports false if that fails: then the connection is none.
func (c *connection) prepare() (ready bool) {
	defer c.survive()
	c.idle = time.AfterFunc(c.server.options.Timeouts.Head, c.rested)
	ctx, cancel := context.WithTimeout(c.quic.Context(), c.server.options.Timeouts.Head)
	control, err := c.quic.OpenUniStreamSync(ctx)
	cancel()
	if err != nil {
		c.end(wire.StreamCreationError, conn.NoRequest)
		return false
	}
	return c.greet(control)
}

// serve takes the client's requests, most of the time by waiting for one: it is begun on a small stack, behind prepare.
func (c *connection) serve() {
	defer c.server.forget(c)
	defer c.survive()
	for {
		s, err := c.quic.AcceptStream(c.quic.Context())
		if err != nil {
			return
		}
		if c.silence.Load() != awake {
			c.wake() // what came before the request is seen before it is answered
		}
		if c.request(s); c.wasted.Load()-int64(time.Since(c.server.started)) > int64(wasteful*wastefulEvery)/4 {
			time.Sleep(wastefulPause) // whoever has better manners is served first
		}
	}
}

// greet begins our control stream. What fits a packet is written without waiting.
func (c *connection) greet(control *quic.SendStream) bool {
	_, err := control.Write(wire.AppendControl(nil, c.server.options.Limits.Head, c.socket.heads.WebSocket))
	c.mu.Lock()
	c.control = control
	goingTo := c.goingTo
	c.mu.Unlock()
	if goingTo != math.MaxUint64 { // it was to be told while there was no stream for it
		c.goAway(goingTo)
	}
	return err == nil
}

// request begins a request, unless it came after the goodbye.
func (c *connection) request(q *quic.Stream) {
	c.mu.Lock()
	id := uint64(q.StreamID())
	refused := id >= c.goingTo || c.active > 0 && c.host.pressed() // one at a time then, as over HTTP/1.1
	if !refused {
		c.active++
		c.opened = id + 4
	}
	c.mu.Unlock()
	if refused {
		q.CancelRead(quic.StreamErrorCode(wire.RequestRejected))
		q.CancelWrite(quic.StreamErrorCode(wire.RequestRejected))
		q.ReleaseStreamCredit()
		return
	}
	c.requests.Add(1)
	s := &stream{connection: c, quic: q, client: c.client(), length: -1}
	s.out.wake = make(chan struct{}, 1)
	c.server.employ(s)
}

// client is who asks now: a connection may move to another address (RFC 9000, section 9).
func (c *connection) client() *exchange.Client {
	if from := c.quic.RemoteAddr(); from != c.from {
		c.from = from
		if a := address(from); a != c.accepted.Addr {
			moved := *c.accepted
			moved.Addr, moved.Text = a, a.AppendTo(nil)
			c.accepted = &moved
		}
	}
	return c.accepted
}

func address(a net.Addr) netip.Addr {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return udp.AddrPort().Addr().Unmap()
}

// finished notes that a request has ended.
func (c *connection) finished() {
	c.mu.Lock()
	c.active--
	c.since = time.Now()
	c.mu.Unlock()
}

// speaks reports whether there is a request that has not ended, or so lately that its answer is still on its way to the
// kernel.
func (c *connection) speaks() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active > 0 || c.requests.Load() > 0 && time.Since(c.since) < lastWords/4
}

// rested looks whether the connection has been without a request for too long.
func (c *connection) rested() {
	most := c.server.patience()
	c.mu.Lock()
	left := most - time.Since(c.since)
	busy := c.active > 0
	c.mu.Unlock()
	switch {
	case busy:
		c.idle.Reset(most)
	case c.requests.Load() == 0:
		c.end(wire.NoError, conn.NoRequest)
	case left > 0:
		c.idle.Reset(left)
	default:
		c.end(wire.NoError, conn.IdleTime)
	}
}

// cancelled counts a request that its client has reset before it was answered.
func (c *connection) cancelled(err error) {
	var reset *quic.StreamError
	if errors.As(err, &reset) && reset.Remote {
		c.waste(conn.RapidReset)
	}
}

// waste counts a request that came to nothing: reset by the client, or by us for what is wrong with it. Who does little
// else wastes our time.
func (c *connection) waste(how conn.Cause) {
	now := time.Since(c.server.started)
	for {
		was := c.wasted.Load()
		next := max(was, int64(now)) + int64(wastefulEvery)
		if next-int64(now) > int64(wasteful*wastefulEvery) {
			c.end(wire.ExcessiveLoad, how)
			return
		}
		if c.wasted.CompareAndSwap(was, next) {
			return
		}
	}
}

// fail ends the connection for what its client did.
func (c *connection) fail(code wire.Code) {
	why := conn.BrokenProtocol
	switch code {
	case wire.ExcessiveLoad:
		why = conn.FrameFlood
	case wire.InternalError:
		c.close(code)
		return
	}
	c.end(code, why)
}

// end closes the connection and counts why.
func (c *connection) end(code wire.Code, why conn.Cause) {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if first && c.quic.Context().Err() == nil {
		c.server.count(why)
		_ = c.quic.CloseWithError(quic.ApplicationErrorCode(code), "")
	}
}

// close closes the connection.
func (c *connection) close(code wire.Code) {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	_ = c.quic.CloseWithError(quic.ApplicationErrorCode(code), "")
}

// survive lives on after a broken invariant, without the connection.
func (c *connection) survive() {
	tell := c.server.options.Panic
	if tell == nil {
		return
	}
	if value := recover(); value != nil {
		tell(value, debug.Stack())
		c.close(wire.InternalError)
	}
}

// drain says goodbye: first that the connection ends, and when final, which requests are still served. When those are, a
// client has the time of a goodbye to take the last answer, for closing drops what is on its way.
func (c *connection) drain(final bool) {
	c.mu.Lock()
	to := uint64(everyStream)
	if final {
		to = c.opened
	}
	tell := c.goingTo != to && (final || c.goingTo == math.MaxUint64)
	if tell {
		c.goingTo = to
	}
	ready := c.control != nil
	done := final && c.active == 0 && time.Since(c.since) >= goodbye
	c.mu.Unlock()
	if tell && ready {
		c.goAway(to)
	}
	if done {
		c.close(wire.NoError)
	}
}

func (c *connection) goAway(to uint64) {
	_, _ = c.control.Write(wire.AppendGoaway(nil, to)) // fits a packet: does not wait
}

// SPDX-License-Identifier: EUPL-1.2

package upstream

import (
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/pvgate/pvgate/gateway/endpoint"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
)

const (
	// attemptDelay is how long one address may be silent before the next is tried beside it (RFC 8305, section 5).
	attemptDelay = 250e6
	// overdue is the silence that counts against an endpoint, though the attempt may go on. Who is asked once a second and
	// takes no connection is out within three.
	overdue = int64(800 * time.Millisecond)
	// fullDelay is how long a Unix socket whose queue is full is left alone. Nothing tells when there is room, and whoever
	// takes no connection for so long as the connect may last is too slow, as over TCP.
	fullDelay = int64(20 * time.Millisecond)
)

// dialer connects to the first of several addresses that answers: the next one is tried at once when one fails, and
// beside it when it is slow. After those of one endpoint come those of the next in service: nothing has been sent to any.
type dialer struct {
	conn     *Conn
	at       int // place of the endpoint that is tried
	others   int // that may be tried after it
	left     []netip.AddrPort
	open     []*attempt
	blamed   []int // places of endpoints that have been told of their failure
	timer    loop.Timer
	began    int64
	deadline int64
	fault    message.Fault // why the last address was none, or else why there is none
}

// attempt is one connect under way.
type attempt struct {
	dialer *dialer
	at     int // place of its endpoint
	began  int64
	full   bool // the queue of a Unix socket was: to be begun again
	stream loop.Stream
}

// begin starts the connect.
func (a *attempt) begin(to netip.AddrPort) syscall.Errno {
	c := a.dialer.conn
	e := c.pool.places[a.at].endpoint
	if e.Network() != endpoint.Unix {
		return c.loop.Dial(to, &a.stream, a)
	}
	err := c.loop.DialUnix(e.Host(), &a.stream, a)
	if a.full = err == syscall.EAGAIN; a.full {
		return 0
	}
	return err
}

// dial starts connecting, at first to the endpoint at a place of the pool; the connection's connected or fail will
// be called, unless a fault is returned.
func (c *Conn) dial(at int) message.Fault {
	now := c.loop.Now()
	d := &dialer{
		conn: c, at: at, others: len(c.pool.places) - 1, began: now, deadline: now + int64(c.pool.timeouts.Connect),
	}
	d.enter()
	c.dialing = d
	if d.next(); len(d.open) == 0 {
		c.dialing = nil
		d.settle(message.FaultRefused) // there is no address
		return d.fault
	}
	d.arm()
	return message.FaultNone
}

// next starts the next attempt that can be started. A full queue is no reason to wait for the others.
func (d *dialer) next() {
	c := d.conn
	for {
		for len(d.left) > 0 {
			to := d.left[0]
			d.left = d.left[1:]
			// Judged here and not when the name was resolved: between the two it may have moved, or the policy have changed.
			if c.pool.places[d.at].endpoint.Refuses(to.Addr()) {
				c.pool.cache.stats.Refused++
				d.settle(message.FaultAddress)
				continue
			}
			a := &attempt{dialer: d, at: d.at, began: c.loop.Now()}
			err := a.begin(to)
			if faultOf(err) == message.FaultLocal && c.pool.cache.yield(err, to) {
				err = a.begin(to)
			}
			if err != 0 {
				d.failed(d.at, faultOf(err))
				continue
			}
			if d.open = append(d.open, a); !a.full {
				return
			}
		}
		for {
			if d.others == 0 {
				return
			}
			d.others--
			d.at = (d.at + 1) % len(c.pool.places)
			if c.group.Serves(d.at, c.loop.Now()) {
				break
			}
		}
		d.enter()
	}
}

// enter turns to the addresses of an endpoint.
func (d *dialer) enter() {
	e := d.conn.pool.places[d.at].endpoint
	if d.left = e.Addresses(); len(d.left) == 0 {
		d.settle(e.Unresolved())
	}
}

// settle notes why there was nothing to connect to, unless a connect has said more.
func (d *dialer) settle(f message.Fault) {
	if d.fault == message.FaultNone {
		d.fault = f
	}
}

// failed notes a failed attempt. The endpoint has failed with its last address, unless the fault is ours.
func (d *dialer) failed(at int, f message.Fault) {
	d.fault = f
	if at == d.at && len(d.left) > 0 || f == message.FaultLocal ||
		slices.ContainsFunc(d.open, func(o *attempt) bool { return o.at == at }) {
		return
	}
	d.blame(at)
}

// blame tells an endpoint, once, that it cannot be reached.
func (d *dialer) blame(at int) {
	if !slices.Contains(d.blamed, at) {
		d.blamed = append(d.blamed, at)
		d.conn.group.Fail(at, endpoint.Unreachable, d.began, d.conn.loop.Now())
	}
}

func (d *dialer) arm() {
	now := d.conn.loop.Now()
	at := d.deadline
	if len(d.left) > 0 || d.others > 0 {
		at = min(at, now+attemptDelay)
	}
	for _, a := range d.open {
		if due := a.began + overdue; due > now {
			at = min(at, due)
		}
		if a.full {
			at = min(at, now+fullDelay)
		}
	}
	d.conn.loop.SetTimer(&d.timer, d, at)
}

// Expire starts a further attempt, or gives up.
func (d *dialer) Expire(now int64) {
	for _, a := range d.open {
		if now >= d.deadline || now-a.began >= overdue {
			d.blame(a.at)
		}
	}
	if now >= d.deadline {
		d.stop(nil)
		d.conn.fail(message.FaultConnectTimeout)
		return
	}
	for _, a := range slices.Clone(d.open) {
		if !a.full {
			continue
		}
		if err := a.begin(netip.AddrPort{}); err != 0 {
			if a.Connected(err); d.conn.dialing != d {
				return
			}
		}
	}
	d.next()
	d.arm()
}

// stop closes all attempts but the winner. An endpoint that another has outrun although it began late is a slow one.
func (d *dialer) stop(winner *attempt) {
	d.conn.loop.StopTimer(&d.timer)
	for _, a := range d.open {
		if a == winner {
			continue
		}
		if winner != nil && a.at != winner.at && d.conn.loop.Now()-a.began >= attemptDelay {
			d.blame(a.at)
		}
		a.stream.Close()
	}
	d.open, d.left, d.others = nil, nil, 0
	d.conn.dialing = nil
}

// Stuck is of no meaning before the connection stands.
func (a *attempt) Stuck() {}

// Connected ends one attempt.
func (a *attempt) Connected(err syscall.Errno) {
	d := a.dialer
	if err == 0 {
		d.stop(a)
		d.conn.connected(&a.stream, a.at, d.deadline)
		return
	}
	a.stream.Close()
	d.open = slices.DeleteFunc(d.open, func(o *attempt) bool { return o == a })
	d.failed(a.at, faultOf(err))
	if d.next(); len(d.open) > 0 {
		d.arm()
		return
	}
	d.stop(nil)
	d.conn.fail(d.fault)
}

// The rest of loop.Owner has no meaning before the connection stands.
func (a *attempt) Readable()    {}
func (a *attempt) Drained()     {}
func (a *attempt) Broken()      {}
func (a *attempt) Expire(int64) {}

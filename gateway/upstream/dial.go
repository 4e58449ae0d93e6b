// SPDX-License-Identifier: EUPL-1.2

package upstream

import (
	"net/netip"
	"syscall"

	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
)

// attemptDelay is how long one address may be silent before the next is tried beside it (RFC 8305, section 5).
const attemptDelay = 250e6

// dialer connects to the first of several addresses that answers: the next one is tried at once when one fails, and
// beside it when it is slow. After those of one endpoint come those of the next: nothing has been sent to any.
type dialer struct {
	conn     *Conn
	at       int // place of the endpoint that is tried
	others   int // that may be tried after it
	left     []netip.AddrPort
	open     []*attempt
	timer    loop.Timer
	deadline int64
	fault    message.Fault // why the last address was none, or else why there is none
}

// attempt is one connect under way.
type attempt struct {
	dialer *dialer
	at     int // place of its endpoint
	stream loop.Stream
}

// dial starts connecting, at first to the endpoint at a place of the pool; the connection's connected or fail will
// be called, unless a fault is returned.
func (c *Conn) dial(at int) message.Fault {
	d := &dialer{
		conn: c, at: at, others: len(c.pool.places) - 1, deadline: c.loop.Now() + int64(c.pool.timeouts.Connect),
	}
	d.enter()
	c.dialing = d
	if !d.next() {
		c.dialing = nil
		return d.fault
	}
	d.arm()
	return message.FaultNone
}

// next starts the next attempt that can be started.
func (d *dialer) next() bool {
	for {
		for len(d.left) > 0 {
			to := d.left[0]
			d.left = d.left[1:]
			// Judged here and not when the name was resolved: between the two it may have moved, or the policy have changed.
			if d.conn.pool.places[d.at].endpoint.Refuses(to.Addr()) {
				d.conn.pool.cache.stats.Refused++
				d.settle(message.FaultAddress)
				continue
			}
			a := &attempt{dialer: d, at: d.at}
			if err := d.conn.loop.Dial(to, &a.stream, a); err != 0 {
				d.fault = faultOf(err)
				continue
			}
			d.open = append(d.open, a)
			return true
		}
		if d.others == 0 {
			return false
		}
		d.others--
		d.at = (d.at + 1) % len(d.conn.pool.places)
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

func (d *dialer) arm() {
	at := d.deadline
	if len(d.left) > 0 || d.others > 0 {
		at = min(at, d.conn.loop.Now()+attemptDelay)
	}
	d.conn.loop.SetTimer(&d.timer, d, at)
}

// Expire starts a further attempt, or gives up.
func (d *dialer) Expire(now int64) {
	if now >= d.deadline {
		d.stop(nil)
		d.conn.fail(message.FaultConnectTimeout)
		return
	}
	d.next()
	d.arm()
}

// stop closes all attempts but the winner.
func (d *dialer) stop(winner *attempt) {
	d.conn.loop.StopTimer(&d.timer)
	for _, a := range d.open {
		if a != winner {
			a.stream.Close()
		}
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
	d.fault = faultOf(err)
	for i, o := range d.open {
		if o == a {
			d.open = append(d.open[:i], d.open[i+1:]...)
			break
		}
	}
	if d.next() {
		d.arm()
		return
	}
	if len(d.open) == 0 {
		d.stop(nil)
		d.conn.fail(d.fault)
	}
}

// The rest of loop.Owner has no meaning before the connection stands.
func (a *attempt) Readable()    {}
func (a *attempt) Drained()     {}
func (a *attempt) Broken()      {}
func (a *attempt) Expire(int64) {}

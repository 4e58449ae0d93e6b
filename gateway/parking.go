// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/loop"
)

// Parking bounds the requests that wait for look-ups; each may hold exchange.MaxHeld octets. The zero value lets nobody
// wait. A network may have as many waiting as it may have connections ([Snapshot].Networks), at most half of all: by one
// connection it can send very many.
type Parking struct {
	Most int           // at once, over all loops
	Wait time.Duration // at most, of one request for all that it has to look up
}

// parking is the process's: the policy in force, and how many wait.
type parking struct {
	most, wait atomic.Int64
	taken      atomic.Int64
	networks   *conn.Networks // whose the places are
	refused    atomic.Uint64  // for want of a place
	crowded    atomic.Uint64  // because their network has its share
	late       atomic.Uint64  // waited in vain
}

func (p *parking) set(policy Parking, networks conn.NetworkPolicy) {
	p.most.Store(int64(policy.Most))
	p.wait.Store(int64(policy.Wait))
	networks.Most = min(networks.Most, max(policy.Most/2, 1))
	p.networks.Set(networks)
}

// take takes a place for a client.
func (p *parking) take(client netip.Addr) bool {
	switch {
	case p.taken.Add(1) > p.most.Load():
		p.taken.Add(-1)
		p.refused.Add(1)
	case !p.networks.Enter(client):
		p.leave(client)
		p.crowded.Add(1)
	default:
		return true
	}
	return false
}

// leave gives it back.
func (p *parking) leave(client netip.Addr) {
	p.networks.Leave(client)
	p.taken.Add(-1)
}

// berth is the place of an exchange that waits for a look-up; it implements exchange.Ticket and loop.Expirer. Owned by its
// loop's thread, except that done comes on any. It is not used for another exchange before the message of that has come: a
// late message is about an exchange that has left, never about another one.
type berth struct {
	node   *node
	x      *exchange.Exchange // nil when it has left
	client netip.Addr
	lookup exchange.Lookup
	timer  loop.Timer
	done   func()
}

// LookupWait is how long a request may wait for look-ups.
func (n *node) LookupWait() time.Duration { return time.Duration(n.server.parking.wait.Load()) }

// Park lets x wait for a look-up until a loop time. When memory is short nobody may.
func (n *node) Park(x *exchange.Exchange, l exchange.Lookup, until int64) (exchange.Ticket, exchange.Parking) {
	client := x.Peer()
	if until <= n.loop.Now() || n.Pressure() != exchange.Calm || !n.server.parking.take(client) {
		return nil, exchange.ParkedNowhere
	}
	var b *berth
	if k := len(n.berths); k > 0 {
		b, n.berths = n.berths[k-1], n.berths[:k-1]
	} else {
		b = &berth{node: n}
		arrive := b.arrive
		b.done = func() { n.loop.Queue(arrive) } // a source that ends to be silent is heard by all who wait
	}
	b.x, b.client, b.lookup = x, client, l
	if !l.Want(n.server.parking.networks.Of(client), b.done) {
		b.leave()
		b.free()
		return nil, exchange.NothingToWaitFor
	}
	n.loop.SetTimer(&b.timer, b, until)
	return b, exchange.ParkedThere
}

// leave gives the place back.
func (b *berth) leave() {
	b.node.loop.StopTimer(&b.timer)
	b.node.server.parking.leave(b.client)
	b.x, b.lookup = nil, nil
}

// freeBerths bounds a loop's stock of berths.
const freeBerths = 1024

func (b *berth) free() {
	if n := b.node; len(n.berths) < freeBerths {
		n.berths = append(n.berths, b)
	}
}

// arrive takes the message that all has been heard.
func (b *berth) arrive() {
	x := b.x
	if x == nil {
		b.node.stale++
		b.free()
		return
	}
	b.leave()
	b.free()
	x.Looked()
}

// Expire ends a wait that has lasted long enough.
func (b *berth) Expire(int64) {
	x := b.x
	b.node.server.parking.late.Add(1)
	b.Quit()
	x.LookedInVain()
}

// Quit gives the place back at once, even if a message is on its way.
func (b *berth) Quit() {
	never := b.lookup.Cancel()
	if b.leave(); never {
		b.free()
	}
}

// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"crypto/rand"
	mathrand "math/rand/v2"
	"net/netip"
	"time"

	"github.com/pvgate/pvgate/gateway/accesslog"
	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/http1"
	"github.com/pvgate/pvgate/gateway/http3"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/meter"
	"github.com/pvgate/pvgate/gateway/tlsconn"
	"github.com/pvgate/pvgate/gateway/upstream"
)

// node is one loop with all that lives on it; it implements exchange.Host.
type node struct {
	server    *Server
	loop      *loop.Loop
	index     int
	host      *conn.Host
	tls       *tlsconn.Host
	http3     *http3.Host // nil without a listener that needs it
	cache     *upstream.Cache
	meter     meter.Meter
	log       *accesslog.Ring // nil without an access log
	random    *mathrand.ChaCha8
	scratch   exchange.Scratch
	date      []byte
	dateOf    int64
	listeners []*loop.Listener
	tunnels   int // places taken
	share     share
	tickets   []*ticket // to be used again
	berths    []*berth  // the same
	stale     uint64    // grants and answers for who had left
	draining  bool
}

func newNode(s *Server, l *loop.Loop) *node {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails (crypto/rand)
	n := &node{server: s, loop: l, index: l.Index(), random: mathrand.NewChaCha8(seed)}
	if s.options.AccessLog != nil {
		n.log = s.options.AccessLog.NewRing()
	}
	all := s.options.Descriptors
	n.share.descriptors = (all - reserved(all)) / s.options.Loops
	n.tls = tlsconn.NewHost(l, s.workers)
	limits := http1.DefaultLimits()
	limits.Head, limits.Fields = s.options.ResponseHead, s.options.ResponseFields
	n.cache = upstream.NewCache(l, n.tls, all/2/s.options.Loops, n.room, limits)
	n.host = conn.NewHost(l, n.tls, n, &s.options.Limits, s.options.Timeouts, s.networks)
	return n
}

// room is how many connections to backends may wait beside all others of the loop: a loop that has more descriptors than its
// share takes them from another, which could not close them.
func (n *node) room() int { return n.share.free(n.held()) }

// held is how many descriptors the loop's connections have but those for requests and those that wait for one.
func (n *node) held() int { return n.host.Held() + n.cache.Parting() }

// Now, Wall, Snapshot, Date, Random and Record are the exchange's surroundings.

// Now returns the loop's time.
func (n *node) Now() int64 { return n.loop.Now() }

// Scratch is the loop's.
func (n *node) Scratch() *exchange.Scratch { return &n.scratch }

// Late reports whether the loop lets wait too long what has come in.
func (n *node) Late() bool { return n.loop.Late() }

// Wall returns the wall clock.
func (n *node) Wall() time.Time { return n.loop.Wall() }

// Snapshot returns this loop's view of the generation in service.
func (n *node) Snapshot() *exchange.Snapshot { return &n.server.current.Load().views[n.index] }

// Date returns the Date field's value, rendered once a second.
func (n *node) Date() []byte {
	if s := n.loop.Wall().Unix(); s != n.dateOf {
		n.dateOf = s
		n.date = n.loop.Wall().UTC().AppendFormat(n.date[:0], "Mon, 02 Jan 2006 15:04:05 GMT")
	}
	return n.date
}

// Random fills b with bytes that cannot be guessed (they name traces).
func (n *node) Random(b []byte) { _, _ = n.random.Read(b) }

// AdmitTunnel takes one of this loop's places for tunnels.
func (n *node) AdmitTunnel() bool {
	if n.tunnels >= max(n.server.options.MaxTunnels/n.server.options.Loops, 1) {
		return false
	}
	n.tunnels++
	return true
}

// LeaveTunnel gives it back.
func (n *node) LeaveTunnel() { n.tunnels-- }

// Tunnelled counts octets of a tunnel.
func (n *node) Tunnelled(backend, in, out int) { n.meter.Tunnelled(backend, in, out) }

// Record counts a finished exchange, and notes it in the access log.
func (n *node) Record(r *exchange.Record) {
	n.meter.Record(r)
	if n.log != nil {
		n.log.Record(r, n.loop.Wall().UnixNano())
	}
}

// listen accepts on a socket; index is the listener's in the configuration.
func (n *node) listen(fd int32, index int, on Listener) error {
	ln, err := n.loop.Listen(fd, func(l *loop.Loop) loop.Accepted {
		of := n.server.nodes[l.Index()]
		return func(_ *loop.Loop, fd int32, peer netip.AddrPort) {
			var config *tlsconn.Config
			if on.TLS != nil {
				config = on.TLS()
			}
			of.host.Accept(fd, peer, index, on.Protocols&^conn.HTTP3, config)
			of.cache.Trim()
		}
	})
	if err != 0 {
		return err
	}
	n.listeners = append(n.listeners, ln)
	return nil
}

// drain stops accepting and lets what is there end.
func (n *node) drain() {
	n.draining = true
	for _, ln := range n.listeners {
		ln.Close()
	}
	n.host.Drain()
}

// cut breaks off what is left and stops the loop.
func (n *node) cut() {
	n.host.Cut()
	if n.http3 != nil {
		n.http3.Cut()
	}
	n.cache.DropIdle()
	n.loop.Stop()
}

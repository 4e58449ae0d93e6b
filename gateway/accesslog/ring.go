// SPDX-License-Identifier: EUPL-1.2

package accesslog

import (
	"net/netip"
	"sync/atomic"

	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/reason"
)

// maxName is the longest name of a sender or a backend.
const maxName = 40

// entry is one line before it is rendered. It holds no pointers: the garbage collector passes rings by, and nothing
// that a request pointed to is kept alive.
type entry struct {
	time     int64 // wall clock, ns
	bytesIn  int64
	bytesOut int64
	total    int64 // ns
	upstream int64 // ns
	queued   int64 // ns
	leistung uint64
	kreis    uint32
	backend  int32
	status   uint16
	port     uint16 // of the endpoint; of a Unix socket its number

	protocol exchange.Protocol
	reason   reason.Code
	method   message.Method
	agent    exchange.Agent
	note     uint8
	land     uint8
	mode     uint8
	attempt  uint8
	peer     family // of prefix
	family   family // of endpoint
	sendLen  uint8
	prefix   [6]byte // the peer's address, cut to /24 or /48
	snapshot [8]byte
	endpoint [16]byte
	trace    [32]byte
	sender   [maxName]byte
}

type family uint8

const (
	noFamily family = iota
	ipv4
	ipv6
	unixSocket
)

const (
	modeNone uint8 = iota
	modeRedirect
	modeProxy
)

// Ring carries lines from one loop to the log. Record belongs to the loop's thread.
type Ring struct {
	noted   map[string]uint8
	sockets *sockets
	entries []entry
	next    uint64 // as head; the producer's own
	seen    uint64 // tail as the producer last saw it
	_       [64]byte
	head    atomic.Uint64 // written by the producer
	dropped atomic.Uint64 // the same
	_       [64]byte
	tail    atomic.Uint64 // written by the log
}

// Record notes a finished exchange at wall clock time now, ns since 1970, or drops it if the ring is full.
func (r *Ring) Record(rec *exchange.Record, now int64) {
	if r.next-r.seen == ringSize {
		if r.seen = r.tail.Load(); r.next-r.seen == ringSize {
			r.dropped.Add(1)
			return
		}
	}
	e := &r.entries[r.next%ringSize]
	e.time, e.total, e.upstream, e.queued = now, rec.Total, rec.Upstream, rec.Queued
	e.bytesIn, e.bytesOut = rec.BytesIn, rec.BytesOut
	e.protocol, e.status, e.reason, e.method, e.land = rec.Protocol, uint16(rec.Status), rec.Reason, rec.Method, rec.Land
	e.leistung, e.kreis, e.backend = rec.Key, rec.Kreis, int32(rec.Backend)
	e.agent, e.attempt, e.snapshot = rec.Agent, rec.Attempts, rec.Snapshot
	e.mode = modeNone
	switch {
	case rec.Proxied:
		e.mode = modeProxy
	case rec.Backend != -1:
		e.mode = modeRedirect
	}
	e.note = uint8(rec.Tunnel)
	if rec.Note != "" {
		e.note = r.noted[rec.Note]
	}
	e.sendLen = uint8(copy(e.sender[:], rec.SenderName))
	if copy(e.trace[:], rec.Trace) != len(e.trace) {
		e.trace = [32]byte{}
	}
	e.cut(rec.Peer)
	e.reached(rec.Endpoint)
	if rec.Socket != "" {
		e.family, e.port = unixSocket, r.sockets.number(rec.Socket)
	}
	r.next++
	r.head.Store(r.next)
}

// cut keeps of an address what may be kept: /24, or /48.
func (e *entry) cut(a netip.Addr) {
	switch a = a.Unmap(); {
	case a.Is4():
		b := a.As4()
		e.peer = ipv4
		copy(e.prefix[:], b[:3])
	case a.Is6():
		b := a.As16()
		e.peer = ipv6
		copy(e.prefix[:], b[:6])
	default:
		e.peer = noFamily
	}
}

// reached notes the endpoint.
func (e *entry) reached(to netip.AddrPort) {
	a := to.Addr()
	e.family, e.port = noFamily, to.Port()
	switch {
	case a.Is4():
		b := a.As4()
		e.family = ipv4
		copy(e.endpoint[:], b[:])
	case a.Is6():
		e.family, e.endpoint = ipv6, a.As16()
	}
}

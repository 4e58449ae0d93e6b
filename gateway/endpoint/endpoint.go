// SPDX-License-Identifier: EUPL-1.2

// Package endpoint is what is known of the addresses at which a backend answers: where they are, how much they have to
// do, how fast they are, and whether it is of use to try them.
//
// The calls you want: [Book.Group] when a snapshot is built and [Book.Apply] when it is put in service; on the request
// path [Group.Pick] says at which endpoint a request is tried, [Group.Enter] and [Endpoint.Leave] count it there, and
// [Group.Succeed] or [Group.Fail] tell what came of it. An endpoint is known by its URL within its backend, and its state
// outlives snapshots.
//
// It deliberately opens no connection for a request, resolves no name and has no clock: the loop's time is an argument.
package endpoint

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/pvgate/pvgate/registry"
)

// Network is how an endpoint is reached.
type Network uint8

// The networks.
const (
	TCP  Network = iota
	Unix         // a socket in the file system
)

// Spec is an endpoint as a configuration describes it.
type Spec struct {
	URL     string // as written; its name within the backend
	Network Network
	Host    string // an address or a name to resolve; of a Unix socket its path
	Port    uint16
	TLS     bool // https
	Weight  int  // its share where several are in service; 0 is 1
	// Addresses are its addresses in the order in which they are tried (RFC 8305, section 4). nil: somebody else stores
	// them, unless it is a Unix socket.
	Addresses []netip.AddrPort
	// Policy says which addresses may be connected to; where Addresses are given, the operator has written them.
	Policy registry.AddressPolicy
}

// Endpoint is one address of a backend. It is safe for concurrent use. What a request touches comes first, in one cache
// line: with thousands of backends it waits for each.
type Endpoint struct {
	// state is a State; that and whatever else says how it stands is changed under backend.mu.
	state    atomic.Uint32
	failures atomic.Int32 // in a row, by their weight
	inFlight atomic.Int64
	epoch    atomic.Uint32
	network  Network
	tls      bool
	port     uint16
	resolved atomic.Pointer[resolved]
	policy   atomic.Pointer[registry.AddressPolicy]
	backend  *backend
	latency  atomic.Int64 // of answers, ns: a peak, fading
	heard    atomic.Int64 // loop time of the last answer, or of the first request that waits for one; latency is as of then

	since   atomic.Int64 // loop time at which the state began
	until   atomic.Int64 // out: loop time from which a request may be tried; returning: at which that is over
	window  atomic.Int64 // returning: how many requests may be there at once
	ejected atomic.Int64 // loop time at which it was found bad last
	times   int          // ejections in a row; under backend.mu
	url     string
	host    string
	_       [56]byte // whole lines, so that each Endpoint begins one
}

// backend is what the endpoints of one backend share over snapshots.
type backend struct {
	book *Book
	name string
	mu   sync.Mutex  // held for changes of state
	fear atomic.Bool // so many are out that those are tried too which are out for their answers only
}

// URL is the endpoint's name within its backend, as it is configured.
func (e *Endpoint) URL() string { return e.url }

// Network says how it is reached.
func (e *Endpoint) Network() Network { return e.network }

// Host is the address or name in its URL, Port the port; of a Unix socket Host is the path.
func (e *Endpoint) Host() string { return e.host }

// Port is the port in its URL, or what its scheme implies.
func (e *Endpoint) Port() uint16 { return e.port }

// TLS reports that it is spoken to over TLS.
func (e *Endpoint) TLS() bool { return e.tls }

// Leave ends what [Group.Enter] began.
func (e *Endpoint) Leave() {
	if e.inFlight.Add(-1) < 0 {
		panic("endpoint: Leave without Enter")
	}
}

// InFlight is how many requests are here.
func (e *Endpoint) InFlight() int64 { return e.inFlight.Load() }

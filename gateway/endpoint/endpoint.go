// SPDX-License-Identifier: EUPL-1.2

// Package endpoint is what is known of the addresses at which a backend answers: where they are, how much they have to
// do, how fast they are.
//
// The calls you want: [Book.Group] when a snapshot is built and [Book.Apply] when it is put in service; on the request
// path [Group.Pick] says at which endpoint a request is tried, and [Endpoint.Enter] and [Endpoint.Leave] count it there.
// An endpoint is known by its URL within its backend, and its state outlives snapshots.
//
// It deliberately opens no connection for a request, resolves no name and has no clock: the loop's time is an argument.
package endpoint

import (
	"net/netip"
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
	// them.
	Addresses []netip.AddrPort
	// Policy says which addresses may be connected to; where Addresses are given, the operator has written them.
	Policy registry.AddressPolicy
}

// Endpoint is one address of a backend. It is safe for concurrent use.
type Endpoint struct {
	url     string
	network Network
	host    string
	port    uint16
	tls     bool

	resolved atomic.Pointer[resolved]
	policy   atomic.Pointer[registry.AddressPolicy]
	inFlight atomic.Int64
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

// Enter counts a request that is tried here, Leave one that is here no more.
func (e *Endpoint) Enter() { e.inFlight.Add(1) }

// Leave ends what Enter began.
func (e *Endpoint) Leave() {
	if e.inFlight.Add(-1) < 0 {
		panic("endpoint: Leave without Enter")
	}
}

// InFlight is how many requests are here.
func (e *Endpoint) InFlight() int64 { return e.inFlight.Load() }

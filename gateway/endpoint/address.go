// SPDX-License-Identifier: EUPL-1.2

package endpoint

import (
	"net/netip"
	"slices"

	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/registry"
)

// resolved is where an endpoint is, or why that is not known. Immutable.
type resolved struct {
	addresses []netip.AddrPort
	fault     message.Fault
}

// Addresses are those to try, in this order (RFC 8305, section 4); none while its name has not been resolved. They must
// not be changed. A Unix socket has one, which says nothing: it is its path that says where.
func (e *Endpoint) Addresses() []netip.AddrPort {
	if r := e.resolved.Load(); r != nil {
		return r.addresses
	}
	return nil
}

// SetAddresses replaces the addresses. The slice must not be changed afterwards. With none nobody is there.
func (e *Endpoint) SetAddresses(a []netip.AddrPort) {
	e.resolved.Store(&resolved{addresses: a, fault: message.FaultRefused})
}

// Unresolved says why there are no addresses.
func (e *Endpoint) Unresolved() message.Fault {
	switch r := e.resolved.Load(); {
	case r == nil:
		return message.FaultDNS
	case r.fault == message.FaultNone:
		return message.FaultRefused
	default:
		return r.fault
	}
}

// SetUnresolved says why there are no addresses. It is for endpoints that never had any: addresses that are known stay.
func (e *Endpoint) SetUnresolved(f message.Fault) { e.resolved.Store(&resolved{fault: f}) }

// Refuses reports that no connection may be made to an address, wherever it comes from. To be asked right before each
// connect. A Unix socket is the operator's own word.
func (e *Endpoint) Refuses(a netip.Addr) bool {
	return e.network == TCP && e.policy.Load().Refuses(a) != ""
}

// Where is a reading of an endpoint's addresses and of who judges them: as long as it is the same, so is what Reaches says.
type Where struct {
	addresses *resolved
	policy    *registry.AddressPolicy
}

// Where reads it.
func (e *Endpoint) Where() Where { return Where{e.resolved.Load(), e.policy.Load()} }

// Reaches reports whether an address is still one of the endpoint's: a connection to another one is used no longer.
func (e *Endpoint) Reaches(a netip.AddrPort) bool {
	return e.network != TCP || slices.Contains(e.Addresses(), a) && !e.Refuses(a.Addr())
}

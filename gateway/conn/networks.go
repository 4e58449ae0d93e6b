// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"hash/maphash"
	"math"
	"net/netip"
	"slices"
	"sync/atomic"
)

// The table of counters: each network has one in each row.
const (
	networkRows  = 4
	networkSlots = 1 << 14
)

// Networks counts the client connections of each network (IPv4 /24, IPv6 /48: what one subscriber or one rented machine
// commands; of single IPv6 addresses it has 2^80) over all loops, in bounded memory and without a lock: a
// network's count is the least of its counters, one in each row, which networks may share. So a count may be too
// high, never too low, and an innocent network is refused only if it shares all four counters with full ones; who shares
// with whom is random and cannot be found out. Touched when a connection begins and ends. Safe for concurrent use.
type Networks struct {
	seed   maphash.Seed
	policy atomic.Pointer[NetworkPolicy]
	counts [networkRows][networkSlots]atomic.Int32
}

// NetworkPolicy is how many connections one network may have.
type NetworkPolicy struct {
	Most int // 0 = any number
	// Exempt are networks whose connections are many people's: portals and proxies that the operator has named.
	Exempt []netip.Prefix
}

// NewNetworks returns an empty account without a limit.
func NewNetworks() *Networks {
	n := &Networks{seed: maphash.MakeSeed()}
	n.Set(NetworkPolicy{})
	return n
}

// Set puts a policy in force for connections that come from now on.
func (n *Networks) Set(p NetworkPolicy) { n.policy.Store(&p) }

// Enter counts a connection and reports whether it may stay; Leave must be called for it either way.
func (n *Networks) Enter(a netip.Addr) bool {
	least := int32(math.MaxInt32)
	for row, slot := range n.slots(a) {
		least = min(least, n.counts[row][slot].Add(1))
	}
	p := n.policy.Load()
	return int(least) <= p.Most || p.exempts(a)
}

// exempts says whether no limit is for an address.
func (p *NetworkPolicy) exempts(a netip.Addr) bool {
	return p.Most == 0 || a.IsLoopback() || slices.ContainsFunc(p.Exempt, func(e netip.Prefix) bool { return e.Contains(a) })
}

// Of is the network of an address, the zero one if no limit is for it.
func (n *Networks) Of(a netip.Addr) netip.Prefix {
	if n.policy.Load().exempts(a) {
		return netip.Prefix{}
	}
	return network(a)
}

// network is the /24 of an IPv4 address and the /48 of an IPv6 one; an address that is none has the zero one.
func network(a netip.Addr) netip.Prefix {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits)
	return p
}

// Leave takes a connection out of the count.
func (n *Networks) Leave(a netip.Addr) {
	for row, slot := range n.slots(a) {
		n.counts[row][slot].Add(-1)
	}
}

// slots is where an address's network is counted.
func (n *Networks) slots(a netip.Addr) (slots [networkRows]uint16) {
	h := maphash.Comparable(n.seed, network(a))
	for row := range slots {
		slots[row] = uint16(h % networkSlots)
		h /= networkSlots
	}
	return slots
}

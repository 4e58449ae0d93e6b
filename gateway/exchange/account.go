// SPDX-License-Identifier: EUPL-1.2

package exchange

import "net/netip"

// Peer is the client's address, behind proxies that are trusted too.
func (x *Exchange) Peer() netip.Addr {
	if b := x.plan.Behind; b != nil {
		return b.Addr
	}
	return x.req.Peer
}

// account fills what the access log wants of an exchange that ends.
func (x *Exchange) account() {
	r := &x.rec
	r.Peer, r.Trace = x.Peer(), x.trace[:]
	r.SenderName, r.Kreis, r.Key = x.plan.Sender, x.plan.Kreis, x.plan.Key
	switch {
	case x.retried:
		r.Attempts = 2
	case x.asked > 0:
		r.Attempts = 1
	}
}

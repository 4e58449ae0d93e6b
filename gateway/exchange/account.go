// SPDX-License-Identifier: EUPL-1.2

package exchange

// account fills what the access log wants of an exchange that ends.
func (x *Exchange) account() {
	r := &x.rec
	r.Peer, r.Trace = x.req.Peer, x.trace[:]
	r.SenderName, r.Kreis, r.Key = x.plan.Sender, x.plan.Kreis, x.plan.Key
	if b := x.plan.Behind; b != nil {
		r.Peer = b.Addr
	}
	switch {
	case x.retried:
		r.Attempts = 2
	case x.asked > 0:
		r.Attempts = 1
	}
}

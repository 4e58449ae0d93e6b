// SPDX-License-Identifier: EUPL-1.2

package conn

import "github.com/pvgate/pvgate/gateway/http2"

// Cause is why the gateway closed a client's connection of its own accord. The list is closed; it is a label of
// pvgate_connections_closed_total.
type Cause uint8

// The causes.
const (
	NetworkLimit     Cause = iota // at accept: too many connections of its network
	Crowded                       // waited for a request when places became few
	NoRequest                     // not a byte in the time for a head
	SlowHead                      // a head not whole in time
	SlowBody                      // a body below the least rate
	SlowReader                    // took its answer below the least rate
	IdleTime                      // no further request in time
	ProxyPeer                     // at accept: a PROXY header is wanted, and this peer may not send one
	ProxyHeader                   // no PROXY header where one must be, or a wrong one
	ProxyLate                     // none in time
	NotTLS                        // the first octets were no handshake's
	HandshakeFailed               // refused, by either side
	HandshakeSlow                 // not done in time
	HandshakeCrowded              // waited longest for its client when too many did
	BrokenProtocol                // HTTP/2 and 3: not by the book, and no stream alone is concerned
	Overloaded                    // memory is short: at accept, or while it waited for a request
	FrameFlood                    // HTTP/3: frames, streams and instructions that say nothing
	firstAbuse                    // wasted our time, by http2.Abuse from here on

	Causes = firstAbuse + Cause(http2.Abuses) - 1 // how many there are
)

// The abuses of HTTP/2 that HTTP/3 knows too.
const (
	RapidReset    = firstAbuse + Cause(http2.RapidReset) - 1
	ProvokedReset = firstAbuse + Cause(http2.ProvokedReset) - 1
)

// String returns the label.
func (c Cause) String() string {
	if c >= firstAbuse {
		return (http2.Abuse(c-firstAbuse) + 1).String()
	}
	return [firstAbuse]string{
		"network_limit", "crowded", "no_request", "slow_head", "slow_body", "slow_reader", "idle", "proxy_untrusted", "proxy_invalid", "proxy_late",
		"not_tls", "handshake_failed", "handshake_slow", "handshake_crowded",
		"protocol_error", "overloaded", "frame_flood",
	}[c]
}

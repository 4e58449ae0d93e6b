// SPDX-License-Identifier: EUPL-1.2

package tlsconn

import "crypto/tls"

// What follows is for connections whose TLS is inside QUIC, with the same configuration.

// Carries reports whether requests for host belong on a connection for serverName.
func (c *Config) Carries(serverName string, host []byte) bool {
	return c.same == nil || c.same(serverName, host)
}

// Verified returns the client's certificate, nil if none was verified.
func Verified(st *tls.ConnectionState) *Peer { return peer(st) }

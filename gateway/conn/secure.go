// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// wire is the bytes of HTTP. Everything else is the stream's.
type wire interface {
	Read(b []byte) (int, loop.ReadStatus)
	Write(b []byte) bool
	// Give is Write for a buffer of the loop, which is returned when it is sent.
	Give(b []byte) bool
	// Ready reports whether a Read might find something.
	Ready() bool
	// CloseWrite ends what is written; call it again when the stream has drained, if it had not.
	CloseWrite()
	Close()
	Reset()
}

// handshake begins TLS, with what has been read already.
func (c *H1) handshake() {
	c.secure = c.host.tls.Accept(c.config, &c.stream, c)
	c.wire = c.secure
	early := c.in
	c.in, c.unfed = nil, false
	c.secure.Begin(early)
}

// Secured begins HTTP after the handshake.
func (c *H1) Secured(serverName string, peer *tlsconn.Peer) {
	c.client.TLS, c.client.ServerName, c.client.Certificate = true, serverName, (*exchange.Certificate)(peer)
	c.wait(int64(c.host.timeouts.Head))
	c.Readable()
}

// Refused says that there was no handshake.
func (c *H1) Refused(cause tlsconn.Cause) {
	switch cause {
	case tlsconn.NotTLS:
		c.host.closed[NotTLS]++
	case tlsconn.Failed:
		c.host.closed[HandshakeFailed]++
	case tlsconn.TimedOut:
		c.host.closed[HandshakeSlow]++
	case tlsconn.Crowded:
		c.host.closed[HandshakeCrowded]++
	case tlsconn.Left: // of its own accord
	}
	c.gone()
}

// Carries reports whether requests for an authority belong on this connection.
func (c *H1) Carries(authority []byte) bool {
	if c.secure == nil {
		return true
	}
	host, _, ok := message.SplitAuthority(authority)
	name := c.client.ServerName
	return !ok || message.EqualFold(host, name) || c.secure.Carries(name, host)
}

// farewell lets close_notify leave with the end of the last answer.
func (c *H1) farewell() {
	if c.secure != nil {
		c.secure.Farewell()
	}
}

// mute keeps close_notify back: half an answer must not look like a whole one.
func (c *H1) mute() {
	if c.secure != nil {
		c.secure.Mute()
	}
}

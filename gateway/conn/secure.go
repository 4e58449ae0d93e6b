// SPDX-License-Identifier: EUPL-1.2

package conn

import (
	"github.com/pvgate/pvgate/gateway/exchange"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// securing is a connection whose handshake is under way. Until it is done the stream is tlsconn's.
type securing struct{ *link }

// handshake begins TLS, with what has been read already.
func (l *link) handshake() {
	l.secure = l.host.tls.Accept(l.config, &l.stream, securing{l})
	l.wire = l.secure
	early := l.in
	l.in, l.unfed = nil, false
	l.secure.Begin(early)
}

// Secured begins HTTP after the handshake. Who agrees to nothing by ALPN speaks HTTP/1.1.
func (s securing) Secured(serverName, protocol string, peer *tlsconn.Peer) {
	s.client.TLS, s.client.ServerName, s.client.Certificate = true, serverName, (*exchange.Certificate)(peer)
	s.wait(int64(s.host.timeouts.Head))
	switch {
	case protocol == "h2":
		s.http2().Readable()
	case s.protocols&^WebSocket == HTTP2:
		s.end(HandshakeFailed)
	default:
		s.http1().Readable()
	}
}

// Refused says that there was no handshake.
func (s securing) Refused(cause tlsconn.Cause) {
	switch cause {
	case tlsconn.NotTLS:
		s.host.closed[NotTLS]++
	case tlsconn.Failed:
		s.host.closed[HandshakeFailed]++
	case tlsconn.TimedOut:
		s.host.closed[HandshakeSlow]++
	case tlsconn.Crowded:
		s.host.closed[HandshakeCrowded]++
	case tlsconn.Left: // of its own accord
	case tlsconn.BadCertificate, tlsconn.Unserved: // servers' only
	}
	s.gone()
}

// SPDX-License-Identifier: EUPL-1.2

package upstream

import (
	"github.com/pvgate/pvgate/gateway/loop"
	"github.com/pvgate/pvgate/gateway/message"
	"github.com/pvgate/pvgate/gateway/tlsconn"
)

// secure is TLS on a connection to a backend. Until its handshake is done the stream is tlsconn's.
type secure struct {
	conn   *Conn
	stream *loop.Stream
	tls    *tlsconn.Conn
	client *tlsconn.Client // the generation that it was made with
}

// connected takes the stream that won the dial, to the endpoint at a place of the pool; until is the loop time by which the
// connection must stand.
func (c *Conn) connected(s *loop.Stream, at int, until int64) {
	if to := &c.pool.places[at]; to != c.place {
		c.leave()
		c.place = to
		c.enter()
	}
	t := c.pool.secure
	if t == nil {
		c.stand(s, s)
		return
	}
	c.secure = &secure{conn: c, stream: s, client: t.Load()}
	c.secure.tls = c.pool.cache.tls.Dial(c.secure.client, s, c.secure, until)
}

// Secured begins HTTP after the handshake. What the backend has sent behind it is read at once: the sessions of TLS 1.3
// come so.
func (s *secure) Secured(string, string, *tlsconn.Peer) {
	c := s.conn
	c.stand(s.stream, s.tls)
	if !c.closed && c.wire.Ready() {
		c.Readable()
	}
}

// Refused says that there was no handshake; nothing of the request has been sent.
func (s *secure) Refused(cause tlsconn.Cause) {
	f := message.FaultTLS
	switch cause {
	case tlsconn.BadCertificate:
		f = message.FaultCertificate
	case tlsconn.Unserved:
		f = message.FaultLocal
	case tlsconn.NotTLS, tlsconn.Failed, tlsconn.TimedOut, tlsconn.Crowded, tlsconn.Left:
	}
	s.conn.fail(f)
}

// current reports whether a new connection would be secured as this one: with other authorities, its backend might be
// trusted no more.
func (c *Conn) current() bool {
	return c.secure == nil || c.secure.client == c.pool.secure.Load()
}

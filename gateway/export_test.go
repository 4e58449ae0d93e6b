// SPDX-License-Identifier: EUPL-1.2

package gateway

import "net"

// Draining reports whether every loop has begun to drain.
func (s *Server) Draining() bool {
	all := true
	for _, n := range s.nodes {
		n.loop.Do(func() { all = all && n.draining })
	}
	return all
}

// ServeDatagrams takes connections of HTTP/3 from a socket of the test's, for the first listener.
func (s *Server) ServeDatagrams(c net.PacketConn) error {
	err := s.http3.Listen(c, 0, false, s.options.Listen[0].TLS)
	s.http3.Serve()
	return err
}

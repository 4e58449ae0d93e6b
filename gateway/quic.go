// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"

	"github.com/pvgate/pvgate/gateway/conn"
	"github.com/pvgate/pvgate/gateway/http3"
	"github.com/pvgate/pvgate/gateway/listen"
)

// Connections of HTTP/3 take no descriptors, but several times the memory of others: there may be so many times fewer.
const http3Share = 4

// quic reports whether any listener speaks HTTP/3.
func (o *Options) quic() bool {
	return slices.ContainsFunc(o.Listen, func(l Listener) bool { return l.http3() })
}

func (l *Listener) http3() bool { return l.Protocols&conn.HTTP3 != 0 }

// newHTTP3 makes what all loops share of HTTP/3, once there are loops.
func (s *Server) newHTTP3() {
	o := http3.Options{
		Limits: http3.DefaultLimits(), Timeouts: s.options.Timeouts, Networks: s.networks,
		MaxConnections: max(s.options.MaxConnections/http3Share, 1), Secret: s.options.Secret, Panic: s.options.Panic,
	}
	o.Limits.Line, o.Limits.Head, o.Limits.Fields, o.Limits.Body = s.options.Limits.Line, s.options.Limits.Head, s.options.Limits.Fields, s.options.Limits.Body
	o.Limits.Overhead = s.options.Limits.ChunkOverhead
	for _, n := range s.nodes {
		n.http3 = http3.NewHost(n.loop, n)
		o.Hosts = append(o.Hosts, n.http3)
	}
	s.http3, s.altSvc = http3.New(o), make([][]byte, len(s.options.Listen))
}

// portTries is how often a free port is looked for that is free for TCP and UDP.
const portTries = 20

// listenOn opens an address for TCP and, if it speaks HTTP/3, for UDP.
func (s *Server) listenOn(l *Listener) (tcp listen.Sockets, udp *net.UDPConn, err error) {
	for range portTries {
		if tcp, err = listen.Open(l.Address, len(s.nodes)); err != nil || !l.http3() {
			return tcp, nil, err
		}
		var warning string
		if udp, warning, err = listen.OpenUDP(tcp.Addr); err == nil {
			if warning != "" && s.options.Warn != nil {
				s.options.Warn(warning)
			}
			return tcp, udp, nil
		}
		tcp.Close()
		if asked, perr := listen.Parse(l.Address); perr != nil || asked.Port() != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return listen.Sockets{}, nil, err
}

// serveHTTP3 begins to take connections of HTTP/3.
func (s *Server) serveHTTP3(udp *net.UDPConn, index int) error {
	l := &s.options.Listen[index]
	if err := s.http3.Listen(udp, index, l.TLS); err != nil {
		return fmt.Errorf("listen on %s for HTTP/3: %w", l.Address, err)
	}
	port := strconv.Itoa(int(s.sockets[index].Addr.Port()))
	s.altSvc[index] = []byte(`h3=":` + port + `"; ma=86400`)
	return nil
}

// endHTTP3 ends its connections. The loops run no more.
func (s *Server) endHTTP3() {
	if s.http3 != nil {
		s.http3.Close()
	}
}

// clearAltSvc is what clients are told of HTTP/3 when the gateway ends (RFC 7838, section 3).
var clearAltSvc = []byte("clear")

// AltSvc tells clients of TCP where the same is served over HTTP/3; nil where it is not.
func (n *node) AltSvc(listener int) []byte {
	switch {
	case n.server.http3 == nil || n.server.altSvc[listener] == nil:
		return nil
	case n.draining:
		return clearAltSvc
	default:
		return n.server.altSvc[listener]
	}
}

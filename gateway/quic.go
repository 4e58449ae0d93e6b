// SPDX-License-Identifier: EUPL-1.2

package gateway

import (
	"errors"
	"fmt"
	"net"
	"os"
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
	o.Limits.HeadLimits = s.options.Limits.Heads()
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
		if tcp, err = s.options.Inherited.Open(l.Address, len(s.nodes)); err != nil || !l.http3() {
			return tcp, nil, err
		}
		var warning string
		if udp, warning, err = s.options.Inherited.OpenUDP(tcp.Addr); err == nil {
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

// datagrams is a UDP socket with the index of its listener.
type datagrams struct {
	socket   *net.UDPConn
	listener int
}

// advertise is the value of Alt-Svc for a port (RFC 7838, section 3).
func advertise(port uint16) []byte { return []byte(`h3=":` + strconv.Itoa(int(port)) + `"; ma=86400`) }

// ReadDatagrams begins to take connections of HTTP/3. It is called once, by Start unless Options.HoldDatagrams.
func (s *Server) ReadDatagrams() error {
	s.datagramsMu.Lock()
	defer s.datagramsMu.Unlock()
	var errs error
	for _, d := range s.datagrams {
		l := &s.options.Listen[d.listener]
		if err := s.http3.Listen(d.socket, d.listener, l.Protocols&conn.WebSocket != 0, l.TLS); err != nil { // which has closed it
			errs = errors.Join(errs, fmt.Errorf("listen on %s for HTTP/3: %w", l.Address, err))
		}
	}
	if s.datagrams != nil {
		s.http3.Serve()
	}
	s.datagrams = nil
	return errs
}

// releaseDatagrams ends all connections of HTTP/3 and leaves its sockets to another process.
func (s *Server) releaseDatagrams() {
	if s.http3 != nil {
		s.http3.Release()
	}
}

// dropDatagrams closes what has never been read.
func (s *Server) dropDatagrams() {
	s.datagramsMu.Lock()
	defer s.datagramsMu.Unlock()
	for _, d := range s.datagrams {
		_ = d.socket.Close()
	}
	s.datagrams = nil
}

// Share duplicates the listening sockets for a process that is to follow; the caller closes them. It must not be called
// once the server drains.
func (s *Server) Share() ([]*os.File, error) {
	var all []*os.File
	share := func(fd int, name string) error {
		f, err := listen.Share(fd, name)
		if err == nil {
			all = append(all, f)
		}
		return err
	}
	var errs error
	for i := range s.sockets {
		for _, fd := range s.sockets[i].FDs {
			errs = errors.Join(errs, share(int(fd), s.options.Listen[i].Address))
		}
		if u := s.udp[i]; u != nil {
			errs = errors.Join(errs, listen.Control(u, func(fd int) error { return share(fd, s.options.Listen[i].Address) }))
		}
	}
	if errs != nil {
		listen.CloseAll(all)
		return nil, errs
	}
	return all, nil
}

// endHTTP3 ends its connections. The loops run no more.
func (s *Server) endHTTP3() {
	if s.http3 != nil {
		s.http3.Close()
	}
	s.dropDatagrams()
}

// clearAltSvc is what clients are told of HTTP/3 when the gateway ends (RFC 7838, section 3).
var clearAltSvc = []byte("clear")

// AltSvc tells clients of TCP where the same is served over HTTP/3; nil where it is not.
func (n *node) AltSvc(listener int) []byte {
	switch {
	case n.server.http3 == nil || n.server.altSvc[listener] == nil:
		return nil
	case n.draining && !n.server.retired:
		return clearAltSvc
	default:
		return n.server.altSvc[listener]
	}
}

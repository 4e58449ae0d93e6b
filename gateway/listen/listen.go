// SPDX-License-Identifier: EUPL-1.2

// Package listen opens the listening sockets: one per loop and address, sharing the port by SO_REUSEPORT, so that the
// kernel spreads new connections without a lock.
//
// The calls to know are [Open], and [Inherit] for the sockets of another process. It deliberately does not accept (loop) and knows no protocol.
package listen

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// backlog is how many connections the kernel holds for one socket before it is accepted; the kernel's own
// net.core.somaxconn bounds it too.
const backlog = 4096

// Sockets are the listening sockets of one address.
type Sockets struct {
	FDs  []int32
	Addr netip.AddrPort
}

// Open listens on an address n times. The address is HOST:PORT with an IP address, "localhost" or nothing as host
// (all addresses, IPv4 and IPv6), and port 0 for any free port. The caller owns the descriptors.
func Open(address string, n int) (Sockets, error) {
	addr, err := Parse(address)
	if err != nil {
		return Sockets{}, err
	}
	s := Sockets{Addr: addr}
	for range n {
		fd, err := open(s.Addr)
		if err != nil && s.Addr.Addr() == netip.IPv6Unspecified() && len(s.FDs) == 0 {
			// A machine without IPv6 listens on IPv4 alone.
			s.Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), s.Addr.Port())
			fd, err = open(s.Addr)
		}
		if err != nil {
			s.Close()
			return Sockets{}, fmt.Errorf("listen on %s: %w", address, err)
		}
		s.FDs = append(s.FDs, int32(fd))
		if s.Addr.Port() == 0 {
			if s.Addr, err = bound(fd); err != nil {
				s.Close()
				return Sockets{}, fmt.Errorf("listen on %s: %w", address, err)
			}
		}
	}
	return s, nil
}

// deferred is how long a connection on which nothing has come is kept from us, seconds. Clients speak first in every
// protocol that we know, so the first read finds something, and who says nothing costs no descriptor meanwhile.
const deferred = 1

// setTCP sets what connections take over from the socket they come to, and when they are accepted.
func setTCP(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferred)
}

// Hasten has connections accepted before anything comes on them: to be called some time before the sockets are closed,
// since those that the kernel keeps back would be reset.
func (s *Sockets) Hasten() {
	for _, fd := range s.FDs {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 0) // it was possible once
	}
}

// Close closes the descriptors.
func (s *Sockets) Close() {
	for _, fd := range s.FDs {
		_ = unix.Close(int(fd))
	}
	s.FDs = nil
}

// Parse reads a listen address.
func Parse(address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: %w; want HOST:PORT, e.g. \":8080\" or \"127.0.0.1:8080\"", address, err)
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: port %q is not a number from 0 to 65535", address, port)
	}
	switch host {
	case "":
		return netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(p)), nil
	case "localhost":
		host = "127.0.0.1"
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: host %q is not an IP address; leave it empty for all addresses", address, host)
	}
	return netip.AddrPortFrom(a, uint16(p)), nil
}

func open(addr netip.AddrPort) (int, error) {
	family := unix.AF_INET6
	if addr.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = setUp(fd, addr); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func setUp(fd int, addr netip.AddrPort) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return err
	}
	if err := setTCP(fd); err != nil {
		return err
	}
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(addr.Port())}
	if addr.Addr().Is4() {
		sa.(*unix.SockaddrInet4).Addr = addr.Addr().As4()
	} else {
		sa = &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return err
	}
	return unix.Listen(fd, backlog)
}

// SPDX-License-Identifier: EUPL-1.2

package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Passed is a listening socket that one process leaves to another, with the name that the giver has for it: the address
// as it was configured, or systemd's FileDescriptorName.
type Passed struct {
	FD   int
	Name string
}

// Share duplicates a descriptor, for a process that is to be started with it; the caller closes it. The file alone owns it:
// a number that is closed twice may be a new connection's the second time.
func Share(fd int, name string) (*os.File, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate the socket of %s: %w", name, err)
	}
	// It does not block, and os leaves that so: this process uses the same socket.
	return os.NewFile(uintptr(dup), name), nil
}

// Control calls f with the descriptor of a socket, which is valid until f returns.
func Control(socket syscall.Conn, f func(fd int) error) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = f(int(fd)) })
	return errors.Join(err, failed)
}

// CloseAll closes what was to be passed.
func CloseAll(shared []*os.File) {
	for _, f := range shared {
		_ = f.Close()
	}
}

// Inherited are listening sockets that this process was given when it was started, by the process it follows or by systemd.
// Whoever listens on an address takes all that are bound to it, so no connection that waits in one of their queues is lost.
// There may be more or fewer of them than there are loops. A nil Inherited has none. Not for concurrent use.
type Inherited struct {
	sockets []*inherited
}

type inherited struct {
	Passed
	addr  netip.AddrPort
	udp   bool
	taken bool
}

// Inherit looks at sockets that were given, which belong to what it returns from now on.
func Inherit(passed []Passed) (*Inherited, error) {
	in := &Inherited{}
	var errs error
	for _, p := range passed {
		s := &inherited{Passed: p}
		if err := s.look(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("inherited socket %q: %w", p.Name, err))
		}
		in.sockets = append(in.sockets, s)
	}
	if errs != nil {
		in.Close()
		return nil, errs
	}
	return in, nil
}

// look finds out what a socket is and makes it as we want our own.
func (s *inherited) look() error {
	unix.CloseOnExec(s.FD)
	kind, err := unix.GetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return err
	}
	if s.addr, err = bound(s.FD); err != nil {
		return err
	}
	switch kind {
	case unix.SOCK_DGRAM:
		s.udp = true
	case unix.SOCK_STREAM:
		// systemd's differ: a smaller queue, no options.
		if err := setTCP(s.FD); err != nil {
			return err
		}
		if err := unix.Listen(s.FD, backlog); err != nil {
			return err
		}
	default:
		return fmt.Errorf("neither TCP nor UDP")
	}
	return unix.SetNonblock(s.FD, true)
}

// bound is where a socket listens.
func bound(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, errors.New("not of the Internet")
}

// take returns the sockets of an address that nobody has taken. One with any free port is told by its name.
func (in *Inherited) take(udp bool, name string, want netip.AddrPort) []*inherited {
	if in == nil {
		return nil
	}
	var found []*inherited
	for _, s := range in.sockets {
		fits := s.addr == want
		switch {
		case want.Port() == 0:
			fits = s.Name == name && (len(found) == 0 || s.addr == found[0].addr)
		case s.Name == name: // opened on a machine without IPv6, where all addresses are those of IPv4
			fits = fits || s.addr.Addr() == netip.IPv4Unspecified() && want.Addr() == netip.IPv6Unspecified() && s.addr.Port() == want.Port()
		}
		if fits && s.udp == udp && !s.taken {
			s.taken = true
			found = append(found, s)
		}
	}
	return found
}

// Open is the function Open for an address of which sockets may have been inherited; then it returns those, however many
// there are: more could only be opened beside them, and would have a queue before anybody serves it.
func (in *Inherited) Open(address string, n int) (Sockets, error) {
	want, err := Parse(address)
	if err != nil {
		return Sockets{}, err
	}
	found := in.take(false, address, want)
	if len(found) == 0 {
		return Open(address, n)
	}
	s := Sockets{Addr: found[0].addr}
	for _, f := range found {
		s.FDs = append(s.FDs, int32(f.FD))
	}
	return s, nil
}

// OpenUDP is the function OpenUDP for an address of which a socket may have been inherited.
func (in *Inherited) OpenUDP(addr netip.AddrPort) (socket *net.UDPConn, warning string, err error) {
	found := in.take(true, "", addr)
	if len(found) == 0 {
		return OpenUDP(addr)
	}
	f := os.NewFile(uintptr(found[0].FD), "udp") // which closes it, once it is duplicated
	c, err := net.FilePacketConn(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, "", fmt.Errorf("inherited socket of %s (UDP): %w", addr, err)
	}
	return sized(c.(*net.UDPConn), addr)
}

// Listen is net.Listen for an address of which a socket may have been inherited.
func (in *Inherited) Listen(address string) (*net.TCPListener, error) {
	if want, err := Parse(address); err == nil {
		if found := in.take(false, address, want); len(found) > 0 {
			f := os.NewFile(uintptr(found[0].FD), "tcp")
			ln, err := net.FileListener(f)
			if err = errors.Join(err, f.Close()); err != nil {
				return nil, fmt.Errorf("inherited socket of %s: %w", address, err)
			}
			return ln.(*net.TCPListener), nil
		}
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return ln.(*net.TCPListener), nil
}

// Left names the sockets that nobody has taken, "" if there is none.
func (in *Inherited) Left() string {
	if in == nil {
		return ""
	}
	var left []string
	for _, s := range in.sockets {
		if !s.taken {
			network := "TCP"
			if s.udp {
				network = "UDP"
			}
			left = append(left, fmt.Sprintf("%s (%s %s)", s.Name, network, s.addr))
		}
	}
	return strings.Join(left, ", ")
}

// Close closes the sockets that nobody has taken. Whoever else has them still serves them.
func (in *Inherited) Close() {
	if in == nil {
		return
	}
	for _, s := range in.sockets {
		if !s.taken {
			_ = unix.Close(s.FD)
			s.taken = true
		}
	}
}

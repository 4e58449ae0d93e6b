// SPDX-License-Identifier: EUPL-1.2

// Package sock holds the few calls on non-blocking TCP sockets that the load
// generator and the origin share: [Read], [Send], [Dial], [Listen].
//
// Read and Send go straight into the kernel (RawSyscall): the sockets never
// block, and telling Go's scheduler about each call would cost more than some of
// the calls do. They must therefore never be given a blocking descriptor.
package sock

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read reads into b. It returns 0, 0 at the end of the stream.
func Read(fd int, b []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// Send writes what the socket takes of b, without SIGPIPE.
func Send(fd int, b []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// Address turns a into what the kernel wants, and its family.
func Address(a netip.AddrPort) (unix.Sockaddr, int) {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16()}, unix.AF_INET6
}

// Dial starts a connection; it may still be under way when Dial returns.
func Dial(to unix.Sockaddr, family int) (int, error) {
	fd, err := stream(family)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("TCP_NODELAY: %w", err)
	}
	if err := unix.Connect(fd, to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}

// backlog is as in the peers' configs.
const backlog = 4096

// Listen opens a listening socket and returns it with its address (port 0 asks
// the kernel for a free one).
func Listen(a netip.AddrPort) (int, netip.AddrPort, error) {
	sa, family := Address(a)
	fd, err := stream(family)
	if err != nil {
		return -1, netip.AddrPort{}, err
	}
	bound, err := listen(fd, sa, a)
	if err != nil {
		_ = unix.Close(fd)
		return -1, netip.AddrPort{}, fmt.Errorf("listen on %s: %w", a, err)
	}
	return fd, bound, nil
}

func listen(fd int, sa unix.Sockaddr, a netip.AddrPort) (netip.AddrPort, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return a, fmt.Errorf("SO_REUSEADDR: %w", err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		return a, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return a, err
	}
	got, err := unix.Getsockname(fd)
	if err != nil {
		return a, fmt.Errorf("getsockname: %w", err)
	}
	switch got := got.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(a.Addr(), uint16(got.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(a.Addr(), uint16(got.Port)), nil
	}
	return a, fmt.Errorf("getsockname: unexpected %T", got)
}

func stream(family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	return fd, nil
}

// Wait waits for events on an epoll descriptor, at most so many milliseconds.
//
// alone says that nothing else in this process wants to run: the wait then keeps
// Go's scheduler out altogether. With several busy threads to a core, a scheduler
// that takes the processor away at each wait and spins for work costs as much as
// the requests themselves. Without alone other goroutines run on while it waits.
func Wait(ep int, events []unix.EpollEvent, milliseconds int, alone bool) (int, unix.Errno) {
	timeout := milliseconds
	if !alone {
		timeout = 0
	}
	n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(timeout), 0, 0)
	if !alone && e == 0 && n == 0 && milliseconds != 0 {
		n, _, e = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(milliseconds), 0, 0)
	}
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

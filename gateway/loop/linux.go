// SPDX-License-Identifier: EUPL-1.2

package loop

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const wakeGeneration = ^uint32(0)

// linuxKernel is the real [Kernel]: one epoll instance and one eventfd. Non-blocking calls use RawSyscall: they keep
// the P, which is right because they return at once (a send on loopback included: ≈ 5 µs). That of package syscall is the function
// itself; to that of package unix leads a way through two calling conventions.
type linuxKernel struct {
	epoll  int
	wakeFD int
	wakers atomic.Int64 // threads inside Wake; far below zero once the descriptor is closed
	start  time.Time
	raw    []unix.EpollEvent
	woken  bool
	vigil  vigil
}

// NewKernel opens an epoll instance and its wake-up descriptor. Monotonic time counts from start, which must be the
// same for all loops of a process: limits are shared between them.
func NewKernel(start time.Time) (Kernel, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	ev, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(ep)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	k := &linuxKernel{epoll: ep, wakeFD: ev, start: start}
	if e := k.Add(int32(ev), wakeGeneration); e != 0 {
		k.Release()
		return nil, fmt.Errorf("epoll_ctl: %w", e)
	}
	return k, nil
}

func (k *linuxKernel) Now() (int64, time.Time) {
	t := time.Now()
	return int64(t.Sub(k.start)), t
}

func (k *linuxKernel) Worked() int64 {
	var t unix.Timespec
	if _, _, e := syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_THREAD_CPUTIME_ID, uintptr(unsafe.Pointer(&t)), 0); e != 0 {
		return 0
	}
	return t.Nano()
}

func (k *linuxKernel) Add(fd int32, gen uint32) syscall.Errno {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: fd, Pad: int32(gen)}
	_, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(k.epoll), unix.EPOLL_CTL_ADD, uintptr(fd),
		uintptr(unsafe.Pointer(&ev)), 0, 0)
	return e
}

func (k *linuxKernel) Remove(fd int32) {
	_, _, _ = syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(k.epoll), unix.EPOLL_CTL_DEL, uintptr(fd), 0, 0, 0)
}

// shortWait is how long Wait sleeps without telling the runtime, in milliseconds: longer than the runtime lets anybody compute (10 ms),
// and than a tick of the kernel's, so that the sleep's end is hardly ever the next thing that a timer is set for.
const shortWait = 20

// Poll implements [Kernel].
func (k *linuxKernel) Poll(events []Event) int {
	if len(k.raw) < len(events) {
		k.raw = make([]unix.EpollEvent, len(events))
	}
	return k.report(events, k.poll(len(events), 0))
}

// Wait sleeps for a while as if it were computing: the loop keeps its P, and a busy server, whose gaps are shorter than that,
// never pays for giving it up and getting it back, nor for a timer that is set and never goes off [with 1 ms instead of 20: at 1 000
// requests a second 95 instead of 52 µs of CPU each, at 100 a second 556 instead of 247; four connections that ask all the time 24.3
// instead of 20.4]. The runtime can still stop the world, since its signal interrupts the sleep, and has slots for everybody else
// (Server). Only a longer gap is a blocking call in the runtime's eyes.
func (k *linuxKernel) Wait(events []Event, timeout int64) (_, sleeps int) {
	if timeout == 0 {
		return k.Poll(events), 0
	}
	if len(k.raw) < len(events) {
		k.raw = make([]unix.EpollEvent, len(events))
	}
	n := k.look(len(events))
	if n > 0 {
		return k.report(events, n), 0
	}
	short, rest := shortWait, -1
	if timeout > 0 {
		ms := int((timeout + 999_999) / 1_000_000)
		short = min(ms, shortWait)
		rest = ms - short
	}
	sleeps = 1
	n = k.poll(len(events), short)
	if n == 0 && rest != 0 {
		sleeps++
		var err error
		if n, err = unix.EpollWait(k.epoll, k.raw[:len(events)], rest); err != nil {
			n = 0
		}
	}
	return k.report(events, n), sleeps
}

// look is a wait that does not sleep: for something that comes at once.
func (k *linuxKernel) look(n int) (found int) {
	if !k.vigil.looks() {
		return 0
	}
	from, spent := time.Now(), time.Duration(0)
	for found == 0 && spent < patience {
		found = k.poll(n, 0)
		spent = time.Since(from)
	}
	k.vigil.learn(found > 0 && spent < worth)
	return found
}

// poll calls epoll_wait without telling the runtime.
func (k *linuxKernel) poll(n, ms int) int {
	r, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(k.epoll), uintptr(unsafe.Pointer(&k.raw[0])), uintptr(n), uintptr(ms), 0, 0)
	if e != 0 {
		return 0
	}
	return int(r)
}

// report translates what epoll said.
func (k *linuxKernel) report(events []Event, n int) int {
	out := 0
	k.woken = false
	for i := range k.raw[:n] {
		ev := &k.raw[i]
		if int(ev.Fd) == k.wakeFD && uint32(ev.Pad) == wakeGeneration {
			var b [8]byte
			_, _, _ = syscall.RawSyscall(unix.SYS_READ, uintptr(k.wakeFD), uintptr(unsafe.Pointer(&b)), uintptr(len(b)))
			k.woken = true
			continue
		}
		var f Flags
		if ev.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP) != 0 {
			f |= EventRead
		}
		if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0 {
			f |= EventHangup
		}
		if ev.Events&unix.EPOLLOUT != 0 {
			f |= EventWrite
		}
		if ev.Events&unix.EPOLLERR != 0 {
			f |= EventError
		}
		events[out] = Event{FD: ev.Fd, Gen: uint32(ev.Pad), Flags: f}
		out++
	}
	return out
}

func (k *linuxKernel) Woken() bool { return k.woken }

// Wake counts itself, so that Release does not close the descriptor under it: its number may be somebody else's at
// once.
func (k *linuxKernel) Wake() {
	if k.wakers.Add(1) > 0 {
		b := [8]byte{}
		binary.NativeEndian.PutUint64(b[:], 1)
		_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(k.wakeFD), uintptr(unsafe.Pointer(&b)), uintptr(len(b)))
	}
	k.wakers.Add(-1)
}

func (k *linuxKernel) Accept(fd int32) (int32, netip.AddrPort, syscall.Errno) {
	var sa unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(sa))
	r, _, e := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if e != 0 {
		return -1, netip.AddrPort{}, e
	}
	return int32(r), addrPort(&sa), 0
}

func noDelay(fd int32) {
	one := int32(1)
	_, _, _ = syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY,
		uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one), 0)
}

func addrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), swap16(a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), swap16(a.Port))
	}
	return netip.AddrPort{}
}

// swap16 turns a port between network and native order (both supported architectures are little-endian).
func swap16(p uint16) uint16 { return p<<8 | p>>8 }

func (k *linuxKernel) Socket(f Family) (int32, syscall.Errno) {
	r, _, e := syscall.RawSyscall(unix.SYS_SOCKET, [...]uintptr{unix.AF_INET, unix.AF_INET6, unix.AF_UNIX}[f],
		unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if e != 0 {
		return -1, e
	}
	if f != Unix {
		noDelay(int32(r))
	}
	return int32(r), 0
}

func (k *linuxKernel) Connect(fd int32, to netip.AddrPort) syscall.Errno {
	var e syscall.Errno
	if to.Addr().Is4() {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swap16(to.Port()), Addr: to.Addr().As4()}
		_, _, e = syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	} else {
		sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swap16(to.Port()), Addr: to.Addr().As16()}
		_, _, e = syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	}
	return e
}

// ConnectUnix implements [Kernel]. Of a path that is too long no part is taken for it.
func (k *linuxKernel) ConnectUnix(fd int32, path string) syscall.Errno {
	sa := unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	if len(path) >= len(sa.Path) {
		return unix.ENAMETOOLONG
	}
	for i := range len(path) {
		sa.Path[i] = int8(path[i])
	}
	_, _, e := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	return e
}

func (k *linuxKernel) SocketError(fd int32) syscall.Errno {
	v := int32(0)
	size := uint32(unsafe.Sizeof(v))
	_, _, e := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ERROR,
		uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return e
	}
	return syscall.Errno(v)
}

func (k *linuxKernel) Read(fd int32, b []byte) (int, syscall.Errno) {
	// recvfrom is the shorter way into the kernel than read, which goes through the file system's layer.
	r, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(r), 0
}

func (k *linuxKernel) Write(fd int32, b []byte) (int, syscall.Errno) {
	r, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))),
		uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(r), 0
}

func (k *linuxKernel) Pipe(size int) (read, write int32, got int, err syscall.Errno) {
	var fd [2]int32
	if _, _, e := syscall.RawSyscall(unix.SYS_PIPE2, uintptr(unsafe.Pointer(&fd)), unix.O_NONBLOCK|unix.O_CLOEXEC, 0); e != 0 {
		return -1, -1, 0, e
	}
	r, _, e := syscall.RawSyscall(unix.SYS_FCNTL, uintptr(fd[1]), unix.F_SETPIPE_SZ, uintptr(size))
	if e != 0 {
		r, _, e = syscall.RawSyscall(unix.SYS_FCNTL, uintptr(fd[1]), unix.F_GETPIPE_SZ, 0)
	}
	if e != 0 {
		r = 0
	}
	return fd[0], fd[1], int(r), 0
}

func (k *linuxKernel) Splice(from, to int32, n int) (int, syscall.Errno) {
	r, _, e := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	if e != 0 {
		return 0, e
	}
	return int(r), 0
}

func (k *linuxKernel) Acked(fd int32) int64 {
	var info unix.TCPInfo
	size := uint32(unsafe.Sizeof(info))
	_, _, _ = syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return int64(info.Bytes_acked)
}

func (k *linuxKernel) Peek(fd int32) syscall.Errno {
	var b [1]byte
	_, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), 1,
		unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return e
}

func (k *linuxKernel) ShutdownWrite(fd int32) {
	_, _, _ = syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
}

func (k *linuxKernel) Close(fd int32) {
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

func (k *linuxKernel) Reset(fd int32) {
	l := unix.Linger{Onoff: 1}
	_, _, _ = syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
		uintptr(unsafe.Pointer(&l)), unsafe.Sizeof(l), 0)
	k.Close(fd)
}

func (k *linuxKernel) Release() {
	const closed = -1 << 40
	for k.wakers.Add(closed); k.wakers.Load() > closed; {
		runtime.Gosched()
	}
	_ = unix.Close(k.wakeFD)
	_ = unix.Close(k.epoll)
}

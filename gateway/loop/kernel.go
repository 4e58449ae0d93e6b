// SPDX-License-Identifier: EUPL-1.2

package loop

import (
	"net/netip"
	"syscall"
	"time"
)

// Flags say what epoll reported for a descriptor.
type Flags uint8

// The conditions a [Kernel] reports. EventHangup: the peer has sent FIN (always together with EventRead). EventError
// stands for EPOLLERR: the connection was reset or its connect failed.
const (
	EventRead Flags = 1 << iota
	EventWrite
	EventHangup
	EventError
)

// Event is one readiness report. Gen is the generation given to [Kernel.Add]; a report whose generation is not the
// descriptor's present one is stale.
type Event struct {
	FD    int32
	Gen   uint32
	Flags Flags
}

// Family is the kind of address that a socket is for.
type Family uint8

// The families.
const (
	IPv4 Family = iota
	IPv6
	Unix // paths in the file system
)

// Kernel is every system call the data plane makes, for one loop. All calls but Wake come from the loop's thread and
// none but Wait may block. Errors are errno values, 0 for success; EAGAIN and EINTR are the caller's to handle.
type Kernel interface {
	// Now returns a monotonic time in nanoseconds and the wall clock, read together.
	Now() (mono int64, wall time.Time)
	// Worked returns for how long the loop's thread has run on a processor, nanoseconds.
	Worked() int64
	// Add registers a descriptor edge-triggered for reading and writing.
	Add(fd int32, gen uint32) syscall.Errno
	// Remove ends that, for a descriptor of a socket that others hold too: closing it would not.
	Remove(fd int32)
	// Poll fills events with what is ready now.
	Poll(events []Event) int
	// Wait fills events; it waits at most timeout nanoseconds (negative: for ever, 0: not at all) or until Wake.
	// sleeps is how many of its calls may have put the thread to sleep.
	Wait(events []Event, timeout int64) (n, sleeps int)
	// Wake ends a Wait from any goroutine. Woken reports whether the last Poll or Wait has found that.
	Wake()
	Woken() bool
	// Accept takes one connection from a listening socket: non-blocking, close-on-exec, TCP_NODELAY if the socket has it.
	Accept(fd int32) (conn int32, peer netip.AddrPort, err syscall.Errno)
	// Socket opens a stream socket for an address family: non-blocking, close-on-exec, TCP_NODELAY if it is one of TCP.
	Socket(f Family) (fd int32, err syscall.Errno)
	// Connect starts connecting; EINPROGRESS means that an EventWrite or EventError will follow.
	Connect(fd int32, to netip.AddrPort) syscall.Errno
	// ConnectUnix connects to the Unix socket at a path of less than 108 octets; EAGAIN means that its queue is full, and
	// nothing will follow.
	ConnectUnix(fd int32, path string) syscall.Errno
	// SocketError returns and clears SO_ERROR.
	SocketError(fd int32) syscall.Errno
	// Read returns n = 0 with err = 0 at the end of the stream.
	Read(fd int32, b []byte) (n int, err syscall.Errno)
	Write(fd int32, b []byte) (n int, err syscall.Errno)
	// Pipe opens a pipe for Splice, of size octets if that can be had: non-blocking, close-on-exec.
	Pipe(size int) (read, write int32, got int, err syscall.Errno)
	// Splice moves up to n octets from a socket to a pipe, or from a pipe to a socket. It returns n = 0 with err = 0 at the
	// end of the stream.
	Splice(from, to int32, n int) (moved int, err syscall.Errno)
	// Acked returns how many octets of what was written the peer's kernel has acknowledged in all.
	Acked(fd int32) int64
	// Peek reports EAGAIN when an idle connection is healthy: open and without unread input.
	Peek(fd int32) syscall.Errno
	ShutdownWrite(fd int32)
	Close(fd int32)
	// Reset closes with RST, so that the peer cannot take what it got for a whole message.
	Reset(fd int32)
	// Release frees what the kernel side of the loop itself holds.
	Release()
}

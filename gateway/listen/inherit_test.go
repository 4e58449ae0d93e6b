// SPDX-License-Identifier: EUPL-1.2

package listen_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/gateway/listen"
)

// pass duplicates sockets as for another process, which this one then is.
func pass(t *testing.T, name string, fds ...int32) []listen.Passed {
	t.Helper()
	var all []listen.Passed
	for _, fd := range fds {
		f, err := listen.Share(int(fd), name)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		all = append(all, listen.Passed{FD: theirs, Name: name})
	}
	return all
}

// A connection waits in the queue of one process's socket; the process closes it, and another one still finds it there.
func TestWhoeverWaitsIsServedByTheNextProcess(t *testing.T) {
	t.Parallel()
	first, err := listen.Open("127.0.0.1:0", 2)
	if err != nil {
		t.Fatal(err)
	}
	in, err := listen.Inherit(pass(t, "127.0.0.1:0", first.FDs...))
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		c, err := net.Dial("tcp", first.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	first.Close()
	second, err := in.Open("127.0.0.1:0", 5)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if second.Addr != first.Addr || len(second.FDs) != 2 {
		t.Errorf("got %d sockets at %v, want those 2 at %v", len(second.FDs), second.Addr, first.Addr)
	}
	accepted := 0
	for _, fd := range second.FDs {
		for {
			conn, _, err := unix.Accept4(int(fd), unix.SOCK_CLOEXEC)
			if err != nil {
				break
			}
			accepted++
			_ = unix.Close(conn)
		}
	}
	if accepted != 8 {
		t.Errorf("%d of 8 connections arrived", accepted)
	}
}

func TestSocketsAreFoundByAddressOrName(t *testing.T) {
	t.Parallel()
	a, errA := listen.Open("127.0.0.1:0", 1)
	b, errB := listen.Open("127.0.0.1:0", 1)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	defer func() { a.Close() }()
	defer b.Close()
	udp, _, err := listen.OpenUDP(a.Addr)
	for range 100 {
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
		a.Close() // somebody has the port for datagrams
		if a, err = listen.Open("127.0.0.1:0", 1); err == nil {
			udp, _, err = listen.OpenUDP(a.Addr)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	passed := append(pass(t, "127.0.0.1:0", a.FDs[0], b.FDs[0]), pass(t, "https", a.FDs[0])...)
	if err := listen.Control(udp, func(fd int) error { passed = append(passed, pass(t, "127.0.0.1:0", int32(fd))...); return nil }); err != nil {
		t.Fatal(err)
	}
	in, err := listen.Inherit(passed)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	// Two listeners with any free port are two, each with all its sockets.
	for _, want := range []netip.AddrPort{a.Addr, b.Addr} {
		got, err := in.Open("127.0.0.1:0", 1)
		if err != nil || got.Addr != want || len(got.FDs) != 1 {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
		defer got.Close()
	}
	if left := in.Left(); !strings.HasPrefix(left, "https (TCP "+a.Addr.String()+"), ") {
		t.Errorf("left %q", left)
	}
	// By address, whatever systemd calls it.
	ln, err := in.Listen(a.Addr.String())
	if err != nil || ln.Addr().String() != a.Addr.String() {
		t.Fatalf("got %v, %v", ln, err)
	}
	defer ln.Close()
	socket, _, err := in.OpenUDP(a.Addr)
	if err != nil || socket.LocalAddr().String() != a.Addr.String() {
		t.Fatalf("got %v, %v", socket, err)
	}
	defer socket.Close()
	if left := in.Left(); left != "" {
		t.Errorf("left %q, want nothing", left)
	}
	// The giver's sockets must not have begun to block: its loops would.
	for _, fd := range []int32{a.FDs[0], b.FDs[0]} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("flags %x, %v: the socket blocks", flags, err)
		}
	}
}

func TestWhatIsNoListeningSocketIsRefused(t *testing.T) {
	t.Parallel()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if in, err := listen.Inherit([]listen.Passed{{FD: fds[0], Name: "odd"}, {FD: fds[1], Name: "even"}}); err == nil || !strings.Contains(err.Error(), `inherited socket "odd": not of the Internet`) {
		t.Errorf("got %v, %v", in, err)
	}
	var none *listen.Inherited
	s, err := none.Open("127.0.0.1:0", 1)
	if err != nil || none.Left() != "" {
		t.Fatal(err)
	}
	s.Close()
	none.Close()
	c, err := net.DialTimeout("tcp", s.Addr.String(), time.Second)
	if err == nil {
		c.Close()
		t.Error("a closed socket listens")
	}
}

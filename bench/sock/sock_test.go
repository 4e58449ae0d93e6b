// SPDX-License-Identifier: EUPL-1.2

package sock_test

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/bench/sock"
)

func TestOctetsPassBothWaysWithoutBlocking(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, addr, err := sock.Listen(netip.MustParseAddrPort(host))
		if err != nil {
			if host[0] == '[' {
				t.Logf("no IPv6 here: %v", err)
				continue
			}
			t.Fatal(err)
		}
		defer unix.Close(l)
		if addr.Port() == 0 {
			t.Fatalf("%s: no port was chosen", host)
		}
		sa, family := sock.Address(addr)
		c, err := sock.Dial(sa, family)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(c)
		ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(ep)
		watch := func(fd int) {
			if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
				t.Fatal(err)
			}
		}
		events := make([]unix.EpollEvent, 4)
		if n, errno := sock.Wait(ep, events, 0, true); n != 0 || errno != 0 {
			t.Errorf("nothing is watched: got %d events, %v", n, errno)
		}
		watch(l)
		if n, errno := sock.Wait(ep, events, 5000, false); n != 1 || errno != 0 {
			t.Fatalf("no connection arrived: %d events, %v", n, errno)
		}
		s, _, err := unix.Accept4(l, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		watch(s)
		var b [16]byte
		if _, errno := sock.Read(s, b[:]); errno != unix.EAGAIN {
			t.Errorf("read from an empty socket: got %v, want EAGAIN", errno)
		}
		if n, errno := sock.Send(c, []byte("hello")); n != 5 || errno != 0 {
			t.Fatalf("send: %d, %v", n, errno)
		}
		if n, errno := sock.Wait(ep, events, 5000, true); n != 1 || events[0].Fd != int32(s) || errno != 0 {
			t.Fatalf("nothing arrived: %d events, %v", n, errno)
		}
		if n, errno := sock.Read(s, b[:]); string(b[:n]) != "hello" || errno != 0 {
			t.Errorf("read: %q, %v", b[:n], errno)
		}
		if err := unix.Close(s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTakenAddressIsRefused(t *testing.T) {
	t.Parallel()
	l, addr, err := sock.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l)
	if _, _, err := sock.Listen(addr); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("got %v, want EADDRINUSE", err)
	}
}

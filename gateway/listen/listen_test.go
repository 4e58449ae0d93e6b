// SPDX-License-Identifier: EUPL-1.2

package listen_test

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pvgate/pvgate/gateway/listen"
)

// Linux gives an accepted connection the listening socket's TCP_NODELAY; without it the second piece of an answer waits
// for the acknowledgement of the first, 40 ms.
func TestWhatIsAcceptedDoesNotDelay(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", ":0"} {
		sockets, err := listen.Open(address, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer sockets.Close()
		for range 4 { // whichever socket they come to
			c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port(sockets)))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
		}
		accepted := 0
		for _, fd := range sockets.FDs {
			for {
				conn, _, err := unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
				if err != nil {
					break
				}
				accepted++
				if v, err := unix.GetsockoptInt(conn, unix.IPPROTO_TCP, unix.TCP_NODELAY); v != 1 || err != nil {
					t.Errorf("%s: TCP_NODELAY is %d (%v), want 1", address, v, err)
				}
				_ = unix.Close(conn)
			}
		}
		if accepted != 4 {
			t.Errorf("%s: %d connections, want 4", address, accepted)
		}
	}
}

// Who says nothing is not accepted yet, unless the listener is about to be closed.
func TestWhoIsSilentIsKeptBack(t *testing.T) {
	t.Parallel()
	sockets, err := listen.Open("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", sockets.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	accepts := func() bool {
		conn, _, err := unix.Accept4(int(sockets.FDs[0]), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == nil {
			_ = unix.Close(conn)
		}
		return err == nil
	}
	c := dial()
	if accepts() {
		t.Error("a silent connection is accepted")
	}
	if _, err := c.Write([]byte("hello")); err != nil || !accepts() {
		t.Errorf("one that has spoken is not (%v)", err)
	}
	sockets.Hasten()
	if dial(); !accepts() {
		t.Error("a silent one is not accepted before the end")
	}
}

func port(s listen.Sockets) string {
	_, p, _ := net.SplitHostPort(s.Addr.String())
	return p
}
